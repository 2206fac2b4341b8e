"""Which shapes an evaluation takes and shows: seeded, spread over the classes, the same for every run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pointvae.data.dataset import Shapes

Places = npt.NDArray[np.int64]

USUAL_POINTS = 256


def affordable(most: int, points: int, *, power: int = 1) -> int:
    """How many shapes of so many points cost about as much as ``most`` of 256 points, an eighth of ``most`` at least.

    Args:
        most: shapes of at most 256 points.
        points: of each shape.
        power: of the points, that the cost of a shape grows with.
    """
    share = (max(points, USUAL_POINTS) / USUAL_POINTS) ** power
    return max(round(most / share), -(-most // 8), 1)


def spread_over_classes(shapes: Shapes, count: int, *, seed: int = 0) -> Places:
    """At most ``count`` places in ``shapes``, sorted: from every class in turn, at random within it.

    Shapes without labels count as one class.
    """
    if count >= len(shapes):
        return np.arange(len(shapes))
    rng = np.random.default_rng(seed)
    labels = shapes.labels if shapes.labels is not None else np.zeros(len(shapes), np.int64)
    turn = np.empty(len(shapes))  # the round in which each shape is picked; within a round classes come at random
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turn[members] = rng.permutation(len(members)) + rng.random()
    chosen: Places = np.sort(np.argsort(turn, kind="stable")[:count])
    return chosen
