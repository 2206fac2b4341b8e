"""Balls of moves: how far an attacker may move the points of a cloud, and how he moves them.

A move e [B, N, 3] shifts point i of a cloud by e_i. Its size is measured in the clouds' units (unit-sphere lengths),
for each cloud on its own, over the points that exist.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Ball(ABC):
    """The moves whose size is at most ``radius``.

    Args:
        radius: unit-sphere lengths.
    """

    radius: float

    @abstractmethod
    def size(self, move: Tensor, mask: Tensor | None = None) -> Tensor:
        """The size of each cloud's move [B, N, 3] -> [B]."""

    @abstractmethod
    def project(self, move: Tensor, mask: Tensor | None = None) -> Tensor:
        """The nearest move [B, N, 3] within the ball; points that do not exist stay put."""

    @abstractmethod
    def steepest(self, slope: Tensor, mask: Tensor | None = None) -> Tensor:
        """The move of size 1 along which a slope [B, N, 3] rises most; zero where the slope is."""

    @abstractmethod
    def inside(self, count: int, generators: Sequence[Generator], mask: Tensor | None = None) -> Tensor:
        """Uniform draws from the ball [B, count, 3], one from each generator."""

    def surface(self, count: int, generators: Sequence[Generator], mask: Tensor | None = None) -> Tensor:
        """Random moves of exactly the radius [B, count, 3]: steepest for a Gaussian slope."""
        return self.radius * self.steepest(_present(_normal(count, generators), mask), mask)


class LinfBall(Ball):
    """No coordinate of any point moves by more than the radius."""

    def size(self, move: Tensor, mask: Tensor | None = None) -> Tensor:
        """The largest move along an axis [B]."""
        return _present(move, mask).abs().amax(dim=(1, 2))

    def project(self, move: Tensor, mask: Tensor | None = None) -> Tensor:
        """Every coordinate cut to the radius."""
        return _present(move.clamp(-self.radius, self.radius), mask)

    def steepest(self, slope: Tensor, mask: Tensor | None = None) -> Tensor:
        """The slope's signs."""
        return _present(slope.sign(), mask)

    def inside(self, count: int, generators: Sequence[Generator], mask: Tensor | None = None) -> Tensor:
        """Every coordinate uniform within the radius."""
        uniform = torch.stack([torch.rand(count, 3, device=g.device, generator=g) for g in generators])
        return self.radius * _present(2.0 * uniform - 1.0, mask)


class L2Ball(Ball):
    """The root mean square, over the points that exist, of the length a point moves is at most the radius.

    That is the Euclidean norm of the whole move over sqrt(N), so that a radius means the same for every N. One point
    may go as far as sqrt(N) radii if the rest stay. The L-inf ball of radius r lies within this one of sqrt(3) r.
    """

    def size(self, move: Tensor, mask: Tensor | None = None) -> Tensor:
        """Root mean square length of the points' moves [B]."""
        squares = _present(move, mask).square().sum(dim=(1, 2))
        return (squares / (move.shape[1] if mask is None else mask.sum(dim=1))).sqrt()

    def project(self, move: Tensor, mask: Tensor | None = None) -> Tensor:
        """Moves that are too large, made smaller by one factor for the whole cloud."""
        move = _present(move, mask)
        size = self.size(move, mask).clamp_min(torch.finfo(move.dtype).tiny)
        return move * (self.radius / size).clamp_max(1.0).view(-1, 1, 1)

    def steepest(self, slope: Tensor, mask: Tensor | None = None) -> Tensor:
        """The slope, made of size 1."""
        tiny = torch.finfo(slope.dtype).tiny
        slope = _present(slope, mask)
        slope = slope / slope.abs().amax(dim=(1, 2), keepdim=True).clamp_min(tiny)  # whose squares do not vanish
        return slope / self.size(slope, mask).clamp_min(tiny).view(-1, 1, 1)

    def inside(self, count: int, generators: Sequence[Generator], mask: Tensor | None = None) -> Tensor:
        """A direction, and a length whose power 3N is uniform."""
        direction = self.surface(count, generators, mask)
        uniform = torch.stack([torch.rand((), device=g.device, generator=g) for g in generators])
        there = torch.full_like(uniform, count) if mask is None else mask.sum(dim=1)
        return direction * (uniform ** (1.0 / (3.0 * there))).view(-1, 1, 1)


BALLS: dict[str, type[Ball]] = {"linf": LinfBall, "l2": L2Ball}


def _normal(count: int, generators: Sequence[Generator]) -> Tensor:
    return torch.stack([torch.randn(count, 3, device=g.device, generator=g) for g in generators])


def _present(values: Tensor, mask: Tensor | None) -> Tensor:
    return values if mask is None else values * mask.unsqueeze(2)
