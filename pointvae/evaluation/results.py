"""What an evaluation holds, between the models that made it and the report that shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """What one part of an evaluation found.

    Attributes:
        figures: JSON-able; they stand in ``metrics.json`` under the part's name.
        arrays: figures of each shape, and clouds for the report's pictures, by name; no objects.
    """

    figures: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Gallery:
    """Shapes beside their reconstructions: names, inputs (n, N, 3), outputs (n, M, 3), errors (n,)."""

    names: list[str]
    inputs: Floats
    outputs: Floats
    cd_l2_mean: Floats


@dataclass(frozen=True)
class LatentMap:
    """Shapes in the plane.

    Attributes:
        places: (n, 2) within [-1, 1].
        labels: index of each one's class (n,), if there are classes.
        names: of the shapes.
        clouds: (n, points, 3), thinned.
        method: ``pca`` or ``tsne``.
        of: number of shapes from which these were taken.
    """

    places: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64] | None
    names: list[str]
    clouds: Floats
    method: str
    of: int


@dataclass(frozen=True)
class Evaluation:
    """One run on one dataset.

    Attributes:
        name: the run's name.
        metrics: every figure, JSON-able.
        config: the run's ``config.json``.
        card: what ``prepare`` recorded of the dataset.
        classes: names of the classes.
        history: rows of ``metrics.csv`` without their empty cells.
        gallery: test shapes and their reconstructions.
        worst: those that came back worst.
        latent_map: test shapes by their posterior means.
        samples: decoded draws from the prior (n, M, 3).
        path: decoded points (steps, M, 3) on the line between the latents of two test shapes.
        path_ends: the two shapes (2, N, 3).
        path_names: their names.
        arrays: what the parts measured and show, by ``part/name``.
    """

    name: str
    metrics: dict[str, Any]
    config: dict[str, Any]
    card: dict[str, Any]
    classes: list[str]
    history: list[dict[str, float]]
    gallery: Gallery
    worst: Gallery
    latent_map: LatentMap
    samples: Floats
    path: Floats
    path_ends: Floats
    path_names: tuple[str, str]
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
