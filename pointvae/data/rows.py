"""From one shape of a source to one row of a dataset: sampled, turned, normalised; or the reason why not."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.folders import FileReader
from pointvae.data.isolation import Limits, shared
from pointvae.data.sampling import Geometry, Normalize, Up, shape_rng, to_cloud
from pointvae.data.source import Item
from pointvae.engines.base import Engine, in_order
from pointvae.errors import InputError

CHUNK = 8
"""Shapes that travel to a worker together where it sends them back: a small one takes less time than its journey."""


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


def make_rows(items: Sequence[Item], settings: Settings, limits: Limits | None) -> list[Made | str]:
    """A row, or the reason why there is none, of each item.

    Args:
        items: the shapes.
        settings: how they become rows.
        limits: what one file may take in a process of its own, where a broken one can do no harm; None for shapes
            that are not read from files, which are made in this process.
    """
    if limits is None:
        return [make_row(item.load, item.name, settings) for item in items]
    isolation = shared(limits)
    rows = []
    for item in items:
        with item.load.nearby() if isinstance(item.load, FileReader) else nullcontext(item.load) as load:
            rows.append(isolation.row(functools.partial(make_row, load, item.name, settings)))
    return rows


def usable(
    items: Sequence[Item], settings: Settings, limits: Limits | None
) -> tuple[list[Item], list[Made], list[dict[str, str]]]:
    """The items that `make_rows` makes rows of, these rows, and the others, each with ``file`` and ``why``."""
    kept: list[Item] = []
    made: list[Made] = []
    skipped: list[dict[str, str]] = []
    for item, row in zip(items, make_rows(items, settings, limits), strict=True):
        if isinstance(row, Made):
            kept.append(item)
            made.append(row)
        else:
            skipped.append({"file": item.name, "why": row})
    return kept, made, skipped


def rows_in_order(
    items: Sequence[Item], settings: Settings, engine: Engine, limits: Limits | None
) -> Iterator[Made | str]:
    """The rows of items, made on an engine, in the items' order."""
    chunks = (
        functools.partial(make_rows, items[start : start + CHUNK], settings, limits)
        for start in range(0, len(items), CHUNK)
    )
    for rows in in_order(engine.run(chunks)):
        yield from rows
