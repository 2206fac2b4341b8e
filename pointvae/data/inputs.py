"""`open_input`: whatever a user points at, as clouds that a trained model takes, piece by piece."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.card import MANIFEST, is_dataset
from pointvae.data.clouds import count_points
from pointvae.data.dataset import Shapes, load_dataset, read_shards
from pointvae.data.folders import FileReader
from pointvae.data.isolation import Limits
from pointvae.data.layouts import HUB
from pointvae.data.readers import READERS
from pointvae.data.reading import SplitShards
from pointvae.data.rows import Settings, make_rows, usable
from pointvae.data.sampling import Normalize, Up, normalize_points, shape_rng, thin_index
from pointvae.data.source import MESH_POINTS, Item, Source, SourceOptions, check_counts
from pointvae.data.sources import open_source
from pointvae.engines import Serial, in_order, open_engine
from pointvae.errors import InputError
from pointvae.places import here, is_remote, place
from pointvae.progress import progress_bar

logger = logging.getLogger(__name__)

PIECE = 64
"""Raw files of a piece: enough to keep a worker busy, few enough to spread."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Some shapes of an input, and why others of them cannot be used, a line each."""

    shapes: Shapes
    left_out: list[str]


@dataclass(frozen=True, eq=False)
class Input:
    """Clouds that are read a piece at a time, here or on a worker.

    Attributes:
        name: what to call it.
        classes: the names of the classes; empty for unlabelled shapes.
        points: points of each cloud.
        count: how many shapes there are, those included that turn out to be of no use.
        pieces: what reads each piece, in order.
        parallel: whether reading can be sent to a worker.
    """

    name: str
    classes: list[str]
    points: int
    count: int
    pieces: Iterable[Callable[[], Piece]]
    parallel: bool


def read_input(
    path: str | Path,
    *,
    points: int | None,
    seed: int = 0,
    up: Up = "z",
    normalize: Normalize = "sphere",
    split: str | None = None,
    jobs: int = 1,
    progress: bool = False,
) -> Shapes:
    """Clouds of ``points`` points, z up and normalised, of anything that holds shapes.

    A file in a folder that cannot be used is left out, with a warning in the log; a single file that cannot be used
    is an error. Clouds with more points than asked for are thinned, each with its own seed.

    Args:
        path: a dataset folder, a mesh, a cloud, a folder or an archive of them, an .npz or an .h5.
        points: points per shape; None for what `prepare` would take.
        seed: seed of the sampling and thinning.
        up: the up axis of raw shapes; a dataset folder is z up already.
        normalize: as in `prepare`; a dataset folder is normalised anew only if its card says otherwise.
        split: only this split; all of them by default.
        jobs: processes for reading raw files.
        progress: show a progress bar on stderr.

    Returns:
        `Shapes` with points [n, points, 3].

    Raises:
        InputError: nothing is there, the file is at fault, or a cloud holds fewer points than asked for.
    """
    with (
        open_input(path, points=points, seed=seed, up=up, normalize=normalize, split=split) as found,
        open_engine("local", jobs) as engine,
        progress_bar(progress, "reading", found.count) as advance,
    ):
        parts: list[Shapes] = []
        reasons: list[str] = []
        for piece in in_order((engine if found.parallel else Serial()).run(found.pieces)):
            advance(len(piece.shapes) + len(piece.left_out))
            warn_of(piece.left_out)
            reasons += piece.left_out
            if len(piece.shapes):
                parts.append(piece.shapes)
        check_any(found, len(parts), reasons)
    return join(parts)


def warn_of(reasons: Sequence[str]) -> None:
    """Say in the log what had to be left out."""
    for reason in reasons:
        logger.warning("left out %s", reason)


def check_any(found: Input, shapes: int, reasons: Sequence[str]) -> None:
    """Refuse an input of which nothing could be used.

    Raises:
        InputError: with the first of the reasons.
    """
    if not shapes:
        raise InputError(f"{found.name}: no shape can be used ({len(reasons)} left out); {reasons[0]}")


@contextlib.contextmanager
def open_input(
    path: str | Path,
    *,
    points: int | None,
    seed: int = 0,
    up: Up = "z",
    normalize: Normalize = "sphere",
    split: str | None = None,
) -> Iterator[Input]:
    """What `read_input` reads, piece by piece, valid inside the ``with`` block; its arguments.

    Raises:
        InputError: nothing is there, a single file is at fault, or clouds hold fewer points than asked for.
    """
    where = Path(path) if str(path).startswith(HUB) else place(path)  # what the Hub has is no folder
    if points is not None and points < 2:
        raise InputError(f"--points {points}: must be 2 or more")
    if where.suffix.lower() in READERS and where.is_file():
        with here(where) as file:
            shapes = _read_single(where, file, points, seed, up, normalize)
        yield Input(where.name, [], shapes.points.shape[1], 1, [functools.partial(Piece, shapes, [])], parallel=False)
    elif where.is_dir() and (is_dataset(where) or (where / MANIFEST).is_file()):
        if up != "z":
            raise InputError(f"{where}: a dataset folder is z up already; leave out --up {up}")
        yield _of_dataset(where, points, seed, normalize, split)
    else:
        with open_source(path, SourceOptions(seed=seed, test_fraction=0)) as source:
            count = source.points if points is None else points
            check_counts(source, count, told=points is not None)
            yield _of_source(source, Settings(count, up, normalize, seed, normals=False, dtype="float32"), split)


