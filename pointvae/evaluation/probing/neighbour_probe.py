"""Classes by the vote of the nearest training shapes, their number chosen by cross-validation on train alone.

The nearest shape comes first, and of equally near ones the first in the training split. Each of the k nearest has one
vote; of classes with equally many votes that of the nearest shape among them wins; of equally good k the smallest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pointvae.evaluation.probing.cross_validation import best_of, classes_present, stratified_folds
from pointvae.evaluation.probing.linear_probe import check_finite, standardisation, unscaled
from pointvae.evaluation.work import Work

BLOCK = 256
"""Shapes whose neighbours are looked for together."""

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Neighbours:
    """Training shapes that vote.

    Attributes:
        features: as they are compared (n, D).
        labels: of them (n,).
        mean: of each feature (D,).
        scale: deviation of each feature (D,).
        metric: ``cosine`` or ``euclidean``.
        k: how many vote.
        folds: of the cross-validation; 0 where k was given.
        cv_accuracy: accuracy over all held-out shapes for each k that was tried; empty where k was given.
        work: how much is done at a time.
    """

    features: Floats
    labels: Labels
    mean: Floats
    scale: Floats
    metric: Literal["cosine", "euclidean"]
    k: int
    folds: int = 0
    cv_accuracy: dict[int, float] = dataclasses.field(default_factory=dict)
    work: Work = dataclasses.field(default_factory=Work)

    def predict(self, features: Floats) -> Labels:
        """Labels (n,) of features (n, D)."""
        return vote(self.nearest(features, self.k), self.k)

    def nearest(self, features: Floats, k: int) -> Labels:
        """Labels (n, k) of the nearest training shapes, nearest first."""
        rows = comparable(features, self.mean, self.scale, self.metric)
        starts = range(0, len(rows), BLOCK)
        silent = dataclasses.replace(self.work, progress=False)
        found = silent.each(lambda start: self._block(rows[start : start + BLOCK], k), starts, "finding neighbours")
        return self.labels[np.concatenate(found)]

    def _block(self, rows: Floats, k: int) -> Labels:
        near = rows @ self.features.T
        if self.metric == "euclidean":  # the same order as by distance
            near = near - np.square(self.features).sum(axis=1) / 2
        return nearest_places(near, k)

    def describe(self) -> dict[str, Any]:
        """What was chosen on train, as JSON-able data."""
        return {"k": self.k, "cv_accuracy": {str(k): share for k, share in self.cv_accuracy.items()}}


def fit_neighbours(
    features: Floats,
    labels: Labels,
    classes: list[str],
    *,
    k_grid: Sequence[int],
    metric: Literal["cosine", "euclidean"],
    folds: int = 5,
    scaled: bool = False,
    seed: int = 0,
    work: Work | None = None,
) -> Neighbours:
    """Choose k on training shapes.

    Args:
        features: (n, D).
        labels: indices into ``classes`` (n,).
        classes: names of the classes, for messages.
        k_grid: numbers of neighbours, growing; a single one is taken without cross-validation. What is more than the
            shapes of a fold's training part is left out.
        metric: ``cosine`` or ``euclidean``.
        folds: at most.
        scaled: standardise the features.
        seed: what the folds are drawn from.
        work: how much is done at a time.

    Raises:
        InputError: a feature is not finite, there are fewer than two classes, or one has a single member.
    """
    check_finite(features)
    _, own = classes_present(labels, classes, least=2 if len(k_grid) > 1 else 1)
    work = work or Work()

    def among(chosen: npt.NDArray[np.bool_]) -> Neighbours:
        mean, scale = standardisation(features[chosen]) if scaled else unscaled(features)
        rows = comparable(features[chosen], mean, scale, metric)
        return Neighbours(rows, labels[chosen], mean, scale, metric, min(k_grid[0], len(rows)), work=work)

    everyone = among(np.ones(len(labels), bool))
    if len(k_grid) == 1:
        return everyone
    used = min(folds, int(np.bincount(own).min()))
    fold = stratified_folds(own, used, seed)
    fitted = len(labels) - int(np.bincount(fold).max())
    tried = [k for k in k_grid if k <= fitted] or [fitted]
    right = dict.fromkeys(tried, 0)
    for held in (fold == place for place in range(used)):
        nearest = among(~held).nearest(features[held], tried[-1])
        for k in tried:
            right[k] += int(np.sum(vote(nearest, k) == labels[held]))
    accuracy = {k: count / len(labels) for k, count in right.items()}
    return dataclasses.replace(everyone, k=best_of(accuracy), folds=used, cv_accuracy=accuracy)


def comparable(features: Floats, mean: Floats, scale: Floats, metric: str) -> Floats:
    """Features (n, D) scaled, and for the cosine brought to unit length, where they are not all zero."""
    rows: Floats = (features - mean) / scale
    if metric == "cosine":
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(length > 0, length, 1)
    return rows


def nearest_places(near: Floats, k: int) -> Labels:
    """Places (n, k) of the largest of each row of nearness (n, m), largest first; of equal ones the first."""
    places = np.empty((len(near), k), np.int64)
    for row, values in enumerate(near):
        least = np.partition(values, -k)[-k]
        candidates = np.flatnonzero(values >= least)
        places[row] = candidates[np.argsort(-values[candidates], kind="stable")][:k]
    return places


def vote(nearest: Labels, k: int) -> Labels:
    """The class (n,) with most of the first k votes (n, ...), nearest first; on ties that of the nearest."""
    votes = nearest[:, :k]
    counts = (votes[:, :, None] == votes[:, None, :]).sum(axis=2)
    chosen: Labels = np.take_along_axis(votes, counts.argmax(axis=1)[:, None], axis=1)[:, 0]
    return chosen
