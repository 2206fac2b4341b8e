"""How an evaluation sees each shape: which of its points, and turned how."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.average import rotations_of

Rotation = Literal["none", "z", "so3"]
ROTATIONS: tuple[str, ...] = get_args(Rotation)

Floats = npt.NDArray[np.float32]

_SUBSET, _TURN = 0, 1  # the two streams of each shape, so that a turn changes no subset


@dataclass(frozen=True)
class View:
    """A subset of points and a rotation for each shape, fixed by (seed, place of the shape) and nothing else.

    Args:
        points: points drawn from each shape, without repetition; all in their stored order when absent.
        rotation: ``none``, ``z`` (about the up axis, uniform) or ``so3`` (Haar-uniform).
        seed: what subsets and rotations are drawn from.

    Raises:
        InputError: an argument is unknown or out of range.
    """

    points: int | None = None
    rotation: Rotation = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.points is not None and self.points < 1:
            raise InputError(f"--points {self.points}: must be at least 1")
        if self.rotation not in ROTATIONS:
            raise InputError(f"--rotation {self.rotation}: unknown; choose from {', '.join(ROTATIONS)}")
        if self.seed < 0:
            raise InputError(f"--seed {self.seed}: must not be negative")

    def clouds(self, shapes: Shapes, places: Sequence[int] | None = None) -> Floats:
        """The shapes at some places as seen (n, points, 3); all of them when absent.

        Raises:
            InputError: the shapes have fewer points than asked for.
        """
        self._check(shapes)
        places = range(len(shapes)) if places is None else places
        seen = np.empty((len(places), self.points or shapes.points.shape[1], 3), np.float32)
        for row, place in enumerate(places):
            seen[row] = self._cloud(shapes, place)
        return seen

    def other_points(self, shapes: Shapes) -> Floats | None:
        """As many points of each shape as `clouds` gives, none of them the same (n, points, 3), turned alike.

        None where the shapes have not twice as many points as are seen.
        """
        stored = shapes.points.shape[1]
        if self.points is None or 2 * self.points > stored:
            return None
        return np.stack(
            [self._turned(shapes.points[p][self._order(stored, p)[-self.points :]], p) for p in range(len(shapes))]
        )

    def subsample_hash(self, shapes: Shapes) -> str:
        """SHA-256 over the indices of the points seen of every shape (little-endian int32), as hexadecimal."""
        self._check(shapes)
        digest = hashlib.sha256()
        for place in range(len(shapes)):
            digest.update(self._subset(shapes.points.shape[1], place).astype("<i4").tobytes())
        return digest.hexdigest()

    def _check(self, shapes: Shapes) -> None:
        stored = shapes.points.shape[1]
        if self.points is not None and self.points > stored:
            raise InputError(
                f"--points {self.points}: the shapes have {stored} points each; ask for at most {stored}, "
                "or prepare the dataset with more"
            )

    def _cloud(self, shapes: Shapes, place: int) -> Floats:
        return self._turned(shapes.points[place][self._subset(shapes.points.shape[1], place)], place)

    def _turned(self, cloud: Floats, place: int) -> Floats:
        return cloud if self.rotation == "none" else (cloud @ self._turn(place).T).astype(np.float32)

    def _subset(self, stored: int, place: int) -> npt.NDArray[np.int64]:
        if self.points is None or self.points == stored:
            return np.arange(stored)
        return self._order(stored, place)[: self.points]

    def _order(self, stored: int, place: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng((self.seed, place, _SUBSET)).permutation(stored)

    def _turn(self, place: int) -> npt.NDArray[np.float64]:
        rng = np.random.default_rng((self.seed, place, _TURN))
        if self.rotation == "z":
            angle = rng.uniform(0, 2 * math.pi)
            w, x, y, z = math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)
        else:  # a unit quaternion uniform on the sphere is a Haar-uniform rotation (Shoemake 1992)
            quaternion = rng.standard_normal(4)
            w, x, y, z = quaternion / np.linalg.norm(quaternion)
        turn: npt.NDArray[np.float64] = rotations_of(np.array([[w, x, y, z]]))[0]
        return turn
