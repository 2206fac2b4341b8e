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


def up_votes(points: npt.NDArray[Any], bins: int = 16) -> npt.NDArray[np.float64]:
    """For how many clouds each axis is the one along which they are least like their own mirror image [3].

    Things differ from top to bottom most: a hint, no more, doors and shelves are wrong about it.

    Args:
        points: clouds [n, N, 3].
        bins: bins of the histogram along each axis.
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
    return votes


def guess_up(votes: npt.NDArray[np.float64]) -> dict[str, Any] | None:
    """The axis with the most of `up_votes`, and the share of the clouds that agree; None without a cloud."""
    if not votes.sum():
        return None
    return {"axis": "xyz"[int(votes.argmax())], "share": round(float(votes.max() / votes.sum()), 3)}