def _read_single(where: Path, file: Path, points: int | None, seed: int, up: Up, normalize: Normalize) -> Shapes:
    count = points or (count_points(file) or MESH_POINTS)
    settings = Settings(count, up, normalize, seed, normals=False, dtype="float32")
    (row,) = make_rows([Item(where.name, "test", None, FileReader(file))], settings, Limits())
    if isinstance(row, str):
        raise InputError(f"{where}: {row}")
    return Shapes(row.points[None], None, [where.name], [])


def _of_dataset(where: Path, points: int | None, seed: int, normalize: Normalize, split: str | None) -> Input:
    dataset = load_dataset(where if is_remote(where) else where.absolute())
    count = dataset.points if points is None else points
    if count > dataset.points:
        raise InputError(
            f"{where}: its clouds hold {dataset.points} points, fewer than the {count} asked for; "
            f"use --points {dataset.points} or fewer, or prepare it anew with --points {count}"
        )
    facts = dataset.card["pointvae"]
    columns = {name: facts[name] for name in ("classes", "normals", "factors")}
    again: Normalize = normalize if facts["normalize"] != normalize else "none"
    shards = [dataset.shards(name) for name in (dataset.splits if split is None else [split])]
    pieces = (
        functools.partial(_read_shard, some.only(shard), columns, count, seed, again)
        for some in shards
        for shard in range(len(some.files))
    )
    return Input(where.name, dataset.classes, count, sum(sum(some.rows) for some in shards), pieces, parallel=True)


def _read_shard(shard: SplitShards, columns: dict[str, Any], count: int, seed: int, normalize: Normalize) -> Piece:
    shapes = read_shards(shard, columns)
    clouds, normals = shapes.points, shapes.normals
    if count < shard.points:
        rngs = (shape_rng(seed, name) for name in shapes.names)
        chosen = np.stack([thin_index(shard.points, count, rng) for rng in rngs])[..., None]
        clouds = np.take_along_axis(clouds, chosen, axis=1)
        normals = None if normals is None else np.take_along_axis(normals, chosen, axis=1)
    shapes = dataclasses.replace(shapes, points=clouds, normals=normals)
    return Piece(shapes, []) if normalize == "none" else _normalised(shapes, normalize)


def _normalised(shapes: Shapes, normalize: Normalize) -> Piece:
    kept: list[int] = []
    clouds: list[npt.NDArray[Any]] = []
    reasons: list[str] = []
    for row, cloud in enumerate(shapes.points):
        try:
            clouds.append(normalize_points(cloud, normalize))
            kept.append(row)
        except InputError as error:
            reasons.append(f"{shapes.names[row]}: {error}")
    if not reasons:
        return Piece(dataclasses.replace(shapes, points=np.stack(clouds)), [])
    shapes = shapes[kept]
    return Piece(dataclasses.replace(shapes, points=np.stack(clouds)) if clouds else shapes, reasons)


def _of_source(source: Source, settings: Settings, split: str | None) -> Input:
    items: Sequence[Item] = source.items
    if split is not None:
        items = [item for item in source.items if item.split == split]
    if not items:
        there = ", ".join(dict.fromkeys(item.split for item in source.items)) or "no shapes"
        raise InputError(f"{source.name}: has no split {split!r}; it has {there}")
    for skipped in source.skipped:
        logger.warning("left out %s: %s", skipped["file"], skipped["why"])
    limits = Limits() if source.isolated else None
    pieces = (
        functools.partial(_read_items, list(items[start : start + PIECE]), settings, limits, source.classes)
        for start in range(0, len(items), PIECE)
    )
    return Input(source.name, source.classes, settings.points, len(items), pieces, source.parallel)


def _read_items(items: list[Item], settings: Settings, limits: Limits | None, classes: list[str]) -> Piece:
    kept, made, skipped = usable(items, settings, limits)
    reasons = [f"{row['file']}: {row['why']}" for row in skipped]
    labels = np.array([item.label for item in kept], np.int64) if classes else None
    points = np.stack([row.points for row in made]) if made else np.empty((0, settings.points, 3), np.float32)
    return Piece(Shapes(points, labels, [item.name for item in kept], classes), reasons)


def join(parts: Sequence[Shapes]) -> Shapes:
    """The shapes of several pieces of one input, one after the other."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    labels = [part.labels for part in parts if part.labels is not None]
    normals = [part.normals for part in parts if part.normals is not None]
    factors = [part.factors for part in parts if part.factors is not None]
    return Shapes(
        np.concatenate([part.points for part in parts]),
        np.concatenate(labels) if labels else None,
        [name for part in parts for name in part.names],
        first.classes,
        np.concatenate(normals) if normals else None,
        [values for part in factors for values in part] if factors else None,
    )
