"""The work of `prepare`: every shard of a plan that is not there yet, over processes, each written whole."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data import shards
from pointvae.data.parallel import progress_bar, workers
from pointvae.data.sampling import Geometry, Normalize, Up, shape_rng, to_cloud
from pointvae.data.source import SPLITS, Item, Source
from pointvae.errors import InputError


@dataclass(frozen=True)
class Settings:
    """How a shape becomes a row; all of it stands in the recipe."""

    points: int
    up: Up
    normalize: Normalize
    seed: int
    normals: bool
    dtype: str


@dataclass(frozen=True, eq=False)
class Made:
    """One finished row: points and normals [N, 3]."""

    points: npt.NDArray[Any]
    normals: npt.NDArray[Any] | None
    factors: str
    digest: str


@dataclass(frozen=True)
class Shard:
    """A shard of the plan: its file name, its split and the items that belong in it."""

    file: str
    split: str
    items: list[Item]


def plan_shards(source: Source, shard_size: int) -> list[Shard]:
    """Cut the items of each split into shards; files that fail later make a shard shorter, never renumber it."""
    plan = []
    for split in SPLITS:
        items = [item for item in source.items if item.split == split]
        count = -(-len(items) // shard_size)
        for index in range(count):
            chunk = items[index * shard_size : (index + 1) * shard_size]
            plan.append(Shard(shards.shard_name(split, index, count), split, chunk))
    return plan


def make_row(load: Callable[[], Geometry], name: str, settings: Settings) -> Made | str:
    """Load one shape and turn it into a row; where the shape is at fault, the reason."""
    try:
        geometry = load()
        cloud, normals = to_cloud(
            geometry,
            points=settings.points,
            up=settings.up,
            normalize=settings.normalize,
            rng=shape_rng(settings.seed, name),
            normals=settings.normals,
        )
    except InputError as error:
        return str(error)
    with np.errstate(over="ignore"):
        stored = cloud.astype(settings.dtype)
    if not np.isfinite(stored).all():
        return f"its coordinates are too large for {settings.dtype}; use --normalize sphere"
    factors = json.dumps(geometry.factors, sort_keys=True) if geometry.factors is not None else ""
    return Made(stored, None if normals is None else normals.astype(settings.dtype), factors, geometry.digest())


def refused(file: str, why: str) -> InputError:
    """The error for a file that ``strict`` does not let pass."""
    return InputError(f"{file}: {why} (--strict: mend or remove the file)")


def build(
    folder: Path,
    source: Source,
    plan: list[Shard],
    settings: Settings,
    *,
    jobs: int,
    strict: bool,
    progress: bool,
) -> int:
    """Write every shard of the plan that is not in the folder; return how many were there already.

    Raises:
        InputError: with ``strict``, at the first shard that had to leave a file out.
    """
    missing = [shard for shard in plan if not _is_whole(folder / shard.file)]
    total = sum(len(shard.items) for shard in missing)
    with workers(jobs if source.parallel else 1) as run, progress_bar(progress, "preparing", total) as advance:
        for shard in missing:
            made: list[Made] = []
            kept: list[Item] = []
            skipped: list[dict[str, str]] = []
            for item, row in zip(shard.items, run(row_calls(shard.items, settings)), strict=True):
                advance()
                if isinstance(row, Made):
                    made.append(row)
                    kept.append(item)
                elif strict:
                    raise refused(item.name, row)
                else:
                    skipped.append({"file": item.name, "why": row})
            shards.write_shard(folder / shard.file, _rows(made, kept, skipped, source, settings))
    return len(plan) - len(missing)


def row_calls(items: list[Item], settings: Settings) -> Iterator[Callable[[], Made | str]]:
    """A call of `make_row` for each item, to be run anywhere."""
    return (functools.partial(make_row, item.load, item.name, settings) for item in items)


def _rows(
    made: list[Made], kept: list[Item], skipped: list[dict[str, str]], source: Source, settings: Settings
) -> shards.Rows:
    empty = np.empty((0, settings.points, 3), settings.dtype)
    return shards.Rows(
        points=np.stack([row.points for row in made]) if made else empty,
        names=[item.name for item in kept],
        source=source.name,
        labels=np.array([item.label for item in kept], np.int64) if source.classes else None,
        normals=(np.stack([row.normals for row in made if row.normals is not None]) if made else empty)
        if settings.normals
        else None,
        factors=[row.factors for row in made] if source.factors else None,
        skipped=skipped,
        digests=[row.digest for row in made],
    )


def _is_whole(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        shards.count_rows(path)
    except InputError:
        return False
    return True
