"""Log density under an isotropic Gaussian mixture on a GPU, with its gradient, in memory that N x M does not enter.

    out_i = log Σ_j exp( a_j - p_j/2 |x_i - y_j|² )

Forward, a program owns some points and meets the centres in tiles, keeping the largest exponent so far and the sum
relative to it (Milakov and Gimelshein, *Online normalizer calculation for softmax*, 2018). Backward, the share of a
centre in a point is made again, once by programs that own points and once by programs that own centres: nobody writes
where another does, so the sums have one order and repeat to the digit. The share is exp(ℓ_ij - largest_i) / sum_i and
not exp(ℓ_ij - out_i): where out is many thousand nats below zero its last digits are coarse.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointvae.kernels.launching import on, single, tiles

OWN, OTHER = 64, 64


@triton.jit
def _log_density(
    x_start, y_start, precision_start, constant_start, base_start, total_start, n, m,
    OWN: tl.constexpr, OTHER: tl.constexpr,
):  # fmt: skip
    per_cloud = tl.cdiv(n, OWN)
    cloud = (tl.program_id(0) // per_cloud).to(tl.int64)
    i = (tl.program_id(0) % per_cloud) * OWN + tl.arange(0, OWN)
    x = x_start + (cloud * n + i) * 3
    x0 = tl.load(x, mask=i < n, other=0.0)
    x1 = tl.load(x + 1, mask=i < n, other=0.0)
    x2 = tl.load(x + 2, mask=i < n, other=0.0)
    infinity = float("inf")
    most = tl.full((OWN,), -infinity, tl.float32)
    total = tl.zeros((OWN,), tl.float32)
    for start in range(0, m, OTHER):
        j = start + tl.arange(0, OTHER)
        y = y_start + (cloud * m + j) * 3
        d0 = x0[:, None] - tl.load(y, mask=j < m, other=0.0)[None, :]
        d1 = x1[:, None] - tl.load(y + 1, mask=j < m, other=0.0)[None, :]
        d2 = x2[:, None] - tl.load(y + 2, mask=j < m, other=0.0)[None, :]
        half = 0.5 * tl.load(precision_start + cloud * m + j, mask=j < m, other=0.0)
        constant = tl.load(constant_start + cloud * m + j, mask=j < m, other=-infinity)
        exponent = constant[None, :] - half[None, :] * (d0 * d0 + d1 * d1 + d2 * d2)
        higher = tl.maximum(most, tl.max(exponent, axis=1))
        base = tl.where(higher == -infinity, 0.0, higher)  # where all weights so far are zero
        total = total * tl.exp(most - base) + tl.sum(tl.exp(exponent - base[:, None]), axis=1)
        most = higher
    tl.store(base_start + cloud * n + i, tl.where(most == -infinity, 0.0, most), mask=i < n)
    tl.store(total_start + cloud * n + i, total, mask=i < n)


@triton.jit
def _gradient_of_points(
    x_start, y_start, precision_start, constant_start, base_start, grad_start, grad_x_start, n, m,
    OWN: tl.constexpr, OTHER: tl.constexpr,
):  # fmt: skip
    per_cloud = tl.cdiv(n, OWN)
    cloud = (tl.program_id(0) // per_cloud).to(tl.int64)
    i = (tl.program_id(0) % per_cloud) * OWN + tl.arange(0, OWN)
    x = x_start + (cloud * n + i) * 3
    x0 = tl.load(x, mask=i < n, other=0.0)
    x1 = tl.load(x + 1, mask=i < n, other=0.0)
    x2 = tl.load(x + 2, mask=i < n, other=0.0)
    base = tl.load(base_start + cloud * n + i, mask=i < n, other=float("inf"))
    grad = tl.load(grad_start + cloud * n + i, mask=i < n, other=0.0)
    sum0 = tl.zeros((OWN,), tl.float32)
    sum1 = tl.zeros((OWN,), tl.float32)
    sum2 = tl.zeros((OWN,), tl.float32)
    for start in range(0, m, OTHER):
        j = start + tl.arange(0, OTHER)
        y = y_start + (cloud * m + j) * 3
        d0 = x0[:, None] - tl.load(y, mask=j < m, other=0.0)[None, :]
        d1 = x1[:, None] - tl.load(y + 1, mask=j < m, other=0.0)[None, :]
        d2 = x2[:, None] - tl.load(y + 2, mask=j < m, other=0.0)[None, :]
        precision = tl.load(precision_start + cloud * m + j, mask=j < m, other=0.0)
        constant = tl.load(constant_start + cloud * m + j, mask=j < m, other=-float("inf"))
        exponent = constant[None, :] - 0.5 * precision[None, :] * (d0 * d0 + d1 * d1 + d2 * d2)
        pull = tl.exp(exponent - base[:, None]) * precision[None, :]
        sum0 += tl.sum(pull * d0, axis=1)
        sum1 += tl.sum(pull * d1, axis=1)
        sum2 += tl.sum(pull * d2, axis=1)
    grad_x = grad_x_start + (cloud * n + i) * 3
    tl.store(grad_x, -grad * sum0, mask=i < n)
    tl.store(grad_x + 1, -grad * sum1, mask=i < n)
    tl.store(grad_x + 2, -grad * sum2, mask=i < n)


@triton.jit
def _gradient_of_centres(
    x_start, y_start, precision_start, constant_start, base_start, grad_start,
    grad_y_start, grad_precision_start, grad_constant_start, n, m,
    OWN: tl.constexpr, OTHER: tl.constexpr,
):  # fmt: skip
    per_cloud = tl.cdiv(m, OWN)
    cloud = (tl.program_id(0) // per_cloud).to(tl.int64)
    j = (tl.program_id(0) % per_cloud) * OWN + tl.arange(0, OWN)
    y = y_start + (cloud * m + j) * 3
    y0 = tl.load(y, mask=j < m, other=0.0)
    y1 = tl.load(y + 1, mask=j < m, other=0.0)
    y2 = tl.load(y + 2, mask=j < m, other=0.0)
    precision = tl.load(precision_start + cloud * m + j, mask=j < m, other=0.0)
    constant = tl.load(constant_start + cloud * m + j, mask=j < m, other=-float("inf"))
    sum0 = tl.zeros((OWN,), tl.float32)
    sum1 = tl.zeros((OWN,), tl.float32)
    sum2 = tl.zeros((OWN,), tl.float32)
    squares = tl.zeros((OWN,), tl.float32)
    total = tl.zeros((OWN,), tl.float32)
    for start in range(0, n, OTHER):
        i = start + tl.arange(0, OTHER)
        x = x_start + (cloud * n + i) * 3
        d0 = tl.load(x, mask=i < n, other=0.0)[None, :] - y0[:, None]
        d1 = tl.load(x + 1, mask=i < n, other=0.0)[None, :] - y1[:, None]
        d2 = tl.load(x + 2, mask=i < n, other=0.0)[None, :] - y2[:, None]
        # below an infinite largest exponent a point that does not exist has no share in anything
        base = tl.load(base_start + cloud * n + i, mask=i < n, other=float("inf"))
        grad = tl.load(grad_start + cloud * n + i, mask=i < n, other=0.0)
        squared = d0 * d0 + d1 * d1 + d2 * d2
        exponent = constant[:, None] - 0.5 * precision[:, None] * squared
        share = tl.exp(exponent - base[None, :]) * grad[None, :]
        sum0 += tl.sum(share * d0, axis=1)
        sum1 += tl.sum(share * d1, axis=1)
        sum2 += tl.sum(share * d2, axis=1)
        squares += tl.sum(share * squared, axis=1)
        total += tl.sum(share, axis=1)
    grad_y = grad_y_start + (cloud * m + j) * 3
    tl.store(grad_y, precision * sum0, mask=j < m)
    tl.store(grad_y + 1, precision * sum1, mask=j < m)
    tl.store(grad_y + 2, precision * sum2, mask=j < m)
    tl.store(grad_precision_start + cloud * m + j, -0.5 * squares, mask=j < m)
    tl.store(grad_constant_start + cloud * m + j, total, mask=j < m)


class _LogDensity(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, precision: Tensor, constant: Tensor) -> Tensor:
        inputs = [single(tensor) for tensor in (x, y, precision, constant)]
        batch, n, m = len(x), x.shape[1], y.shape[1]
        base, total = torch.empty(2, batch, n, dtype=torch.float32, device=x.device)
        with on(x.device):
            _log_density[(batch * tiles(n, OWN),)](*inputs, base, total, n, m, OWN=OWN, OTHER=OTHER)
        ctx.save_for_backward(*inputs, base, total)
        ctx.types = [tensor.dtype for tensor in (x, y, precision, constant)]
        out: Tensor = base + total.log()
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, y, precision, constant, base, total = ctx.saved_tensors
        # a sum below 1 is 0, where no component has weight; then the shares are 0 too
        given, grad = (x, y, precision, constant, base), single(grad) / total.clamp_min(1.0)
        batch, n, m = len(x), x.shape[1], y.shape[1]
        grads: list[Tensor | None] = [None] * 4
        with on(x.device):
            if ctx.needs_input_grad[0]:
                grads[0] = grad_x = torch.empty_like(x)
                _gradient_of_points[(batch * tiles(n, OWN),)](*given, grad, grad_x, n, m, OWN=OWN, OTHER=OTHER)
            if any(ctx.needs_input_grad[1:]):
                rest = [torch.empty_like(tensor) for tensor in (y, precision, constant)]
                _gradient_of_centres[(batch * tiles(m, OWN),)](*given, grad, *rest, n, m, OWN=OWN, OTHER=OTHER)
                grads[1:] = rest
        return tuple(None if g is None else g.to(kind) for g, kind in zip(grads, ctx.types, strict=True))


def mixture_log_density(points: Tensor, centres: Tensor, precision: Tensor, constant: Tensor) -> Tensor:
    """Log Σ_j exp( a_j - p_j/2 |x_i - y_j|² ) of every point [B, N], single precision, differentiable once.

    Args:
        points: x [B, N, 3].
        centres: y [B, M, 3].
        precision: p = 1 / σ² [B, M].
        constant: a [B, M]: log weights and the Gaussians' own constants.
    """
    out: Tensor = _LogDensity.apply(points, centres, precision, constant)  # type: ignore[no-untyped-call]
    return out
