"""One batch over several processes: where it is shared, whose rows are whose, and means and gathers over all of it.

In a training step of W processes the rows r, r + W, r + 2W, … of the global batch lie on rank r. A batch that is
stacked from equal parts (clouds and their transformed copies, several draws) is dealt out in the same way, part by
part: row ``i`` of every part lies on rank ``i mod W``. So pairs stay together, and one rule serves every shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

_place: ContextVar[tuple[int, int]] = ContextVar("place", default=(0, 1))


@contextmanager
def global_batch() -> Iterator[None]:
    """Within the block the batch at hand is this process's part of one that all processes share.

    Every process must then do the same: random draws, batch norms and whatever compares shapes speak to each other.
    Outside of any block, or where torch knows of one process only, a batch stands for itself.
    """
    token = _place.set((dist.get_rank(), dist.get_world_size()) if _several() else (0, 1))
    try:
        yield
    finally:
        _place.reset(token)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def sharers() -> int:
    """How many processes share the batch at hand."""
    return _place.get()[1]


def own_rows(rows: Tensor, dim: int = 0) -> Tensor:
    """This process's part of what stands for the global batch along ``dim``."""
    rank, world = _place.get()
    return rows if world == 1 else rows[(slice(None),) * dim + (slice(rank, None, world),)]


def all_rows(rows: Tensor) -> Tensor:
    """The global batch [W B, …] of which this process has the rows [B, …], in its order, with gradient."""
    return rows if sharers() == 1 else _AllRows.apply(rows)  # type: ignore[no-untyped-call]


def mean_over_batch(mean: Tensor, count: int) -> tuple[Tensor, int | Tensor]:
    """The mean over the global batch, from that over this process's ``count`` rows; and how many rows there are.

    Every count has its weight, and gradients are exact: what any process's loss owes to these rows comes back.
    """
    if sharers() == 1:
        return mean, count
    return _MeanOverBatch.apply(mean, count)  # type: ignore[no-any-return, no-untyped-call]


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum over processes, in double precision, where it loses next to nothing and counts are exact."""
    whole = values.detach().double().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(whole)
    return whole


class _MeanOverBatch(torch.autograd.Function):
    """Σ_r n_r mean_r / Σ_r n_r; the gradients of all processes' losses are summed before they go back to the rows."""

    @staticmethod
    def forward(ctx: Any, mean: Tensor, count: int) -> tuple[Tensor, Tensor]:
        own = torch.cat([mean.double().flatten() * count, mean.new_full((1,), count, dtype=torch.float64)])
        sums = sum_over_processes(own)  # one message; the total stays on the device
        total = sums[-1]
        ctx.share = count / total
        ctx.mark_non_differentiable(total)
        return (sums[:-1] / total).view_as(mean).to(mean.dtype), total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None]:
        return (sum_over_processes(grad) * ctx.share).to(grad.dtype), None


class _AllRows(torch.autograd.Function):
    """Every process's rows, dealt together; the gradients of all processes' losses are summed for each row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rank, ctx.world = _place.get()
        parts = [torch.empty_like(rows) for _ in range(ctx.world)]
        dist.all_gather(parts, rows.contiguous())
        return torch.stack(parts, dim=1).flatten(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return sum_over_processes(grad)[ctx.rank :: ctx.world].to(grad.dtype)
