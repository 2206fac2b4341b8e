"""A linear layer and batch norm as one linear layer, whose weights hold the statistics.

The statistics of W x come exactly from the first two moments of x: its mean is W times the mean of x, its variance
the diagonal of W Cov(x) Wᵀ. So they are known before W x is, and the norm is no pass of its own over memory: it goes
into the weights, W' = s W with s = γ / sqrt(variance + ε). Backward, the statistics' gradient goes through the
moments, a K x K product for each row. Of each layer its input is kept, which is the output of the layer before.
(Where processes share a batch, the moments are those of all its rows.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pointvae.geometry.chunks import row_chunks
from pointvae.global_batch import mean_over_batch
from pointvae.models.batch_norm import BatchNorm1d
from pointvae.models.precision import at_least_single, autocast_off, product, product_dtype


class _Moments(torch.autograd.Function):
    """Mean [K] and covariance [K, K] of rows [R, K], in at least single precision."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
        wide = at_least_single(rows[:0]).dtype
        mean = rows.mean(dim=0, dtype=wide)
        ctx.save_for_backward(rows, mean)
        covariance = mean.new_zeros(len(mean), len(mean))
        with autocast_off(rows.device):
            for part in row_chunks(rows, len(rows), _row_bytes(rows)):
                centred = rows[part] - mean  # centred first: float32 forgives no difference of squares
                covariance.addmm_(centred.T, centred)
        return mean, covariance / len(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_mean: Tensor, to_covariance: Tensor) -> Tensor:
        rows, mean = ctx.saved_tensors
        slope, offset = (to_covariance + to_covariance.T) / len(rows), to_mean / len(rows)
        out = torch.empty_like(rows)
        with autocast_off(rows.device):
            for part in row_chunks(rows, len(rows), _row_bytes(rows)):
                out[part] = product(rows[part] - mean, slope, offset)  # the slope is symmetric
        return out


class _Linear(torch.autograd.Function):
    """(x - c) Wᵀ + b of rows [R, K], then a ReLU of the given negative slope, or none; c gets no gradient."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, centre: Tensor | None, weight: Tensor, bias: Tensor, slope: float | None
    ) -> Tensor:
        ctx.slope, ctx.dtype = slope, product_dtype(rows)
        out = rows.new_empty(len(rows), len(weight), dtype=ctx.dtype)
        ctx.save_for_backward(rows, centre, weight, bias, out if slope is not None else None)
        with autocast_off(rows.device):
            _through(rows, centre, [(weight.to(ctx.dtype), bias.to(ctx.dtype), slope)], out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, Tensor, Tensor, None]:
        rows, centre, weight, bias, out = ctx.saved_tensors
        to_weight, to_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        back = weight.T.to(ctx.dtype).contiguous()
        to_rows = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        with autocast_off(rows.device):
            for part in row_chunks(rows, len(rows), _row_bytes(rows) + _row_bytes(grad)):
                g = grad[part]
                if out is not None:
                    g = torch.where(out[part] > 0, g, g * ctx.slope) if ctx.slope else g * (out[part] > 0)
                to_bias += g.sum(dim=0, dtype=to_bias.dtype)
                x = rows[part] if centre is None else rows[part] - centre
                if ctx.dtype == to_weight.dtype:
                    to_weight.addmm_(g.T, x)
                else:
                    to_weight += g.T @ x.to(ctx.dtype)
                if to_rows is not None:
                    to_rows[part] = product(g, back)
        return to_rows, None, to_weight, to_bias, None


Folded = tuple[Tensor, Tensor, float | None]
"""Weights [C, K], offset [C] and the activation's negative slope, or None for no activation."""


def _row_bytes(rows: Tensor) -> int:
    return rows.shape[1] * rows.element_size() * 2


def _through(rows: Tensor, centre: Tensor | None, layers: list[Folded], out: Tensor) -> None:
    """Send rows [R, K] through layers, a few at a time so that what lies between stays in the cache."""
    widest = max(rows.shape[1], *(len(weight) for weight, _, _ in layers))
    for part in row_chunks(rows, len(rows), 2 * widest * out.element_size()):
        x = rows[part] if centre is None else rows[part] - centre
        x = x.to(out.dtype)
        for weight, bias, slope in layers:
            x = product(x, weight, bias, relu=slope == 0)
            if slope:
                x = nn.functional.leaky_relu_(x, slope)
        out[part] = x


def batch_statistics(rows: Tensor, weight: Tensor, norm: BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Mean [K] of rows [R, K] of the global batch and variance [C] of W x, which the norm tracks; with gradient."""
    own_mean, own_covariance = _Moments.apply(rows)  # type: ignore[no-untyped-call]
    with autocast_off(rows.device):
        mean, _ = mean_over_batch(own_mean, len(rows))
        apart = own_mean - mean
        covariance, count = mean_over_batch(own_covariance + torch.outer(apart, apart), len(rows))
        variance = ((weight @ covariance) * weight).sum(dim=1)
        norm.track((weight @ mean).detach(), variance.detach(), count)
    return mean, variance


def normalised(weight: Tensor, norm: BatchNorm1d, rows: Tensor | None) -> tuple[Tensor | None, Tensor, Tensor]:
    """Centre c [K], or None for zero, weights W' [C, K] and offset b' [C] of which (x - c) W'ᵀ + b' is BN(W x).

    Args:
        weight: W [C, K].
        norm: the norm, of which training tracks the batch's statistics.
        rows: the batch x [R, K]; None to take the running statistics.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    with autocast_off(weight.device):
        if rows is None:
            scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
            return None, weight * scale.unsqueeze(1), norm.bias - norm.running_mean * scale
        mean, variance = batch_statistics(rows, weight, norm)
        folded = weight * (norm.weight * torch.rsqrt(variance + norm.eps)).unsqueeze(1)
        centre = mean.detach()
        # c is the mean, so that nothing is left of its share but the gradient
        return centre, folded, norm.bias - folded @ (mean - centre)


def linear_norm(rows: Tensor, linear: nn.Linear, norm: BatchNorm1d, slope: float | None) -> Tensor:
    """BN(W x) of rows [R, K] and the activation of a negative slope (0: ReLU; None: none) [R, C]."""
    centre, weight, bias = normalised(linear.weight, norm, rows if norm.training else None)
    out: Tensor = _Linear.apply(rows, centre, weight, bias, slope)  # type: ignore[no-untyped-call]
    return out


def folded_chain(rows: Tensor, layers: list[tuple[nn.Linear, BatchNorm1d, float | None]]) -> Tensor:
    """Rows [R, K] through several such layers with running statistics, without gradient [R, C]."""
    dtype = product_dtype(rows)
    folded: list[Folded] = []
    for linear, norm, slope in layers:
        _, weight, bias = normalised(linear.weight, norm, None)
        folded.append((weight.to(dtype), bias.to(dtype), slope))
    out = rows.new_empty(len(rows), len(folded[-1][1]), dtype=dtype)
    with autocast_off(rows.device):
        _through(rows, None, folded, out)
    return out
