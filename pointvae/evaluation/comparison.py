"""Runs held against each other on the same test shapes: shape by shape, and over training seeds.

Two uncertainties must not be confused. Over test shapes: would these two trained models rank the same way on other
shapes? That is what an interval or a p-value of two runs tells. Over training seeds: would the two *methods* rank the
same way if trained again? That takes several runs of each, and is told of methods alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError
from pointvae.evaluation.results import Evaluation
from pointvae.evaluation.scores import mean_interval
from pointvae.evaluation.significance import over_seeds, paired_over_seeds, paired_test

PROTOCOL = "comparison/1"
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Compared:
    """A figure that is a mean over test shapes.

    Attributes:
        name: its name in the result.
        words: its name for people.
        array: where each shape's value stands in `Evaluation.arrays`.
        better: ``higher`` or ``lower``; empty where neither is.
        reduce: makes values (n,) of an array that has more than one a shape.
        share: whether it is a share of 1, to be told in per cent.
    """

    name: str
    words: str
    array: str
    better: str
    reduce: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None
    share: bool = True

    def values(self, run: Evaluation) -> npt.NDArray[Any] | None:
        """Each shape's value (n,); None where the run was not measured in this, or one is no number."""
        found = run.arrays.get(self.array)
        if found is None or not np.isfinite(found).all():
            return None
        return found if self.reduce is None else self.reduce(found)


def _svm(turns: str, words: str) -> list[Compared]:
    return [
        Compared(
            f"linear_svm_{turns}_{feature}",
            f"linear SVM, {words}, {told}",
            f"probes/{turns}_{feature}_trained",
            "higher",
        )
        for feature, told in (("posterior_mean", "posterior mean"), ("encoder", "encoder feature"))
    ]


