"""Shapes in this process as a source: our `Shapes`, data sets, lists of meshes, clouds or graphs, splits of them."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pointvae.data.dataset import Shapes
from pointvae.data.metadata import SPLIT_NAMES
from pointvae.data.sampling import Geometry, Normalize, Up, shape_rng, thin, to_cloud, turn_z_up
from pointvae.data.source import MESH_POINTS, SPLITS, Item, Source, SourceOptions, check_counts, draw_split
from pointvae.data.thirdparty import geometry_of, is_shape
from pointvae.errors import InputError


def is_object(source: object) -> bool:
    """Whether a source is neither a name nor a path."""
    return isinstance(source, Shapes | Mapping) or (
        hasattr(source, "__len__") and not isinstance(source, str | bytes)
    )


def open_objects(source: Any, options: SourceOptions, classes: Sequence[str] | None = None) -> Source:
    """The shapes of `Shapes`, of a data set or of a sequence of what `geometry_of` takes; or of several, by split.

    A shape may come as a pair with its label, as torch's data sets give them.

    All of them are read once, for labels, counts and a checksum by which `prepare` knows them again. So a data set
    with random transforms gives other shapes each time: take the transforms out.

    Args:
        source: the shapes, or a mapping such as ``{"train": …, "test": …}``.
        options: for the split that is drawn where there is none.
        classes: names of the classes; those the shapes tell, else the numbers of the labels.

    Raises:
        InputError: something else is given, a split is unknown, or only some shapes have labels.
    """
    plan = list_objects(source, options, classes)
    return replace(plan, items=sorted(plan.items, key=lambda item: (SPLITS.index(item.split), item.name)))


def list_objects(source: Any, options: SourceOptions, classes: Sequence[str] | None = None) -> Source:
    """As `open_objects`, with the shapes in the order they were given in."""
    given: dict[str | None, Any] = {None: source}
    if isinstance(source, Mapping):
        odd = [str(name) for name in source if str(name).lower() not in SPLIT_NAMES]
        if odd:
            raise InputError(f"split {odd[0]!r}: not one of train, validation, test")
        given = {SPLIT_NAMES[str(name).lower()]: shapes for name, shapes in source.items()}
    digest = hashlib.sha256()
    listed: list[tuple[str | None, str | None, int | None, Callable[[], Geometry]]] = []
    counts: list[int | None] = []
    told: list[str] | None = None
    factors = True
    for split, shapes in given.items():
        for index, (name, label, load, names) in enumerate(_read(shapes, split)):
            geometry = _checked(load, f"{split or 'shape'} {index}")
            factors = factors and geometry.factors is not None
            parts = (geometry.vertices, geometry.faces)
            digest.update(f"{split}\0{name}\0{label}\0{geometry.vertices.shape}\n".encode())
            for part in parts:
                digest.update(b"-" if part is None else np.ascontiguousarray(part).tobytes())
            listed.append((split, name, label, load))
            counts.append(len(geometry.vertices) if geometry.faces is None else None)
            told = told or names
    if not listed:
        raise InputError("the source holds no shapes")
    own = {name for _, name, _, _ in listed}
    tell_apart = None not in own and len(own) == len(listed)
    names = [
        str(name) if tell_apart else f"{split or 'shape'}_{row:06d}" for row, (split, name, _, _) in enumerate(listed)
    ]
    labels = [label for _, _, label, _ in listed if label is not None]
    if labels and len(labels) < len(listed):
        raise InputError(f"{len(listed) - len(labels)} of {len(listed)} shapes have no label; label all or none")
    named = _classes(labels, classes if classes is not None else told)
    drawn = None in given
    splits = draw_split(names, labels or None, named, options) if drawn else [str(split) for split, *_ in listed]
    items = [
        Item(names[row], splits[row], labels[row] if labels else None, load)
        for row, (_, _, _, load) in enumerate(listed)
    ]
    clouds = {count for count in counts if count is not None}
    uniform = len(clouds) == 1 and None not in counts
    return Source(
        name=_name(source),
        kind="arrays" if uniform else "folder",
        classes=named,
        items=items,
        fingerprint=digest.hexdigest()[:32],
        points=min(clouds) if uniform else MESH_POINTS,
        parallel=False,
        factors=factors,
        options={"test_fraction": options.test_fraction} if drawn else {},
        clouds=[(names[row], functools.partial(int, count)) for row, count in enumerate(counts) if count is not None],
    )


def from_objects(
    shapes: Any,
    points: int | None = None,
    *,
    up: Up = "z",
    normalize: Normalize = "sphere",
    seed: int = 0,
    classes: Sequence[str] | None = None,
) -> Shapes:
    """Meshes, clouds and graphs of any library as `Shapes`: meshes sampled by area, larger clouds thinned.

    Each shape is sampled as `prepare` does, with a seed made from ``seed`` and its name: the one it carries, if all
    do and no two are equal, else ``shape_000000``, ….

    Args:
        shapes: a sequence, or an array [n, N, 3], of what `geometry_of` takes, alone or in pairs with their labels.
        points: points per shape N; all that clouds of one size have, 2,048 for others.
        up: the up axis of the shapes; `Shapes` are z up.
        normalize: as in `prepare`; ``none`` keeps the coordinates to the last bit.
        seed: of the sampling and thinning.
        classes: names of the classes; the numbers of the labels unless the shapes tell them.

    Returns:
        `Shapes` with points [n, N, 3], in the order they were given in.

    Raises:
        InputError: one is no shape, has no points, too few of them, no surface, or NaN; its place is told.

    Example:
        >>> from_objects([np.random.default_rng(0).normal(size=(50, 3))], 20).points.shape
        (1, 20, 3)
    """
    if isinstance(shapes, Mapping):
        raise InputError("the source is a mapping of splits; give one split, or give all of them to prepare")
    source = list_objects(shapes, SourceOptions(test_fraction=0), classes)
    count = source.points if points is None else points
    check_counts(source, count, told=points is not None)
    clouds, normals, factors = [], [], []
    for row, item in enumerate(source.items):
        geometry, shape = item.load(), _apart(shapes[row])[0]
        try:
            cloud, _ = to_cloud(geometry, points=count, up=up, normalize=normalize, rng=shape_rng(seed, item.name))
        except InputError as error:
            raise InputError(f"{item.name}: {error}") from error
        clouds.append(cloud)
        normal, told = getattr(shape, "normal", None), getattr(shape, "factors", None)
        if normal is not None and geometry.faces is None:  # thinned as the points are, by the same draw
            kept = thin(np.asarray(normal, np.float32), count, shape_rng(seed, item.name))
            normals.append(turn_z_up(kept, up))
        if isinstance(told, str):
            factors.append(json.loads(told))
    labels = [item.label for item in source.items]
    return Shapes(
        np.stack(clouds),
        np.array(labels, np.int64) if source.classes else None,
        [item.name for item in source.items],
        source.classes,
        np.stack(normals) if len(normals) == len(clouds) else None,
        factors if len(factors) == len(clouds) else None,
    )


def _read(
    shapes: Any, split: str | None
) -> Iterator[tuple[str | None, int | None, Callable[[], Geometry], list[str] | None]]:
    """Name, label, loader and class names of each shape; None for what is not known."""
    if isinstance(shapes, Shapes):
        for row, name in enumerate(shapes.names):
            label = None if shapes.labels is None else int(shapes.labels[row])
            yield name, label, functools.partial(_of_shapes, shapes, row), shapes.classes
        return
    if is_shape(shapes):
        raise InputError(
            f"{split or 'the source'}: is one shape, {type(shapes).__name__}; give a list, such as [shape]"
        )
    if not hasattr(shapes, "__getitem__") or not hasattr(shapes, "__len__"):
        raise InputError(
            f"{split or 'the source'}: is {type(shapes).__name__}, not a data set, a list of shapes, or Shapes"
        )
    for row in range(len(shapes)):
        shape, label = _apart(shapes[row])
        classes = getattr(shape, "classes", None)
        yield (
            name_of(shape),
            label_of(shape) if label is None else label,
            functools.partial(_of_sequence, shapes, row),
            [str(name) for name in classes] if isinstance(classes, list | tuple) else None,
        )


def _apart(given: Any) -> tuple[Any, int | None]:
    """A shape and its label, of a pair such as torch's data sets give, or of a shape alone."""
    if isinstance(given, tuple) and len(given) == 2:
        label = np.asarray(given[1])
        if label.size == 1 and label.dtype.kind in "iu":
            return given[0], int(label.reshape(()))
    return given, None


