"""Log density of points under an isotropic Gaussian mixture, with its gradient written out.

The N x M table of log densities is made a chunk at a time and never kept. It is one matrix product: with precisions
p_j = 1 / σ_j² the density's exponent is linear in (x_i, |x_i|²),

    ℓ_ij = a_j - p_j/2 |x_i - y_j|² = (a_j - p_j/2 |y_j|²) + p_j y_j · x_i - p_j/2 |x_i|².

Backward, the responsibilities r_ij = exp(ℓ_ij - log Σ_k exp ℓ_ik) are made again, and every gradient is a sum of them
against (1, x_i, |x_i|²): one more product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointvae.geometry.chunks import row_chunks


def _table(x: Tensor, y: Tensor, precision: Tensor, constant: Tensor) -> Tensor:
    """ℓ [B, N, M] of points [B, N, 3], centres [B, M, 3], precisions and constants [B, M]."""
    offset = constant - 0.5 * precision * y.square().sum(-1)
    rows = torch.cat([x, x.square().sum(-1, keepdim=True)], dim=2)
    columns = torch.cat([precision.unsqueeze(2) * y, -0.5 * precision.unsqueeze(2)], dim=2)
    return torch.baddbmm(offset.unsqueeze(1), rows, columns.transpose(1, 2))


class _LogDensity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, precision: Tensor, constant: Tensor) -> Tensor:
        # near the origin the expanded square loses no digits
        middle = y.mean(dim=1, keepdim=True)
        x, y = x - middle, y - middle
        parts = [
            torch.logsumexp(_table(x[s], y[s], precision[s], constant[s]), dim=2)
            for s in row_chunks(x, len(x), x.shape[1] * y.shape[1] * x.element_size() // 4)
        ]
        out = torch.cat(parts)
        ctx.save_for_backward(x, y, precision, constant, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, Tensor]:
        x, y, precision, constant, out = ctx.saved_tensors
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        lifted = torch.cat([x, x.square().sum(-1, keepdim=True), torch.ones_like(x[..., :1])], dim=2)
        sums = torch.empty(*y.shape[:2], 5, dtype=y.dtype, device=y.device)
        for s in row_chunks(x, len(x), x.shape[1] * y.shape[1] * x.element_size() // 4):
            share = _table(x[s], y[s], precision[s], constant[s]).sub_(out[s].unsqueeze(2)).exp_()
            share.mul_(grad[s].unsqueeze(2))
            torch.bmm(share.transpose(1, 2), lifted[s], out=sums[s])
            if grad_x is not None:
                pull = precision[s].unsqueeze(2) * torch.cat([y[s], torch.ones_like(y[s][..., :1])], dim=2)
                pulled = share @ pull
                grad_x[s] = pulled[..., :3] - x[s] * pulled[..., 3:]
        first, second, total = sums[..., :3], sums[..., 3], sums[..., 4]
        grad_y = precision.unsqueeze(2) * (first - y * total.unsqueeze(2))
        squares = second - 2.0 * (y * first).sum(-1) + y.square().sum(-1) * total
        return grad_x, grad_y, -0.5 * squares, total


def mixture_log_density(points: Tensor, centres: Tensor, precision: Tensor, constant: Tensor) -> Tensor:
    """Log Σ_j exp( a_j - p_j/2 |x_i - y_j|² ) of every point [B, N], differentiable once in everything.

    Args:
        points: x [B, N, 3].
        centres: y [B, M, 3].
        precision: p = 1 / σ² [B, M].
        constant: a [B, M]: log weights and the Gaussians' own constants.
    """
    out: Tensor = _LogDensity.apply(points, centres, precision, constant)  # type: ignore[no-untyped-call]
    return out
