"""Changes of a known size to clouds: turn, tilt, scale, jitter, translation and number of points."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.views import View

Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.floating[Any]]
STREAM = 71  # what these draws do not share with any other part's
FEWEST, MORE = 16, 4  # points: from 16 on, up to four times those that the view has


@dataclass(frozen=True)
class Change:
    """One kind of change and the sizes at which it is measured.

    What is drawn (the axis of a tilt, the direction of a translation, the noise of a jitter) is drawn once for each
    shape, from (seed, place), and is the same at every size.

    Attributes:
        name: ``turn``, ``tilt``, ``scale``, ``jitter``, ``translation`` or ``points``.
        words: what it is, for the report.
        unit: of the sizes.
        sizes: in growing order.
        nothing: the size that changes nothing.
    """

    name: str
    words: str
    unit: str
    sizes: tuple[float, ...]
    nothing: float

    def __post_init__(self) -> None:
        if self.name != "points" and self.name not in MOVES:
            raise InputError(f"change {self.name!r}: unknown; choose from {', '.join([*MOVES, 'points'])}")

    def clouds(self, shapes: Shapes, view: View, places: Sequence[int], size: float, *, seed: int = 0) -> Floats:
        """The shapes at some places, seen through a view and changed (n, N, 3).

        A size that changes nothing gives the view's clouds bit for bit.

        Raises:
            InputError: the shapes have fewer points than asked for.
        """
        if self.name == "points":
            return replace(view, points=int(size)).clouds(shapes, places)
        move = MOVES[self.name]
        seen = view.clouds(shapes, places)
        for row, place in enumerate(places):
            seen[row] = move(seen[row].astype(np.float64), size, np.random.default_rng((seed, STREAM, place)))
        return seen


def changes_of(shapes: Shapes, view: View, *, quick: bool = False) -> list[Change]:
    """Every change at its standard sizes; ``quick`` takes fewer."""
    turn, tilt, scale, jitter, way = (
        ((0, 30, 90, 180), (0, 30, 90), (0.5, 1, 2), (0, 0.02, 0.1), (0, 0.1, 0.5))
        if quick
        else (
            (0, 15, 30, 45, 60, 90, 135, 180),
            (0, 15, 30, 45, 60, 90, 180),
            (0.5, 0.67, 0.8, 1, 1.25, 1.5, 2),
            (0, 0.005, 0.01, 0.02, 0.05, 0.1),
            (0, 0.02, 0.05, 0.1, 0.2, 0.5),
        )
    )
    stored = shapes.points.shape[1]
    seen = view.points or stored
    counts = _counts(seen, min(stored, MORE * seen), 4 if quick else 2)
    return [
        Change("turn", "turned about the up axis", "degrees", turn, 0),
        Change("tilt", "tilted about a horizontal axis", "degrees", tilt, 0),
        Change("scale", "scaled about the origin", "factor", scale, 1),
        Change("jitter", "jittered", "standard deviation of each coordinate, unit-sphere lengths", jitter, 0),
        Change("translation", "moved in a random direction", "distance, unit-sphere lengths", way, 0),
        Change("points", "seen with fewer or more points", "points", counts, seen),
    ]


def _counts(seen: int, most: int, step: int) -> tuple[float, ...]:
    """The number seen, divided by powers of ``step`` down to 16; and ``most``."""
    counts, fewer = {seen, most}, seen // step
    while fewer >= FEWEST:
        counts.add(fewer)
        fewer //= step
    return tuple(float(count) for count in sorted(counts))


def turn(cloud: Matrix, degrees: float, rng: np.random.Generator) -> Matrix:
    """A cloud (N, 3) turned about the up axis, counter-clockwise as seen from above."""
    return cloud @ _rotation(np.array([0.0, 0.0, 1.0]), degrees).T


def tilt(cloud: Matrix, degrees: float, rng: np.random.Generator) -> Matrix:
    """A cloud (N, 3) turned about a horizontal axis of uniformly drawn heading."""
    heading = rng.uniform(0, 2 * math.pi)
    return cloud @ _rotation(np.array([math.cos(heading), math.sin(heading), 0.0]), degrees).T


def scale(cloud: Matrix, factor: float, rng: np.random.Generator) -> Matrix:
    """A cloud (N, 3) scaled about the origin."""
    return cloud * factor


def jitter(cloud: Matrix, sigma: float, rng: np.random.Generator) -> Matrix:
    """A cloud (N, 3) with Gaussian noise on every coordinate, not cut off."""
    return cloud + sigma * rng.standard_normal(cloud.shape)


def translation(cloud: Matrix, distance: float, rng: np.random.Generator) -> Matrix:
    """A cloud (N, 3) moved in a uniformly drawn direction."""
    direction = rng.standard_normal(3)
    return cloud + distance * direction / np.linalg.norm(direction)


MOVES: dict[str, Callable[[Matrix, float, np.random.Generator], Matrix]] = {
    "turn": turn,
    "tilt": tilt,
    "scale": scale,
    "jitter": jitter,
    "translation": translation,
}


def _rotation(axis: Matrix, degrees: float) -> Matrix:
    """The rotation matrix (3, 3) about a unit axis (3,): Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = math.radians(degrees)
    rotation: Matrix = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)
    return rotation