def name_of(shape: Any) -> str | None:
    """The name that a shape carries: ``name`` of PyG's ``Data``, the file's name that trimesh noted; else None."""
    metadata = getattr(shape, "metadata", None)
    noted = metadata.get("file_name") if isinstance(metadata, dict) else None
    own = noted if isinstance(noted, str) else getattr(shape, "name", None)
    return own if isinstance(own, str) and own else None


def label_of(graph: Any) -> int | None:
    """The class of a graph: ``y``, or ``category`` where ``y`` is of each point; None where neither is one number."""
    for key in ("y", "category"):
        value = getattr(graph, key, None)
        array = None if value is None else np.asarray(value)
        if array is not None and array.size == 1 and array.dtype.kind in "iu":
            return int(array.reshape(()))
    return None


def _of_shapes(shapes: Shapes, row: int) -> Geometry:
    factors = None if shapes.factors is None else shapes.factors[row]
    return Geometry(shapes.points[row].astype(np.float64), None, factors)


def _of_sequence(shapes: Any, row: int) -> Geometry:
    return geometry_of(_apart(shapes[row])[0], finite=False)  # one with NaN is left out by name, as a file is


def _checked(load: Callable[[], Geometry], where: str) -> Geometry:
    try:
        return load()
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _classes(labels: list[int], names: Sequence[str] | None) -> list[str]:
    if not labels:
        return []
    if min(labels) < 0:
        raise InputError(f"a label is {min(labels)}; labels count from 0")
    if not names:
        return [str(label) for label in range(max(labels) + 1)]
    if max(labels) >= len(names):
        raise InputError(f"a label is {max(labels)}, but there are only {len(names)} class names, counted from 0")
    return [str(name) for name in names]


def _name(source: Any) -> str:
    if isinstance(source, Mapping):
        return _name(next(iter(source.values())))
    if isinstance(source, Shapes):
        return "shapes"
    if isinstance(source, list | tuple):
        return "graphs" if hasattr(source[0], "pos") else "shapes in memory"
    return type(source).__name__
