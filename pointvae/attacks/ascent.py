"""Searches for the worst move within a ball: projected gradient ascent, random search without gradients, noise.

Every shape is searched on its own: slopes are those of the sum over the batch of figures that each depend on one
shape, and the best move met is kept for each. Nothing is left in the model: only the moves are differentiated.

Sources: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018 (projected gradient,
random starts); Andriushchenko et al., "Square Attack", ECCV 2020 (random search that redraws a shrinking part).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from pointvae.geometry.balls import Ball

Objective = Callable[[Tensor], Tensor]
"""A figure of each cloud: [B, N, 3] -> [B]."""

REACH = 4.0
"""Radii that all steps of an ascent cover together: enough to cross the ball from any start and turn.

On a PointNet trained on ModelNet40, 10 steps of 4 radii together raise the KL by 4 to 15 % more than 2.5, the usual
choice, do, and margins as much or a little more.
"""


@dataclass(frozen=True)
class Found:
    """The best of what a search met, for each shape.

    Attributes:
        move: [B, N, 3].
        value: the objective there [B].
        trace: the objective at every iterate, not the best until then [steps + 1, B].
    """

    move: Tensor
    value: Tensor
    trace: Tensor


def ascend(
    objective: Objective, points: Tensor, start: Tensor, ball: Ball, mask: Tensor | None = None, *, steps: int
) -> Found:
    """Projected gradient ascent of an objective over the moves of clouds.

    Each step goes ``REACH`` / ``steps`` radii along the steepest direction of the ball's norm (the gradient's sign
    for L-inf, the normalised gradient for L2), then back into the ball.

    Args:
        objective: what is raised; each figure depends on its own cloud alone.
        points: clouds [B, N, 3].
        start: the first move [B, N, 3], within the ball.
        ball: the moves allowed.
        mask: which points exist [B, N]; all when absent.
        steps: of the ascent; each costs a pass through the model and back.
    """
    move = best = start
    value = torch.full((len(points),), -torch.inf, device=points.device, dtype=points.dtype)
    trace: list[Tensor] = []
    for step in range(steps + 1):
        with torch.enable_grad():
            trial = move.detach().clone().requires_grad_()
            values = objective(points + trial)
            slope = torch.autograd.grad(values.sum(), trial)[0] if step < steps else torch.zeros_like(move)
        values = values.detach()
        trace.append(values)
        best = torch.where((values > value).view(-1, 1, 1), move, best)
        value = torch.maximum(value, values)
        stride = REACH * ball.radius / max(steps, 1)
        move = ball.project(move + stride * ball.steepest(slope, mask), mask)
    return Found(best, value, torch.stack(trace))


@torch.no_grad()
def random_search(
    objective: Objective,
    points: Tensor,
    ball: Ball,
    generators: Sequence[Generator],
    mask: Tensor | None = None,
    *,
    queries: int,
) -> Found:
    """Random search on the ball's surface, without gradients: what is hidden from them is not hidden from it.

    Each query redraws the moves of a random part of the points, half of them at first, fewer and fewer later, and is
    kept where it is better.

    Args:
        objective: what is raised.
        points: clouds [B, N, 3].
        ball: the moves allowed.
        generators: where each shape's draws come from.
        mask: which points exist [B, N]; all when absent.
        queries: passes through the model.
    """
    count = points.shape[1]
    best = ball.surface(count, generators, mask)
    value = objective(points + best)
    trace = [value]
    for query in range(1, queries):
        share = max(0.5 * 0.05 ** (query / queries), 1.0 / count)
        part = torch.stack([torch.rand(count, 1, device=g.device, generator=g) for g in generators]) < share
        trial = ball.project(torch.where(part, ball.surface(count, generators, mask), best), mask)
        values = objective(points + trial)
        better = values > value
        best = torch.where(better.view(-1, 1, 1), trial, best)
        value = torch.where(better, values, value)
        trace.append(values)
    return Found(best, value, torch.stack(trace))


@torch.no_grad()
def given(objective: Objective, points: Tensor, move: Tensor) -> Found:
    """A move that was made elsewhere: noise, or another model's attack."""
    value = objective(points + move)
    return Found(move, value, value.unsqueeze(0))


def best_of(tries: Sequence[Found]) -> Found:
    """The best try for each shape, the first on ties; the trace is the mean of theirs."""
    values = torch.stack([found.value for found in tries])
    value, which = values.max(dim=0)
    which = (values == value).to(torch.int8).argmax(dim=0)
    moves = torch.stack([found.move for found in tries])
    move = moves[which, torch.arange(len(which), device=which.device)]
    return Found(move, value, torch.stack([found.trace for found in tries]).mean(dim=0))


@contextmanager
def frozen_weights(*models: nn.Module) -> Iterator[None]:
    """Within the block no weight asks for a gradient, which saves a third of an ascent; then all is as it was."""
    asked = [weight for model in models for weight in model.parameters() if weight.requires_grad]
    for weight in asked:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in asked:
            weight.requires_grad_(True)
