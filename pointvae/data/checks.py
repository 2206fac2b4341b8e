"""What can be told of shapes by looking at all of them: which are copies, and which way is up."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def find_duplicates(splits: dict[str, tuple[list[str], list[str]]]) -> dict[str, Any]:
    """Shapes that are exactly equal, in and across splits, from the names and digests of each split.

    Returns:
        shapes (how many are copies of an earlier one), groups, across_splits (groups that touch several splits) and
        up to ten examples.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for split, (names, digests) in splits.items():
        for name, digest in zip(names, digests, strict=True):
            groups.setdefault(digest, []).append((split, name))
    double = [members for members in groups.values() if len(members) > 1]
    across = [members for members in double if len({split for split, _ in members}) > 1]
    shown = across + [members for members in double if members not in across]
    return {
        "shapes": sum(len(members) - 1 for members in double),
        "groups": len(double),
        "across_splits": len(across),
        "examples": [[f"{split}: {name}" for split, name in members] for members in shown[:10]],
    }


def guess_up(points: npt.NDArray[Any], bins: int = 16) -> dict[str, Any]:
    """The axis along which most shapes are least like their own mirror image: things differ from top to bottom most.

    Args:
        points: clouds [n, N, 3].
        bins: bins of the histogram along each axis.

    Returns:
        axis, and share: how many of the shapes agree. A hint, no more: doors and shelves are wrong about it.
    """
    votes = np.zeros(3)
    for start in range(0, len(points), 1024):
        cloud = points[start : start + 1024]
        low, high = cloud.min(axis=1, keepdims=True), cloud.max(axis=1, keepdims=True)
        place = (cloud - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
        cell = np.minimum((place * bins).astype(np.int64), bins - 1)
        cell += bins * (np.arange(3) + 3 * np.arange(len(cloud))[:, None, None])
        histogram = np.bincount(cell.reshape(-1), minlength=len(cloud) * 3 * bins).reshape(-1, 3, bins)
        unlike = np.abs(histogram - histogram[:, :, ::-1]).sum(axis=2)
        votes += np.bincount(unlike.argmax(axis=1), minlength=3)
    return {"axis": "xyz"[int(votes.argmax())], "share": round(float(votes.max() / votes.sum()), 3)}
