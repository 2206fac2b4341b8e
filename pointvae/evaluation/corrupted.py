"""Shapes as a model sees them once they are corrupted: as many points as the corruption leaves."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pointvae.corruptions import CORRUPTIONS, corrupt
from pointvae.corruptions import find as find_corruption
from pointvae.data.dataset import Shapes
from pointvae.evaluation.views import View

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

_STREAM = 0xC0  # sets the draws apart from those of other parts


def corrupted_clouds(
    shapes: Shapes, places: Sequence[int], view: View, name: str, severity: int, *, seed: int = 0
) -> tuple[Floats, Bools | None]:
    """The shapes at some places, corrupted, padded with zeros to the largest of them.

    What a shape becomes depends on it, the view and (seed, corruption, severity, place) alone. Most corruptions are
    given the points that the view sees, which they then remove, add to or move. ``occlusion`` and ``lidar`` are given
    all points stored, ``density_inc`` twice as many as seen, as far as there are; of what comes out, as many points
    are drawn as the view sees (three quarters for ``lidar``), or all where there are fewer. No point stands twice.

    Args:
        shapes: the clean shapes.
        places: which of them.
        view: how many points of the clean shapes are seen, which, and turned how.
        name: of the corruption.
        severity: 1 to 5.
        seed: what the corruptions are drawn from.

    Returns:
        clouds (n, M, 3), and which of their points exist (n, M); None where all do.

    Raises:
        InputError: the corruption or severity is unknown, or the shapes have fewer points than the view asks for.
    """
    clouds = [_one(shapes, place, view, name, severity, seed) for place in places]
    counts = np.array([len(cloud) for cloud in clouds])
    padded = np.zeros((len(clouds), counts.max(initial=0), 3), np.float32)
    for row, cloud in zip(padded, clouds, strict=True):
        row[: len(cloud)] = cloud
    mask = np.arange(padded.shape[1]) < counts[:, None]
    return padded, None if mask.all() else mask


def corrupted(shapes: Shapes, name: str, severity: int, *, view: View | None = None, seed: int = 0) -> Shapes:
    """A corrupted copy of a dataset's shapes, for other software that wants one count of points.

    Shapes with fewer points than the largest are filled up with their own points, as in the release.

    Args:
        shapes: the clean shapes.
        name: of the corruption.
        severity: 1 to 5.
        view: how many points of the clean shapes are taken, which, and turned how; all as they are when absent.
        seed: what the corruptions are drawn from.

    Raises:
        InputError: the corruption or severity is unknown, or the shapes have fewer points than the view asks for.

    Example:
        >>> from pointvae.data.dataset import Shapes
        >>> clean = Shapes(np.random.default_rng(0).random((2, 1024, 3), np.float32), None, ["a", "b"], [])
        >>> corrupted(clean, "cutout", 5).points.shape
        (2, 724, 3)
    """
    clouds, mask = corrupted_clouds(shapes, range(len(shapes)), view or View(), name, severity, seed=seed)
    if mask is not None:
        for cloud, exists in zip(clouds, mask, strict=True):
            count = int(exists.sum())
            cloud[:] = cloud[np.arange(len(cloud)) % count]
    return dataclasses.replace(shapes, points=clouds, normals=None)


def _one(shapes: Shapes, place: int, view: View, name: str, severity: int, seed: int) -> Floats:
    corruption = find_corruption(name, severity)
    stored = shapes.points.shape[1]
    seen = stored if view.points is None else view.points
    supply = max(seen, int(min(corruption.supply * seen, stored)))
    cloud = dataclasses.replace(view, points=supply).clouds(shapes, [place])[0]
    rng = np.random.default_rng((seed, _STREAM, list(CORRUPTIONS).index(name), severity, place))
    worse = corrupt(cloud, name, severity, rng)
    if len(worse) > corruption.keep * seen:
        worse = worse[rng.permutation(len(worse))[: max(1, int(corruption.keep * seen))]]
    return worse
