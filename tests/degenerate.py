"""Clouds that are shapes no longer, but that a data set may hold, and numbers that no cloud should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

N = 12


def _good(seed: int = 0) -> Tensor:
    return torch.randn(N, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _line() -> Tensor:
    return torch.linspace(-1.0, 1.0, N, dtype=torch.float64).unsqueeze(1) * torch.tensor([1.0, 2.0, -1.0]).double()


BAD_SHAPES: dict[str, Tensor] = {
    "origin": torch.zeros(N, 3, dtype=torch.float64),
    "equal": torch.tensor([0.1, -0.7, 0.3], dtype=torch.float64).expand(N, 3).clone(),
    "equal-far-away": torch.full((N, 3), 12345.678, dtype=torch.float64),
    "two-places": _good()[:2].repeat(N // 2, 1),
    "collinear": _line(),
    "coplanar": _good() * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64),
    "duplicates": _good()[: N // 3].repeat(3, 1),
    "far-away": 1e4 + _good(),
    "large": 5e5 * _good() / _good().abs().max(),
    "small": 1e-30 * _good(),
    "denormal": 1e-45 * _good().sign(),
    "one-far-point": torch.cat([_good()[1:], torch.full((1, 3), 5e5, dtype=torch.float64)]),
}
"""Clouds [N, 3] from which every part of a model must make finite numbers."""

NO_CLOUDS: dict[str, Tensor] = {
    "1e7": 1e7 * _good(),
    "1e18": 1e18 * _good(),
    "1e30": 1e30 * _good(),
    "greatest": torch.full((N, 3), 3.0e38, dtype=torch.float64),
    "one-nan": _good().index_fill(0, torch.tensor([4]), torch.nan),
    "one-infinity": _good().index_fill(0, torch.tensor([4]), torch.inf),
    "minus-infinity": _good().index_fill(0, torch.tensor([4]), -torch.inf),
}
"""Clouds [N, 3] that are refused by name."""

PRECISIONS = ("float32", "bf16", "float64")


def good(batch: int = 3) -> Tensor:
    """Clouds [batch, N, 3] with nothing wrong."""
    return torch.stack([_good(seed) for seed in range(1, batch + 1)])


def mixed(cloud: Tensor) -> Tensor:
    """The cloud [N, 3] among two good ones, in the middle [3, N, 3]."""
    clouds = good(3)
    clouds[1] = cloud
    return clouds


def dtype_of(precision: str) -> torch.dtype:
    return torch.float64 if precision == "float64" else torch.float32


@contextmanager
def autocast(precision: str) -> Iterator[None]:
    """bf16 autocast where that is the precision."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        yield
