"""The procedural shapes as a source: built in memory, one seed for each shape."""

from __future__ import annotations

import functools

import numpy as np

from pointvae.data.sampling import Geometry, shape_rng
from pointvae.data.source import MESH_POINTS, SPLITS, Item, Source, SourceOptions, draw_split


def open_procedural(options: SourceOptions) -> Source:
    """``shapes_per_class`` shapes of every procedural category, each with its factors.

    Raises:
        InputError: one shape a class, which cannot be split.
    """
    from pointvae.data.procedural import CATEGORIES

    names, labels, loads = [], [], []
    for label, category in enumerate(CATEGORIES):
        for index in range(options.shapes_per_class):
            names.append(f"{category}_{index:04d}")
            labels.append(label)
            loads.append(functools.partial(build_shape, category, index, options.seed))
    splits = draw_split(names, labels, CATEGORIES, options)
    items = [Item(*parts) for parts in zip(names, splits, labels, loads, strict=True)]
    return Source(
        name="procedural",
        kind="procedural",
        classes=list(CATEGORIES),
        items=sorted(items, key=lambda item: (SPLITS.index(item.split), item.name)),
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
