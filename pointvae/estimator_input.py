"""What scikit-learn's users call X, as clouds: arrays, ragged lists, tensors, `Shapes`, other libraries' objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.dataset import ShapeDataset, Shapes
from pointvae.data.sampling import Normalize, Up, shape_rng, thin, to_cloud
from pointvae.data.source import MESH_POINTS
from pointvae.data.thirdparty import geometry_of, is_shape
from pointvae.errors import InputError

Floats = npt.NDArray[np.float32]

TAKEN = "an array (n, points, 3), a list of clouds (points, 3) or of meshes, or Shapes"


def read_clouds(X: Any, *, points: int, up: Up, normalize: Normalize) -> list[Floats]:
    """Every shape of X as a cloud (p_i, 3), z up and normalised as `prepare` does.

    Clouds keep all of their points in their order. A mesh is sampled by area, from a seed that is made of the mesh
    itself: so the same mesh gives the same cloud wherever it stands in X.

    Args:
        X: an array or a tensor (n, points, 3); a list, a pandas Series or a column of clouds (p_i, 3), meshes and
            objects of trimesh, open3d and PyG; `Shapes`, or a `ShapeDataset` of one split.
        points: drawn from each mesh, or 2,048 if that is more.
        up: the up axis of what is not of this package, whose shapes are z up.
        normalize: ``sphere``, ``cube`` or ``none``.

    Raises:
        InputError: X is something else or empty, or one of its shapes cannot be used, which the message names.
    """
    clouds = []
    for row, (shape, axis) in enumerate(_listed(X, up)):
        try:
            geometry = geometry_of(np.asarray(shape) if isinstance(shape, list | tuple) else shape)
            count = len(geometry.vertices) if geometry.faces is None else max(points, MESH_POINTS)
            rng = shape_rng(0, geometry.digest())
            cloud, _ = to_cloud(geometry, points=count, up=axis, normalize=normalize, rng=rng)
            if not np.isfinite(cloud).all():
                raise InputError("its coordinates are beyond single precision; leave normalize at 'sphere'")
        except (InputError, ValueError) as error:
            raise InputError(f"X[{row}]: {error}") from None
        clouds.append(cloud)
    return clouds


def training_split(X: Any) -> Any:
    """The ``train`` split of a `ShapeDataset`, as `pointvae.fit` takes it; anything else as it is."""
    return X["train"] if isinstance(X, ShapeDataset) and "train" in X.splits else X


def thinned(cloud: Floats, points: int) -> Floats:
    """At most ``points`` of a cloud (p, 3), chosen by the cloud alone: neither its place nor its order matters.

    They are chosen by their ranks from bottom to top, the same ranks for every cloud of a size. A seed made of the
    coordinates would choose all others where one of them is rounded differently.
    """
    if len(cloud) <= points:
        return cloud
    return np.asarray(thin(cloud[np.lexsort(cloud.T)], points, shape_rng(0, "")))


def equal_counts(clouds: Sequence[Floats], points: int, seed: int) -> Floats:
    """Clouds (p_i, 3) as one array (n, N, 3) to train on.

    N is the smallest count, or ``points`` where that is more: larger clouds are thinned at random, and of smaller
    ones every point is repeated as often as any other, give or take one.
    """
    counts = [len(cloud) for cloud in clouds]
    size = max(min(counts), min(points, max(counts)))
    if min(counts) == max(counts):
        return np.stack(clouds)
    orders = (shape_rng(seed, str(row)).permutation(count) for row, count in enumerate(counts))
    return np.stack([cloud[np.resize(order, size)] for cloud, order in zip(clouds, orders, strict=True)])


def padded(clouds: Sequence[Floats]) -> tuple[Floats, npt.NDArray[np.bool_] | None]:
    """Clouds (p_i, 3) as one array (n, N, 3), and which of its points exist (n, N); None where all do."""
    counts = np.array([len(cloud) for cloud in clouds])
    if counts.min() == counts.max():
        return np.stack(clouds), None
    mask = np.arange(counts.max()) < counts[:, None]
    array = np.zeros((*mask.shape, 3), np.float32)
    array[mask] = np.concatenate(clouds)
    return array, mask


def _listed(X: Any, up: Up) -> Iterable[tuple[Any, Up]]:
    """The shapes of X one by one, each with its up axis."""
    if isinstance(X, ShapeDataset):
        if len(X.splits) > 1:
            raise InputError(f"X is a dataset of the splits {', '.join(X.splits)}; give one: X[{X.splits[0]!r}]")
        X = X[X.splits[0]]
    if isinstance(X, Shapes):
        shapes: list[tuple[Any, Up]] = [(cloud, "z") for cloud in X.points]
    elif hasattr(X, "to_data_list"):  # a PyG Batch
        shapes = [(graph, up) for graph in X.to_data_list()]
    elif hasattr(X, "iloc"):  # pandas: a column of clouds
        shapes = [(cloud, up) for cloud in _column(X)]
    elif hasattr(X, "ndim") and X.ndim != 1:
        _check_array(X)
        shapes = [(cloud, up) for cloud in X]
    elif isinstance(X, str | bytes | dict) or not hasattr(X, "__len__") or is_shape(X):
        told = "one shape, not several: put it in a list" if is_shape(X) else f"{type(X).__name__}; give {TAKEN}"
        raise InputError(f"X is {told}")
    else:  # scikit-learn cuts Shapes into a list of Shapes
        shapes = [pair for item in X for pair in (_listed(item, up) if isinstance(item, Shapes) else [(item, up)])]
    if not shapes:
        raise InputError(f"X holds no shapes (n_samples=0); give {TAKEN}")
    return shapes


def _column(frame: Any) -> list[Any]:
    if frame.ndim == 1:
        return list(frame)
    if frame.shape[1] != 1:
        raise InputError(f"X is a table of {frame.shape[1]} columns; give the one that holds the clouds")
    return list(frame.iloc[:, 0])


def _check_array(array: Any) -> None:
    shape = list(array.shape)
    if len(shape) == 3 and shape[2] == 3 and shape[1] > 0:
        return
    mend = f"give {TAKEN}"
    if len(shape) == 3 and shape[1] == 3:
        mend = "give (n, points, 3): X.transpose(0, 2, 1)" if type(array).__module__ == "numpy" else mend
    elif len(shape) == 3 and shape[2] > 3:
        mend = "give x, y and z alone: X[:, :, :3]"
    elif len(shape) == 2 and shape[1] == 3:
        mend = "one cloud is X[None]"
    raise InputError(f"X is {shape}, not (n, points, 3); {mend}")
