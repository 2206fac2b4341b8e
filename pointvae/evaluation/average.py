"""Codes averaged over turns of a shape: a fixed set of turns, the same for every shape, split and model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError

Turns = npt.NDArray[np.float64]
Over = Literal["headings", "rotations"]

# of super-Fibonacci spirals, which Alexa names phi and psi: psi is the root of psi^4 = psi + 4
_SQRT_2, _PSI = math.sqrt(2), 1.533751168755204288118041


@dataclass(frozen=True)
class Average:
    """Over how many turns of a shape, and of which kind, its codes are averaged.

    Each turned copy goes through the frozen model; the mean over the copies stands for the shape. No label and no
    draw is in it.

    Args:
        count: K turns; with 1 a shape is seen as it is.
        over: ``headings``, K of them about the up axis, 360/K degrees apart: a shape that is turned by one of them
            has the same codes up to rounding; or ``rotations``, K of them well spread over SO(3): the more, the less
            depends on how a shape is turned.

    Raises:
        InputError: the count is below 1.

    Example:
        >>> Average(4).turns[1].round(6).tolist()
        [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
        >>> Average(4).named("linear_svm_c_cv/1")
        'linear_svm_c_cv/1+4-headings'
    """

    count: int = 1
    over: Over = "headings"

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"--average {self.count}: must be at least 1")

    @property
    def turns(self) -> Turns:
        """The rotations (K, 3, 3), to be multiplied with columns; the first one leaves a shape as it is."""
        return headings(self.count) if self.over == "headings" else spread_rotations(self.count)

    def named(self, protocol: str) -> str:
        """The name of a protocol whose features are averaged in this way; its own where they are not."""
        return protocol if self.count == 1 else f"{protocol}+{self.count}-{self.over}"

    def to_dict(self) -> dict[str, Any]:
        """What results say of it: ``average``, and where it is above 1 ``averaged_over``."""
        return {"average": self.count} | ({} if self.count == 1 else {"averaged_over": self.over})


def headings(count: int) -> Turns:
    """Rotations (K, 3, 3) about the up axis by 0, 360/K, 2 · 360/K … degrees."""
    angles = 2 * math.pi * np.arange(count) / count
    turns = np.zeros((count, 3, 3))
    turns[:, 0, 0] = turns[:, 1, 1] = np.cos(angles)
    turns[:, 1, 0] = np.sin(angles)
    turns[:, 0, 1] = -turns[:, 1, 0]
    turns[:, 2, 2] = 1
    return turns


def spread_rotations(count: int) -> Turns:
    """Rotations (K, 3, 3) far from each other and leaving no large gap on SO(3), the first one none at all.

    Super-Fibonacci spirals: the s-th unit quaternion is (√t sin a, √t cos a, √(1-t) sin b, √(1-t) cos b) with
    t = (s + 1/2) / K, a = 2π (s + 1/2) / √2 and b = 2π (s + 1/2) / ψ. All are then turned back by the first one,
    which leaves their distances as they are.

    Source: Alexa, "Super-Fibonacci Spirals: Fast, Low-Discrepancy Sampling of SO(3)", CVPR 2022.
    """
    place = np.arange(count) + 0.5
    share = place / count
    a, b = 2 * math.pi * place / _SQRT_2, 2 * math.pi * place / _PSI
    near, far = np.sqrt(share), np.sqrt(1 - share)
    turns = rotations_of(np.stack([far * np.cos(b), near * np.sin(a), near * np.cos(a), far * np.sin(b)], axis=1))
    spread: Turns = turns[0].T @ turns
    spread[0] = np.eye(3)
    return spread


def rotations_of(quaternions: Turns) -> Turns:
    """Rotations (K, 3, 3) of unit quaternions (K, 4), their real part first."""
    w, x, y, z = quaternions.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)
