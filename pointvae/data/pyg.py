"""From PyTorch Geometric's data to our shapes and back; the one module that imports torch_geometric."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

from pointvae.data.dataset import Shapes
from pointvae.data.objects import from_objects
from pointvae.data.sampling import Normalize, Up
from pointvae.errors import InputError


def from_pyg(
    graphs: Any,
    points: int | None = None,
    *,
    up: Up = "z",
    normalize: Normalize = "sphere",
    seed: int = 0,
    classes: Sequence[str] | None = None,
) -> Shapes:
    """The shapes of a PyG data set or of a list of ``Data``: meshes sampled by area, larger clouds thinned.

    Each shape is sampled as `prepare` does, with a seed made from ``seed`` and its name. ``y`` is the label, ``name``
    the name, ``normal`` [n, 3] the normals of clouds.

    Args:
        graphs: a PyG data set, or a sequence of ``Data`` with ``pos`` [n, 3] and, for meshes, ``face`` [3, F].
        points: points per shape N; all that clouds of one size have, 2,048 for others.
        up: the up axis of the graphs; shapes are z up.
        normalize: as in `prepare`; ``none`` keeps the coordinates to the last bit.
        seed: of the sampling and thinning.
        classes: names of the classes; the numbers of the labels unless the graphs tell them.

    Returns:
        `Shapes` with points [n, N, 3], in the order of the graphs.

    Raises:
        InputError: a graph has no points, too few of them, or no surface.

    Example:
        >>> shapes = from_pyg(ModelNet("modelnet", "10", train=True), points=1024)  # doctest: +SKIP
    """
    return from_objects(graphs, points, up=up, normalize=normalize, seed=seed, classes=classes)


def to_pyg(shapes: Shapes) -> list[Any]:
    """The shapes as a list of PyG's ``Data``, which PyG's ``DataLoader`` batches.

    Each has ``pos`` [N, 3], ``name``, and, where known, ``y`` [1], ``classes``, ``normal`` [N, 3] and ``factors`` as
    JSON. `from_pyg` with ``normalize="none"`` gives the same shapes back.

    Raises:
        InputError: torch_geometric is not installed.
    """
    try:
        with warnings.catch_warnings():  # importing it speaks of what it uses of torch's, which is not the user's
            warnings.simplefilter("ignore", DeprecationWarning)
            from torch_geometric.data import Data
    except ImportError as error:
        raise InputError("torch_geometric is not installed; pip install 'pointvae[pyg]'") from error
    import torch

    graphs = []
    for row, name in enumerate(shapes.names):
        graph = Data(pos=torch.from_numpy(shapes.points[row].copy()), name=name)
        if shapes.labels is not None:
            graph.y = torch.tensor([int(shapes.labels[row])])
            graph.classes = shapes.classes
        if shapes.normals is not None:
            graph.normal = torch.from_numpy(shapes.normals[row].copy())
        if shapes.factors is not None:
            graph.factors = json.dumps(shapes.factors[row])
        graphs.append(graph)
    return graphs
