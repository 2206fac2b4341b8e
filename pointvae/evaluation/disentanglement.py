"""Whether single latent dimensions stand for single known factors of procedural shapes.

Every class is built from factors of its own, so each is measured alone and the means are over classes. Factors of
pose, which say how a shape stands and not what it is, are told apart: a model made blind to pose should lose these.

The measures are those of `pointvae.evaluation.dci_mig`; chance is the same with the factors of a class's shapes
permuted against the codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.dataset import Shapes
from pointvae.evaluation.dci_mig import TREES, completeness, disentanglement, forest_importances, gaps
from pointvae.evaluation.features import Codes
from pointvae.evaluation.probing.linear_probe import standardisation
from pointvae.evaluation.results import Part
from pointvae.evaluation.work import Work

PROTOCOL = "dci_mig/1"
POSE = ("pitch", "roll", "heading")
LEAST_TRAIN, LEAST_TEST, MOST = 20, 10, 200  # shapes of a class
CLASSES, QUICK_CLASSES = 12, 4
PERMUTATIONS = 20
_CHANCE, _MIG_CHANCE = 0, 1  # streams of random numbers

Doubles = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


def measure_disentanglement(
    subjects: Mapping[str, tuple[Codes, Codes]],
    train: Shapes,
    test: Shapes,
    *,
    seed: int = 0,
    quick: bool = False,
    work: Work | None = None,
) -> Part:
    """DCI and MIG of posterior means within classes, means over classes with the standard deviation between them.

    Args:
        subjects: each model's codes of the train and of the test shapes, by name.
        train: shapes with recorded factors; forests are fitted to them.
        test: shapes with recorded factors; forests are scored on them. MIG fits nothing and takes both.
        seed: what forests and permutations are drawn from.
        quick: measure 4 classes at most, where else there are 12.
        work: how much is done at a time.

    Returns:
        Figures with the reason under ``left_out`` where there are no factors or too few shapes of every class.
    """
    if train.factors is None or test.factors is None or train.labels is None or test.labels is None:
        reason = "the shapes have no recorded factors, which only procedural shapes have"
        return Part({"protocol": PROTOCOL, "left_out": reason})
    classes = choose_classes(train, test, QUICK_CLASSES if quick else CLASSES)
    if not classes:
        reason = f"no class has {LEAST_TRAIN} training and {LEAST_TEST} test shapes and two factors that vary"
        return Part({"protocol": PROTOCOL, "left_out": reason})
    members = {label: (_members(train, label), _members(test, label)) for label in classes}
    names = {label: _factor_names(train, test, label) for label in classes}
    fits = [
        (subject, label, name, chance)
        for subject in subjects
        for label in classes
        for name in names[label]
        for chance in (False, True)
    ]

    def fit(unit: tuple[str, int, str, bool]) -> tuple[Doubles, float]:
        subject, label, name, chance = unit
        own, held = members[label]
        known, wanted = (_values(shapes, part, name) for shapes, part in ((train, own), (test, held)))
        if chance:
            known = np.random.default_rng((seed, _CHANCE, label)).permutation(known)
        mean, scale = standardisation(subjects[subject][0].posterior_mean[own])
        codes = [
            (part.posterior_mean[p] - mean) / scale for part, p in zip(subjects[subject], (own, held), strict=True)
        ]
        return forest_importances(codes[0], known, codes[1], wanted, seed=seed)

    work = work or Work()
    found = dict(zip(fits, work.each(fit, fits, "measuring disentanglement"), strict=True))

    def gaps_of(unit: tuple[str, int]) -> tuple[Doubles, Doubles]:
        subject, label = unit
        parts = zip((train, test), subjects[subject], members[label], strict=True)
        codes, factors = [], []
        for shapes, part, own in parts:
            codes.append(part.posterior_mean[own].astype(np.float64))
            factors.append(np.stack([_values(shapes, own, name) for name in names[label]], axis=1))
        rng = np.random.default_rng((seed, _MIG_CHANCE, label))
        together = np.concatenate(codes), np.concatenate(factors)
        null = [gaps(together[0], rng.permutation(together[1])) for _ in range(PERMUTATIONS)]
        return gaps(*together), np.mean(null, axis=0)

    pairs = [(subject, label) for subject in subjects for label in classes]
    migs = dict(zip(pairs, work.each(gaps_of, pairs, "measuring information gaps"), strict=True))

    figures: dict[str, Any] = {
        "protocol": PROTOCOL,
        "seed": seed,
        "feature": "posterior_mean",
        "forest": {"trees": TREES, "random_state": seed},
        "classes": [train.classes[label] for label in classes],
        "n_train": sum(len(members[label][0]) for label in classes),
        "n_test": sum(len(members[label][1]) for label in classes),
        "factors": {train.classes[label]: names[label] for label in classes},
        "pose_factors": [name for name in POSE if any(name in names[label] for label in classes)],
        "permutations": PERMUTATIONS,
    }
    for subject in subjects:
        for place, key in ((0, subject), (1, f"{subject}_chance")):
            rows = [
                _class_figures(
                    [found[subject, label, name, bool(place)] for name in names[label]],
                    migs[subject, label][place],
                    names[label],
                )
                for label in classes
            ]
            figures[key] = _over_classes(rows)
    return Part(figures)


def choose_classes(train: Shapes, test: Shapes, most: int) -> list[int]:
    """Labels of at most so many classes, evenly among those that have enough shapes and factors that vary."""
    assert train.labels is not None and test.labels is not None
    enough = [
        int(label)
        for label in np.unique(train.labels)
        if np.sum(train.labels == label) >= LEAST_TRAIN
        and np.sum(test.labels == label) >= LEAST_TEST
        and len(_factor_names(train, test, int(label))) > 1
    ]
    if len(enough) <= most:
        return enough
    return [enough[place * len(enough) // most] for place in range(most)]


def _class_figures(fits: Sequence[tuple[Doubles, float]], mig: Doubles, names: Sequence[str]) -> dict[str, float]:
    importances = np.stack([importance for importance, _ in fits], axis=1)
    each = {"completeness": completeness(importances), "informativeness": np.array([score for _, score in fits])}
    each["mig"] = mig
    figures = {"disentanglement": disentanglement(importances)}
    pose = np.isin(names, POSE)
    for name, values in each.items():
        figures[name] = float(values.mean())
        for kind, chosen in (("shape", ~pose), ("pose", pose)):
            if chosen.any():
                figures[f"{name}_{kind}"] = float(values[chosen].mean())
    return figures


def _over_classes(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Mean over the classes that have a figure, and the standard deviation between them."""
    figures: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = np.array([row[name] for row in rows if name in row])
        figures[name] = float(values.mean())
        figures[f"{name}_deviation"] = float(values.std(ddof=min(1, len(values) - 1)))
    return figures


def _members(shapes: Shapes, label: int) -> Places:
    """Places of a class's shapes, the first 200 of them."""
    return np.flatnonzero(shapes.labels == label)[:MOST]


def _factor_names(train: Shapes, test: Shapes, label: int) -> list[str]:
    """Names of the factors that all shapes of a class have and that vary among its training shapes, sorted."""
    assert train.factors is not None and test.factors is not None
    rows = [train.factors[place] for place in _members(train, label)]
    held = [test.factors[place] for place in _members(test, label)]
    shared = set(rows[0]).intersection(*rows[1:], *held)
    return sorted(name for name in shared if len({row[name] for row in rows}) > 1)


def _values(shapes: Shapes, places: Places, name: str) -> Doubles:
    assert shapes.factors is not None
    return np.array([shapes.factors[place][name] for place in places], np.float64)