COMPARED = (
    *_svm("none", "aligned"),
    *_svm("z", "z/z"),
    *_svm("z_so3", "z/SO(3)"),
    *_svm("so3", "SO(3)/SO(3)"),
    Compared(
        "logistic",
        "logistic regression, posterior mean",
        "probe_protocols/logistic_c_cv_posterior_mean_trained",
        "higher",
    ),
    Compared("knn", "nearest neighbours, posterior mean", "probe_protocols/knn_posterior_mean_trained", "higher"),
    Compared(
        "retrieval_map",
        "retrieval mAP, cosine, posterior mean",
        "retrieval/trained_posterior_mean_cosine_ap",
        "higher",
    ),
    Compared(
        "corruption_accuracy",
        "mean over 15 corruptions, posterior mean",
        "corruptions/right/trained",
        "higher",
        lambda right: right.mean(axis=(1, 2)),
    ),
    Compared(
        "attacked_accuracy",
        "under attack, L-inf, middle radius",
        "attacks/right_trained_linf_margin",
        "higher",
        lambda radii: radii[len(radii) // 2],
    ),
    Compared("nll", "NLL by importance sampling, nats a point", "likelihood/nll", "lower", share=False),
    Compared("annealed_nll", "NLL by annealing, nats a point", "likelihood/annealed_nll", "lower", share=False),
    Compared("consistency_gap", "consistency gap, nats", "consistency/consistency_gap", "lower", share=False),
    Compared(
        "drift",
        "drift after five rounds, prior deviations",
        "drift/distance_to_start",
        "lower",
        lambda rounds: rounds[-1],
        share=False,
    ),
    Compared("cd_l2_mean", "reconstruction, cd_l2_mean", "reconstruction/cd_l2_mean", "lower", share=False),
)


def compare_evaluations(runs: Sequence[Evaluation], *, seed: int = 0) -> dict[str, Any]:
    """Every run and every method beside the first one.

    Args:
        runs: evaluations of the same shapes under the same settings; the first one is the baseline.
        seed: what the intervals' resamples are drawn from.

    Returns:
        ``runs``: the mean of each figure with its interval over shapes. ``methods``: runs that differ in their
        training seed alone taken together, mean and spread over seeds. ``pairs``: each run against the baseline,
        paired by shape. ``method_pairs``: each method against the baseline's, paired by seed, where both have two
        seeds or more in common.

    Raises:
        InputError: there are fewer than two runs, or they were not evaluated alike.
    """
    if len(runs) < 2:
        raise InputError("a comparison needs at least two runs")
    _check_alike(runs)
    first = runs[0]
    figures = [figure for figure in COMPARED if any(figure.values(run) is not None for run in runs)]
    names = unique_names(runs)
    methods = _methods(runs, names)
    rows: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    for name, run in zip(names, runs, strict=True):
        told = {figure.name: _described(figure.values(run), seed) for figure in figures}
        rows.append({"run": name, "seed": run.config.get("seed"), "figures": told})
        if run is not first:
            pairs += [
                {"run": name, "baseline": names[0], "figure": figure.name, **found}
                for figure in figures
                if (found := _paired(figure.values(first), figure.values(run), seed)) is not None
            ]
    return {
        "protocol": PROTOCOL,
        "baseline": names[0],
        **{key: first.metrics[key] for key in ("dataset", "split", "n_shapes", "points", "seed", "quick", "version")},
        "figures": {f.name: {"words": f.words, "better": f.better, "share": f.share} for f in figures},
        "runs": rows,
        "pairs": pairs,
        "methods": [_over_seeds(name, group, figures) for name, group in methods.items()],
        "method_pairs": _method_pairs(methods, figures),
    }


def method_of(run: Evaluation) -> str:
    """What a run was trained with, apart from its seed, as a key."""
    keys = ("model_class", "model", "objective", "epochs", "batch_size", "points", "learning_rate", "schedule")
    return json.dumps([*(run.config.get(key) for key in keys), run.config.get("ema", 0.0)], sort_keys=True)


def unique_names(runs: Sequence[Evaluation]) -> list[str]:
    """The names of the runs, with a number where two have the same."""
    names: list[str] = []
    for run in runs:
        name, number = run.name, 2
        while name in names:
            name, number = f"{run.name} ({number})", number + 1
        names.append(name)
    return names


def _methods(runs: Sequence[Evaluation], names: Sequence[str]) -> dict[str, list[Evaluation]]:
    """Runs by method, each method named by what its runs' names have in common."""
    groups: dict[str, list[tuple[str, Evaluation]]] = {}
    for name, run in zip(names, runs, strict=True):
        groups.setdefault(method_of(run), []).append((name, run))
    methods: dict[str, list[Evaluation]] = {}
    for group in groups.values():
        own = [name for name, _ in group]
        name = own[0] if len(own) == 1 else _shared_start(own).rstrip("-_ .(") or own[0]
        while name in methods:
            name += "'"
        methods[name] = [run for _, run in group]
    return methods


def _shared_start(names: Sequence[str]) -> str:
    count = 0
    while all(len(name) > count and name[count] == names[0][count] for name in names):
        count += 1
    return names[0][:count]


def _mean(figure: Compared, run: Evaluation) -> float | None:
    values = figure.values(run)
    return None if values is None else float(values.mean(dtype=np.float64))


def _described(values: npt.NDArray[Any] | None, seed: int) -> dict[str, Any] | None:
    if values is None:
        return None
    return {"mean": float(values.mean(dtype=np.float64)), "interval": mean_interval(values, seed=seed)}


def _paired(a: npt.NDArray[Any] | None, b: npt.NDArray[Any] | None, seed: int) -> dict[str, Any] | None:
    """The difference b - a with its paired interval; of rights and wrongs McNemar's p-value too."""
    if a is None or b is None or a.shape != b.shape:
        return None
    if a.dtype == np.bool_:
        found = paired_test(a, b, seed=seed)
        return {key: found[key] for key in ("difference", "interval", "p_value", "only_a", "only_b", "n")}
    difference = b.astype(np.float64) - a.astype(np.float64)
    return {"difference": float(difference.mean()), "interval": mean_interval(difference, seed=seed), "n": len(a)}


def _over_seeds(name: str, runs: Sequence[Evaluation], figures: Sequence[Compared]) -> dict[str, Any]:
    told = {}
    for figure in figures:
        means = [value for run in runs if (value := _mean(figure, run)) is not None]
        told[figure.name] = over_seeds(means) if means else None
    return {"method": name, "runs": [run.name for run in runs], "figures": told}


def _method_pairs(methods: Mapping[str, Sequence[Evaluation]], figures: Sequence[Compared]) -> list[dict[str, Any]]:
    baseline, *others = methods
    found = []
    for name in others:
        sides: list[dict[Any, Evaluation]] = [
            {run.config.get("seed"): run for run in methods[key]} for key in (baseline, name)
        ]
        shared = sorted(seed for seed in set(sides[0]) & set(sides[1]) if seed is not None)
        if len(shared) < 2:
            continue
        for figure in figures:
            values = [[_mean(figure, side[seed]) for seed in shared] for side in sides]
            if all(value is not None for side in values for value in side):
                pair = paired_over_seeds(*values)  # type: ignore[arg-type]
                found.append({"method": name, "baseline": baseline, "figure": figure.name, "seeds": shared, **pair})
    return found


def _check_alike(runs: Sequence[Evaluation]) -> None:
    """Refuse runs that were evaluated on other shapes or in another way, naming what differs."""
    first = runs[0]
    for run in runs[1:]:
        for part in sorted(first.metrics.keys() & run.metrics.keys()):
            made = [each.metrics[part] for each in (first, run)]
            a, b = (figures.get("protocol") if isinstance(figures, dict) else None for figures in made)
            if a and b and a != b:
                raise InputError(
                    f"{first.name} and {run.name} were not evaluated alike: the protocol of {part} is {a} and {b}; "
                    "evaluate both with the same version of pointvae"
                )
        for key in ("dataset", "split", "n_shapes", "points", "seed", "quick", "full", "subsample_sha256"):
            a, b = (each.metrics.get(key) for each in (first, run))
            if key == "dataset":
                a, b = (f"{each['name']} ({each['sha256'][:16]})" if each else None for each in (a, b))
            if a != b:
                raise InputError(
                    f"{first.name} and {run.name} were not evaluated alike: {key} is {a} and {b}; evaluate both "
                    "with the same dataset and options"
                )
