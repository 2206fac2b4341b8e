"""The procedural shapes as a source: built in memory, one seed for each shape."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pointvae.data.sampling import Geometry, shape_rng
from pointvae.data.source import MESH_POINTS, SPLITS, ListedItems, Source, SourceOptions, draw_split


class _Names(Sequence[str]):
    """The names of ``each`` shapes of every category, one category after the other."""

    def __init__(self, each: int) -> None:
        from pointvae.data.procedural import CATEGORIES

        self._categories, self._each = CATEGORIES, each

    def __len__(self) -> int:
        return len(self._categories) * self._each

    def __getitem__(self, place: Any) -> Any:
        return f"{self._categories[place // self._each]}_{place % self._each:04d}"


def open_procedural(options: SourceOptions) -> Source:
    """``shapes_per_class`` shapes of every procedural category, each with its factors.

    Raises:
        InputError: one shape a class, which cannot be split.
    """
    from pointvae.data.procedural import CATEGORIES

    each, count = options.shapes_per_class, len(CATEGORIES) * options.shapes_per_class
    named = _Names(each)
    labels = np.repeat(np.arange(len(CATEGORIES), dtype=np.int32), each)
    drawn = draw_split(named, labels, CATEGORIES, options)
    splits = np.fromiter((SPLITS.index(split) for split in drawn), np.int8, count)

    def load(place: int) -> Callable[[], Geometry]:
        return functools.partial(build_shape, CATEGORIES[place // each], place % each, options.seed)

    return Source(
        name="procedural",
        kind="procedural",
        classes=list(CATEGORIES),
        items=ListedItems(count, named.__getitem__, load, splits, labels),
        fingerprint="-",
        points=MESH_POINTS,
        parallel=True,
        options={"shapes_per_class": options.shapes_per_class, "test_fraction": options.test_fraction},
        factors=True,
        licence="apache-2.0",
    )


def build_shape(category: str, index: int, seed: int) -> Geometry:
    """One procedural mesh, drawn from the seed, the category and the index alone."""
    from pointvae.data.procedural import build

    mesh, factors = build(category, shape_rng(seed, f"procedural/{category}/{index}"))
    return Geometry(
        np.asarray(mesh.vertices, dtype=np.float64),
        np.asarray(mesh.faces, dtype=np.int64),
        {name: float(value) for name, value in factors.items()},
    )
