"""Log density of points under an isotropic Gaussian mixture, with its gradient written out.

The N x M table of log densities ℓ_ij = a_j - p_j/2 |x_i - y_j|² is made a chunk at a time, small enough to stay in
the cache, and never kept. Backward, the responsibilities r_ij = exp ℓ_ij / Σ_k exp ℓ_ik are made again, and every
gradient is a sum of them. Squares are of differences, not expanded, so that narrow components keep their digits.
Exponents are to base 2, whose power is made several times faster than that of e.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointvae.geometry.chunks import row_chunks
from pointvae.geometry.scores import full_precision
from pointvae.kernels import log_density_by_kernel

LOG2_E = math.log2(math.e)


class _Tables:
    """Tables of points [B, N, 3] and centres [B, M, 3], in one piece of memory that each chunk overwrites."""

    def __init__(self, x: Tensor, y: Tensor, precision: Tensor, constant: Tensor) -> None:
        self.x, self.columns = x, y.transpose(1, 2).contiguous()
        self.offset, self.factor = (LOG2_E * constant).unsqueeze(1), (-0.5 * LOG2_E * precision).unsqueeze(1)
        cell = 2 * y.shape[1] * x.element_size()
        self.chunks = [
            (clouds, rows)
            for clouds in row_chunks(x, len(x), x.shape[1] * cell)
            for rows in row_chunks(x, x.shape[1], (clouds.stop - clouds.start) * cell)
        ]
        largest = max(((c.stop - c.start) * (r.stop - r.start) for c, r in self.chunks), default=0)
        self.memory = x.new_empty(3, largest * y.shape[1])

    def fill(self, clouds: slice, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """ℓ to base 2, squared distances, and free space, each [b, n, M]."""
        x, columns = self.x[clouds, rows], self.columns[clouds]
        shape = (x.shape[0], x.shape[1], columns.shape[2])
        table, squares, spare = (part[: math.prod(shape)].view(shape) for part in self.memory)
        for c in range(3):
            torch.sub(x[..., c : c + 1], columns[:, c : c + 1], out=spare)
            if c == 0:
                torch.mul(spare, spare, out=squares)
            else:
                squares.addcmul_(spare, spare)
        torch.addcmul(self.offset[clouds], squares, self.factor[clouds], out=table)
        return table, squares, spare


class _LogDensity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, precision: Tensor, constant: Tensor) -> Tensor:
        tables = _Tables(x, y, precision, constant)
        top, total = x.new_empty(2, *x.shape[:2], 1)
        for clouds, rows in tables.chunks:
            table, _, _ = tables.fill(clouds, rows)
            # where no component reaches a point there is -inf, which may not be taken from itself
            top[clouds, rows] = table.amax(dim=2, keepdim=True).clamp_min_(torch.finfo(table.dtype).min)
            total[clouds, rows] = table.sub_(top[clouds, rows]).exp2_().sum(dim=2, keepdim=True)
        ctx.save_for_backward(x, y, precision, constant, top, total)
        out: Tensor = (total.log() + top / LOG2_E).squeeze(2)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        x, y, precision, constant, top, total = ctx.saved_tensors
        tables = _Tables(x, y, precision, constant)
        middle = y.mean(dim=1, keepdim=True)  # near the origin a difference of sums keeps its digits
        lifted = torch.cat([x - middle, torch.ones_like(x[..., :1])], dim=2)
        pull = precision.unsqueeze(2) * torch.cat([y - middle, torch.ones_like(y[..., :1])], dim=2)
        # not log total, in which a far point's share would lose its digits; below 1 it is 0, as are the shares
        grad = grad.unsqueeze(2) / total.clamp_min(1.0)
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        sums, spread = y.new_zeros(len(y), 4, y.shape[1]), torch.zeros_like(precision)
        for clouds, rows in tables.chunks:
            share, squares, spare = tables.fill(clouds, rows)
            share.sub_(top[clouds, rows]).exp2_().mul_(grad[clouds, rows])
            sums[clouds].baddbmm_(
                lifted[clouds, rows].transpose(1, 2), share
            )  # in place, so that autocast keeps away
            spread[clouds] += torch.mul(share, squares, out=spare).sum(dim=1)
            if grad_x is not None:
                pulled = torch.bmm(share, pull[clouds], out=lifted.new_empty(*share.shape[:2], 4))
                grad_x[clouds, rows] = pulled[..., :3] - lifted[clouds, rows, :3] * pulled[..., 3:]
        first, shares = sums[:, :3].transpose(1, 2), sums[:, 3]
        grad_y = precision.unsqueeze(2) * (first - (y - middle) * shares.unsqueeze(2))
        return grad_x, grad_y, -0.5 * spread, shares


def mixture_log_density(points: Tensor, centres: Tensor, precision: Tensor, constant: Tensor) -> Tensor:
    """Log Σ_j exp( a_j - p_j/2 |x_i - y_j|² ) of every point [B, N], differentiable once in everything.

    Args:
        points: x [B, N, 3].
        centres: y [B, M, 3].
        precision: p = 1 / σ² [B, M].
        constant: a [B, M]: log weights and the Gaussians' own constants; -inf for a component of weight zero.

    Returns:
        Nats, in float32 at least, whatever autocast is told.
    """
    given = full_precision(points, centres, precision, constant)
    if (made := log_density_by_kernel(*given)) is not None:
        return made
    out: Tensor = _LogDensity.apply(*given)  # type: ignore[no-untyped-call]
    return out
