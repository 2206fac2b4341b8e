"""Which shapes an evaluation takes and shows: seeded, spread over the classes, the same for every run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pointvae.data.dataset import Shapes

Places = npt.NDArray[np.int64]


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
