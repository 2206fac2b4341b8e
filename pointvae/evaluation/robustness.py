"""How well frozen probes still classify corrupted shapes, and how far their codes move."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.corruptions import CORRUPTIONS, FAMILIES, SEVERITIES
from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.corrupted import corrupted_clouds
from pointvae.evaluation.features import Codes, to_array, to_tensors
from pointvae.evaluation.results import Part
from pointvae.evaluation.scores import mean_interval, standard_error
from pointvae.evaluation.selection import affordable, spread_over_classes
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.models.modes import evaluation_mode
from pointvae.models.vae import PointVAE

PROTOCOL = "corruptions/1"
SHAPES, QUICK_SHAPES = 1000, 160
BASELINE = "untrained"
PICTURE_SEVERITY, PICTURE_POINTS = 3, 512

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]


def measure_corruptions(
    subjects: Mapping[str, Subject],
    shapes: Shapes,
    view: View,
    *,
    seed: int = 0,
    quick: bool = False,
    full: bool = False,
    work: Work | None = None,
) -> Part:
    """Accuracy of every frozen probe under the 15 corruptions of ModelNet40-C at 5 severities.

    Errors are shares of shapes classified wrongly. ``mean_error`` is over the 75 (ER_cor of Sun et al. 2022,
    "Benchmarking Robustness of 3D Point Cloud Recognition Against Common Corruptions"). ``mean_corruption_error`` is
    relative to the untrained encoder under the same probe: the mean over corruptions of Σ_s E_s / Σ_s E_s(untrained);
    its relative form takes each one's error over its own clean error (Hendrycks and Dietterich 2019, "Benchmarking
    Neural Network Robustness to Common Corruptions and Perturbations", section 4). ``shift`` is how far the posterior
    mean moves, in prior standard deviations, root mean square over dimensions, mean over shapes; ``spread`` is the
    deviation of clean posterior means between shapes in the same unit, by which to divide to compare models.

    Args:
        subjects: the models by name, with probes of clean training shapes; those without probes have a shift alone.
        shapes: test shapes; with labels where accuracies are wanted.
        view: what is seen of the clean shapes.
        seed: what the choice of shapes and the corruptions are drawn from.
        quick: 160 shapes, in place of 1,000, spread over the classes; fewer of more than 256 points.
        full: all shapes.
        work: how much is done at a time.

    Returns:
        The figures; ``right/SUBJECT`` (n, 15, 5) whether the posterior mean's probe was right, and
        ``right_clean/SUBJECT`` (n,), where there are probes; ``places`` (n,) of the shapes; ``picture`` (15, M, 3) of
        one shape at severity 3 and ``picture_counts`` (15,) of the points that exist, ``picture_clean`` (N, 3).

    Raises:
        InputError: there is no shape, or the shapes have fewer points than the view asks for.
    """
    if not len(shapes):
        raise InputError("no shape to corrupt: the split or folder is empty")
    most = affordable(QUICK_SHAPES if quick else SHAPES, view.points or shapes.points.shape[1])
    places = spread_over_classes(shapes, len(shapes) if full else most, seed=seed)
    with ExitStack() as stack:
        for subject in subjects.values():
            stack.enter_context(evaluation_mode(subject.model))
        tiles = (work or Work()).tiles(
            lambda rows: _measure(subjects, shapes, view, places[rows.start : rows.stop].tolist(), seed),
            len(places),
            "corrupting shapes",
        )
    found = {key: np.concatenate([tile[key] for tile in tiles]) for key in tiles[0]}
    figures: dict[str, Any] = {
        "protocol": PROTOCOL,
        "seed": seed,
        "shapes": len(places),
        "points": view.points or shapes.points.shape[1],
        "stored_points": shapes.points.shape[1],
        "rotation": view.rotation,
        "severities": list(SEVERITIES),
        "families": {f: [one.name for one in CORRUPTIONS.values() if one.family == f] for f in FAMILIES},
        "points_left": _by_corruption(found["counts"].mean(axis=0)),
        "shift": {name: describe_shift(found[f"shift/{name}"], found[f"codes/{name}"]) for name in subjects},
    }
    arrays: dict[str, npt.NDArray[Any]] = {"places": places}
    scores: dict[str, dict[str, Any]] = {}
    for name, subject in subjects.items():
        for feature in subject.probes if shapes.labels is not None else ():
            right, clean = found[f"right/{name}/{feature}"], found[f"clean/{name}/{feature}"]
            base = f"{BASELINE}/{feature}"
            beside = found.get(f"right/{base}"), found.get(f"clean/{base}")
            scores.setdefault(name, {})[feature] = describe_right(right, clean, *beside, seed=seed)
            if feature == "posterior_mean":
                arrays |= {f"right/{name}": right, f"right_clean/{name}": clean}
    if scores:
        figures |= {"baseline": BASELINE if BASELINE in scores else None, "scores": scores}
    return Part(figures, arrays | _picture(shapes, int(places[0]), view, seed))


def _measure(
    subjects: Mapping[str, Subject], shapes: Shapes, view: View, places: list[int], seed: int
) -> dict[str, npt.NDArray[Any]]:
    """What becomes of the shapes at some places: arrays (n, 15, 5), and (n,) for the clean ones."""
    size = (len(places), len(CORRUPTIONS), len(SEVERITIES))
    labels = None if shapes.labels is None else shapes.labels[places]
    found: dict[str, npt.NDArray[Any]] = {"counts": np.zeros(size)}
    clean = {name: _codes(subject.model, view.clouds(shapes, places), None) for name, subject in subjects.items()}
    for name, subject in subjects.items():
        found[f"shift/{name}"] = np.zeros(size)
        found[f"codes/{name}"] = clean[name].posterior_mean
        if labels is not None:
            for feature, right in subject.right(clean[name], labels).items():
                found[f"clean/{name}/{feature}"] = right
                found[f"right/{name}/{feature}"] = np.zeros(size, bool)
    for c, corruption in enumerate(CORRUPTIONS):
        for s, severity in enumerate(SEVERITIES):
            clouds, mask = corrupted_clouds(shapes, places, view, corruption, severity, seed=seed)
            found["counts"][:, c, s] = clouds.shape[1] if mask is None else mask.sum(axis=1)
            for name, subject in subjects.items():
                codes = _codes(subject.model, clouds, mask)
                way = codes.posterior_mean.astype(np.float64) - clean[name].posterior_mean
                found[f"shift/{name}"][:, c, s] = np.sqrt(np.square(way).mean(axis=1))
                if labels is not None:
                    for feature, right in subject.right(codes, labels).items():
                        found[f"right/{name}/{feature}"][:, c, s] = right
    return found


def _codes(model: PointVAE, clouds: npt.NDArray[np.float32], mask: Bools | None) -> Codes:
    points, exists = to_tensors(clouds, mask, next(model.parameters()).device)
    features = model.features(points, exists)
    posterior = model.posterior_of(features, points, exists)
    return Codes(to_array(posterior.mean), to_array(posterior.stddev), to_array(features))


def describe_right(
    right: Bools, clean: Bools, base: Bools | None = None, base_clean: Bools | None = None, *, seed: int = 0
) -> dict[str, Any]:
    """Accuracies and errors of one probe, as plain JSON-able data.

    Args:
        right: whether each shape was classified rightly under each corruption and severity (n, 15, 5).
        clean: the same for the clean shapes (n,).
        base: ``right`` of the baseline, if there is one.
        base_clean: ``clean`` of the baseline.
        seed: what the interval's resamples are drawn from.
    """
    wrong = 1.0 - right.mean(axis=(1, 2))
    told: dict[str, Any] = {
        "clean_accuracy": float(clean.mean()),
        "clean_accuracy_interval": mean_interval(clean, seed=seed),
        "accuracy": _by_corruption(right.mean(axis=0)),
        "mean_error": float(wrong.mean()),
        "mean_error_standard_error": float(standard_error(wrong)),
        "degradation": float(wrong.mean() - (1.0 - clean.mean())),
    }
    if base is not None and base_clean is not None:
        own, other = 1.0 - right.mean(axis=0), 1.0 - base.mean(axis=0)
        own_gain, other_gain = own - (1.0 - clean.mean()), other - (1.0 - base_clean.mean())
        absolute, relative = corruption_errors(own, other), corruption_errors(own_gain, other_gain)
        fewer = right.mean(axis=(1, 2)) - base.mean(axis=(1, 2))
        told |= {
            "corruption_error": dict(zip(CORRUPTIONS, absolute, strict=True)),
            "mean_corruption_error": _mean(absolute),
            "relative_mean_corruption_error": _mean(relative),
            "gain": float(fewer.mean()),
            "gain_standard_error": float(standard_error(fewer)),
        }
    return told


def corruption_errors(errors: Floats, baseline: Floats) -> list[float | None]:
    """Σ_s E_{c,s} / Σ_s B_{c,s} for every corruption c; None where the baseline's sum is not above zero.

    Args:
        errors: error of each corruption and severity (C, S).
        baseline: that of the baseline (C, S).
    """
    sums = zip(errors.sum(axis=1), baseline.sum(axis=1), strict=True)
    return [float(own / other) if other > 1e-12 else None for own, other in sums]


def describe_shift(shift: Floats, codes: Floats) -> dict[str, Any]:
    """How far codes moved, beside how far apart those of different shapes lie, as plain JSON-able data.

    Args:
        shift: of each shape under each corruption and severity, in prior standard deviations (n, 15, 5).
        codes: the posterior means of the clean shapes (n, D).
    """
    each = shift.mean(axis=(1, 2))
    return {
        "by_corruption": _by_corruption(shift.mean(axis=0)),
        "mean": float(each.mean()),
        "standard_error": float(standard_error(each)),
        "spread": float(np.sqrt(codes.astype(np.float64).var(axis=0).mean())),
    }


def _by_corruption(table: Floats) -> dict[str, list[float]]:
    return {name: [float(value) for value in row] for name, row in zip(CORRUPTIONS, table, strict=True)}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _picture(shapes: Shapes, place: int, view: View, seed: int) -> dict[str, npt.NDArray[Any]]:
    """One shape under every corruption at severity 3, and clean."""
    clouds = []
    for name in CORRUPTIONS:
        cloud, _ = corrupted_clouds(shapes, [place], view, name, PICTURE_SEVERITY, seed=seed)
        clouds.append(cloud[0][np.linspace(0, cloud.shape[1] - 1, min(cloud.shape[1], PICTURE_POINTS)).astype(int)])
    picture = np.zeros((len(clouds), max(map(len, clouds)), 3), np.float32)
    for row, cloud in zip(picture, clouds, strict=True):
        row[: len(cloud)] = cloud
    return {
        "picture": picture,
        "picture_counts": np.array([len(cloud) for cloud in clouds]),
        "picture_clean": view.clouds(shapes, [place])[0][:PICTURE_POINTS],
    }
