"""What a comparison of `benchmarks/speed.py` is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

torch.set_num_threads(1)
Sides = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: short name.
        work: what is done.
        against: what ours is held against.
        make: makes the two sides, ``ours`` and ``theirs``, maybe ``bound``: the part of the work that no form avoids,
            alone, such as matrix products; and ``check``, run once at the end and not measured, which stops with a
            message where the sides' results differ, and gives words to add to ``against``.
        target: how many times as fast ours has to be; None for a row that only informs.
        memory: how many times less memory it has to need.
        scale: how many times the alternative's part that is measured makes the whole.
        turns: at most so many.
        needs: packages that the alternative needs.
    """

    name: str
    work: str
    against: str
    make: Callable[[], Sides]
    target: float | None = None
    memory: float | None = None
    scale: float = 1.0
    turns: int = 99
    needs: tuple[str, ...] = ()

    def absent(self) -> str:
        """Why the row cannot be measured here; empty where it can."""
        lacking = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return f"{', '.join(lacking)} is not installed" if lacking else ""


def clouds(batch: int, points: int, seed: int = 0) -> Tensor:
    """Points on spheres that are stretched, so that clouds differ and nothing is degenerate [B, N, 3]."""
    generator = torch.Generator().manual_seed(seed)
    directions = nn.functional.normalize(torch.randn(batch, points, 3, generator=generator), dim=2)
    return directions * (0.3 + 0.7 * torch.rand(batch, 1, 3, generator=generator))
