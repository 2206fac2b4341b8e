"""What probes share that choose a setting on training shapes: folds, the search, and which classes there are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError
from pointvae.evaluation.work import Work

Labels = npt.NDArray[np.int64]


def choose_c(
    held_out: Callable[[float, npt.NDArray[np.bool_]], int],
    labels: Labels,
    c_grid: Sequence[float],
    *,
    folds: int,
    seed: int,
    work: Work | None = None,
) -> tuple[float, int, dict[float, float]]:
    """The best C by stratified cross-validation, the folds used, and the accuracy of each C that was tried.

    Args:
        held_out: fits with a C to all shapes but those of a mask (n,), and counts how many of the mask it gets right.
        labels: classes 0, 1, ... (n,), at least two of each.
        c_grid: values of C, growing; a single one is taken as it is.
        folds: at most.
        seed: what the folds are drawn from.
        work: how much is done at a time; each fold is solved on one thread.
    """
    if len(c_grid) == 1:
        return c_grid[0], 0, {}
    used = min(folds, int(np.bincount(labels).min()))
    fold = stratified_folds(labels, used, seed)
    silent = dataclasses.replace(work or Work(), progress=False)

    def right(c: float) -> int:
        return sum(silent.each(lambda k: held_out(c, fold == k), range(used), "solving folds"))

    accuracy = search(c_grid, right, len(labels))
    return best_of(accuracy), used, accuracy


def search(c_grid: Sequence[float], right: Callable[[float], int], count: int) -> dict[float, float]:
    """Accuracy for each C of a growing grid, until it lies one point and two standard errors under the best.

    Args:
        c_grid: values of C.
        right: how many of the held-out shapes a C gets right.
        count: how many there are.
    """
    accuracy: dict[float, float] = {}
    for c in c_grid:
        accuracy[c] = right(c) / count
        best = max(accuracy.values())
        if best - accuracy[c] > max(0.01, 2 * math.sqrt(best * (1 - best) / count)):
            break
    return accuracy


def best_of(accuracy: dict[Any, float]) -> Any:
    """The setting with the best accuracy; the smallest on ties."""
    return max(accuracy, key=lambda tried: (accuracy[tried], -tried))


def classes_present(labels: Labels, classes: list[str], *, least: int = 2) -> tuple[Labels, Labels]:
    """The classes among labels (n,), and each shape's place in them (n,).

    Raises:
        InputError: there are fewer than two, or one has fewer than ``least`` (1 or 2) members.
    """
    present, own = np.unique(labels, return_inverse=True)
    sizes = np.bincount(own)
    if len(present) < 2:
        raise InputError(
            f"the train split holds {len(present)} class{'es' * (len(present) != 1)}; a probe needs at least 2"
        )
    if sizes.min() < least:
        lonely = classes[present[sizes.argmin()]]
        raise InputError(
            f"class {lonely!r} has one training shape; cross-validation needs at least 2 of each: add shapes to the "
            "class or leave it out"
        )
    return present, own


def stratified_folds(labels: Labels, folds: int, seed: int) -> Labels:
    """The fold of each shape (n,): every class is shuffled and dealt out in turn, each going on from the last."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(labels), np.int64)
    dealt = 0
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return fold
