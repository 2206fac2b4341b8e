"""Polygons cut into triangles, all at once, in the ways and the orders of trimesh."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def triangles(corners: Ints, first: Ints, sizes: Ints, *, grouped: bool) -> Ints:
    """The triangles of polygons [T, 3]: (0, 1, 2), (2, 3, 0) of a quad, a fan around the first corner of larger ones.

    Args:
        corners: numbers among which the corners of each polygon follow one another.
        first: where among them the first corner of each polygon is [P].
        sizes: how many corners each has, at least 3 [P].
        grouped: triangles first, then the first halves of all quads, the second halves, and the larger polygons;
            otherwise in the order of the polygons.
    """
    each = sizes - 2
    polygon = np.repeat(np.arange(len(sizes)), each)
    turn = np.arange(len(polygon)) - np.repeat(np.cumsum(each) - each, each)
    start, size = first[polygon], sizes[polygon]
    cut = corners[start[:, None] + np.stack([np.zeros_like(turn), turn + 1, turn + 2], axis=1)]
    second = (size == 4) & (turn == 1)
    cut[second] = cut[second][:, [1, 2, 0]]
    if not grouped:
        return cut
    rank = np.where(size == 3, 0, np.where(size == 4, 1 + turn, 3))
    return cut[np.argsort(rank, kind="stable")]
