"""The parts of an evaluation by name, in their order: what each takes from the bench."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError
from pointvae.evaluation.attack import measure_attacks
from pointvae.evaluation.bench import WHO, Bench
from pointvae.evaluation.clustering import measure_clustering
from pointvae.evaluation.disentanglement import measure_disentanglement
from pointvae.evaluation.drift import probe_drift, self_consistency_drift
from pointvae.evaluation.features import FEATURES, Codes
from pointvae.evaluation.generation import measure_generation
from pointvae.evaluation.information import measure_information
from pointvae.evaluation.latents import consistency_gaps, describe_latents
from pointvae.evaluation.likelihood import measure_likelihood
from pointvae.evaluation.pictures import draw_pictures, draw_prior
from pointvae.evaluation.probe_protocols import measure_protocols
from pointvae.evaluation.probes import TURNS, probe_rotations
from pointvae.evaluation.reconstruction import measure_reconstruction
from pointvae.evaluation.results import Part
from pointvae.evaluation.retrieval import measure_retrieval
from pointvae.evaluation.robustness import measure_corruptions
from pointvae.evaluation.scores import standard_error
from pointvae.evaluation.selection import spread_over_classes
from pointvae.evaluation.sensitivity import measure_sensitivity
from pointvae.transforms import Compose, default_transforms

CONSISTENCY = "every heading about the up axis, scale 0.8 to 1.25, jitter 0.01"  # default_transforms, in words
GENERATED, QUICK_GENERATED = 500, 160  # as many samples as `measure_generation` looks at


def probes(bench: Bench) -> Part:
    """The linear SVM under every rotation protocol; each array tells which test shapes it classifies rightly."""
    _need_labels(bench)
    sides = {who: {turns: bench.encoded(who, turns) for turns in TURNS} for who in WHO}
    figures: dict[str, Any] = {
        "protocol": "linear_svm_c_cv/1",
        "seed": bench.seed,
        "rotations": probe_rotations(
            sides["trained"], sides["untrained"], bench.train, bench.shapes, bench.view, work=bench.work
        ),
    }
    labels = bench.shapes.labels
    arrays: dict[str, npt.NDArray[Any]] = {}
    for who, side in sides.items():
        for turns, encoded in side.items():
            for feature in FEATURES:
                probe = encoded.train.linear_probe(feature, seed=bench.seed)
                right = probe.predict(getattr(encoded.test, feature)) == labels
                arrays[f"{turns.replace('/', '_')}_{feature}_{who}"] = right
    return Part(figures, arrays)


def probe_protocols(bench: Bench) -> Part:
    """Logistic regression, neighbours, few labels, few shots."""
    _need_labels(bench)
    pair = bench.encoded("trained"), bench.encoded("untrained")
    return measure_protocols(*pair, bench.shapes, seed=bench.seed, work=bench.work)


def clustering(bench: Bench) -> Part:
    """k-means against the classes."""
    if bench.shapes.labels is None:
        raise InputError("the shapes have no labels, against which clusters are held")
    return measure_clustering(
        bench.test_codes(),
        bench.shapes.labels,
        len(np.unique(bench.shapes.labels)),
        seed=bench.seed,
        quick=bench.quick,
        work=bench.work,
    )


def retrieval(bench: Bench) -> Part:
    """Like shapes from all others, aligned and with turned queries."""
    return measure_retrieval(
        bench.test_codes(), bench.shapes, bench.view, turned=bench.test_codes("z"), seed=bench.seed, work=bench.work
    )


def sensitivity(bench: Bench) -> Part:
    """Accuracy and consistency gap against the size of a change."""
    return measure_sensitivity(
        bench.subjects, bench.shapes, bench.view, seed=bench.seed, quick=bench.quick, work=bench.work
    )


def consistency(bench: Bench) -> Part:
    """The consistency gap under one set of transformations, the same for every run."""
    transform = Compose(default_transforms())
    gaps = consistency_gaps(bench.model, bench.shapes, transform, bench.view, seed=bench.seed, work=bench.work)
    figures = {
        "protocol": "consistency_gap/1",
        "seed": bench.seed,
        "transforms": CONSISTENCY,
        "consistency_gap": float(gaps.mean(dtype=np.float64)),
        "standard_error": float(standard_error(gaps)),
    }
    return Part(figures, {"consistency_gap": gaps})


def latents(bench: Bench) -> Part:
    """Active units and the KL to the prior."""
    return Part({"protocol": "latents/1", **describe_latents(bench.codes("trained", "test"))})


def information(bench: Bench) -> Part:
    """Mutual information, and the aggregate posterior against the prior."""
    return measure_information(
        bench.test_codes(), bench.model.groups, seed=bench.seed, quick=bench.quick, work=bench.work
    )


def likelihood(bench: Bench) -> Part:
    """The bound and the negative log-likelihood, nats a point."""
    found = measure_likelihood(
        bench.model, bench.shapes, bench.view, seed=bench.seed, quick=bench.quick, work=bench.work
    )
    if not all(np.isfinite(found.arrays[name]).all() for name in ("elbo", "nll") if name in found.arrays):
        raise InputError("the likelihood is NaN or infinite: the model's weights are too large")
    return found


def drift(bench: Bench) -> Part:
    """Self-consistency: how far codes go when decoded and encoded again and again."""
    found = self_consistency_drift(bench.model, bench.shapes, bench.view, seed=bench.seed, work=bench.work)
    figures = {"protocol": "drift/1", "seed": bench.seed, **found.describe()}
    probe = bench.subjects["trained"].probes.get("posterior_mean")
    if probe is not None and bench.shapes.labels is not None:
        figures["probe_accuracy"] = probe_drift(found, probe, bench.shapes.labels)
    return Part(figures, {"distance_to_start": found.distance_to_start})


def disentanglement(bench: Bench) -> Part:
    """DCI and MIG against the known factors of procedural shapes."""
    if "train" not in bench.data.splits or bench.split == "train":
        raise InputError("the dataset has no train and test split, which the regressors of factors need")
    train = bench.data["train"] if bench.why_no_probe else bench.train
    if train.factors is None or bench.shapes.factors is None:
        raise InputError("the shapes have no recorded factors; procedural shapes have them")
    pairs: dict[str, tuple[Codes, Codes]] = {
        who: (bench.codes(who, "train"), bench.codes(who, "test")) for who in WHO
    }
    return measure_disentanglement(pairs, train, bench.shapes, seed=bench.seed, quick=bench.quick, work=bench.work)


def reconstruction(bench: Bench) -> Part:
    """The errors of reconstructions by every measure, beside their floor."""
    return measure_reconstruction(
        bench.clouds,
        bench.reconstructions.points,
        again=bench.other_points,
        seed=bench.seed,
        quick=bench.quick,
        work=bench.work,
    )


def generation(bench: Bench) -> Part:
    """Draws from the prior against test shapes, beside what training shapes get."""
    count = QUICK_GENERATED if bench.quick else GENERATED
    real = None
    if "train" in bench.data.splits and bench.split != "train":
        train = bench.data["train"]
        real = bench.view.clouds(train[spread_over_classes(train, count, seed=bench.seed)])
    return measure_generation(
        draw_prior(bench.model, count, bench.seed, bench.work),
        bench.clouds,
        real=real,
        seed=bench.seed,
        quick=bench.quick,
        store=None if bench.scratch is None else bench.scratch / "distances",
        work=bench.work,
    )


def corruptions(bench: Bench) -> Part:
    """The fifteen corruptions of ModelNet40-C."""
    return measure_corruptions(
        bench.subjects,
        bench.shapes,
        bench.view,
        seed=bench.seed,
        quick=bench.quick,
        full=bench.full,
        work=bench.work,
    )


def attacks(bench: Bench) -> Part:
    """Moves of the points that change the code the most."""
    return measure_attacks(
        bench.subjects, bench.shapes, bench.view, seed=bench.seed, quick=bench.quick, work=bench.work
    )


def pictures(bench: Bench) -> Part:
    """What the report draws."""
    return draw_pictures(bench)


def _need_labels(bench: Bench) -> None:
    if bench.why_no_probe:
        raise InputError(bench.why_no_probe)


PARTS: dict[str, Callable[[Bench], Part]] = {
    part.__name__: part
    for part in (
        probes,
        probe_protocols,
        sensitivity,
        clustering,
        retrieval,
        consistency,
        latents,
        information,
        likelihood,
        drift,
        disentanglement,
        reconstruction,
        generation,
        corruptions,
        attacks,
        pictures,
    )
}
