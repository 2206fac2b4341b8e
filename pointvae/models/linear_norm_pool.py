"""A linear layer, batch norm and LeakyReLU, then maximum and mean over points, with one table of activations.

The mean needs every activation, so the linear layer's output is made and, for the way back, kept: clouds x channels x
points, once. All that follows (statistics, norm, activation, both pools, and backward the gradient of the table) is
done block by block in the cache and dropped. What is left is three matrix products, the least that autograd can do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import leaky_relu_

from pointvae.geometry.chunks import row_chunks
from pointvae.global_batch import mean_over_batch, sum_over_processes
from pointvae.models.batch_norm import BatchNorm1d
from pointvae.models.layers import pack
from pointvae.models.precision import product, product_dtype

Block = tuple[slice, slice]  # of clouds and of channels


def _blocks(x: Tensor, channels: int) -> list[Block]:
    """Clouds x channels in blocks whose values at all points are a few caches' worth: small ones multiply slowly."""
    batch, n, _ = x.shape
    cell = max(1, n * x.element_size() // 4)
    return [
        (clouds, rows)
        for clouds in row_chunks(x, batch, channels * cell)
        for rows in row_chunks(x, channels, (clouds.stop - clouds.start) * cell)
    ]


def _products(left: Tensor, right: Tensor) -> Tensor:
    """L Rᵀ of every cloud: [c, P, K] and [c, Q, K], of which one may be the same for all, give [c, P, Q]."""
    if right.device.type != "cpu":
        return left @ right.transpose(1, 2)
    clouds = max(len(left), len(right))
    pairs = zip(left.expand(clouds, -1, -1), right.expand(clouds, -1, -1), strict=True)
    made = [product(a, b) for a, b in pairs]
    return made[0].unsqueeze(0) if len(made) == 1 else torch.stack(made)


def _argmax(values: Tensor) -> Tensor:
    """Places of the largest in the last dimension."""
    if values.device.type == "cpu":
        return torch.from_numpy(values.numpy().argmax(axis=-1))  # several times as fast as torch's
    return values.argmax(dim=-1)


def _columns(values: Tensor) -> Tensor:
    """Values of channels [C], to be broadcast over clouds and points."""
    return values.unsqueeze(-1)


class _NormPool(torch.autograd.Function):
    """Maxima and means [B, 2, C] of LeakyReLU(BN(W x)); and the batch's mean, variance and number of points.

    Where statistics are given, the norm is by them, and they are constants.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        factor: Tensor,
        bias: Tensor,
        given: tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
        eps: float,
        slope: float,
        keep: bool,
    ) -> tuple[Tensor, Tensor, Tensor, int | Tensor]:
        batch, n, _ = x.shape
        low, blocks = product_dtype(x), _blocks(x, len(weight))
        absent = None if mask is None else ~mask.unsqueeze(1)
        sizes = x.new_full((batch, 1), n) if mask is None else mask.sum(dim=1, keepdim=True).to(x.dtype)
        rows = pack(x, mask)
        centre = rows.mean(dim=0) if given is None else None
        if centre is not None:  # sums of squares keep their digits
            x = x - centre if absent is None else (x - centre).masked_fill_(absent.transpose(1, 2), 0.0)
        x, w = x.to(low), weight.to(low).unsqueeze(0)
        table = x.new_empty(batch if keep or given is None else 0, len(weight), n)
        count: int | Tensor = len(rows)
        if given is None:
            assert centre is not None
            squares = x.new_zeros(len(weight), dtype=torch.float64)
            for block in blocks:
                values = _products(w[:, block[1]], x[block[0]])
                squares[block[1]] += values.to(rows.dtype).square().sum(dim=(0, 2))
                table[block] = values
            own_mean = (weight * centre).sum(dim=1)
            own = torch.stack([own_mean.double(), squares / len(rows) + own_mean.double().square()])
            moments, count = mean_over_batch(own, len(rows))
            mean, variance = (part.to(rows.dtype) for part in (moments[0], moments[1] - moments[0].square()))
            shift = mean - own_mean
        else:
            shift = mean = given[0]
            variance = given[1]
        inverse = torch.rsqrt(variance.clamp_min(0.0) + eps)
        scale = factor * inverse
        scales, offsets = _columns(scale), _columns(bias - shift * scale)
        pooled = rows.new_empty(batch, 2, len(weight))
        place = torch.empty(batch, len(weight), 1, dtype=torch.int64, device=x.device)
        for clouds, channels in blocks:
            values = table[clouds, channels] if given is None else _products(w[:, channels], x[clouds])
            if keep and given is not None:
                table[clouds, channels] = values
            values = values.to(rows.dtype)
            values = leaky_relu_(values.mul(scales[channels]).add_(offsets[channels]), slope)
            if absent is not None:
                values.masked_fill_(absent[clouds], -torch.inf)
            place[clouds, channels, 0] = best = _argmax(values)
            pooled[clouds, 0, channels] = values.gather(2, best.unsqueeze(2)).squeeze(2)
            if absent is not None:
                values.masked_fill_(absent[clouds], 0.0)
            pooled[clouds, 1, channels] = values.sum(dim=2) / sizes[clouds]
        if keep:
            ctx.save_for_backward(x, w, table, place, scale, offsets, shift, inverse, centre, absent, sizes)
            ctx.count, ctx.slope, ctx.rows = count, slope, len(rows)
        ctx.mark_non_differentiable(mean, variance, *([count] if isinstance(count, Tensor) else []))
        return pooled, mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, w, table, place, scale, offsets, shift, inverse, centre, absent, sizes = ctx.saved_tensors
        to_max, to_mean = _columns(grad[:, 0]), _columns(grad[:, 1] / sizes)

        def normed(block: Block) -> tuple[Tensor, Tensor]:
            """A block of the table, and the gradient of the norm's output there."""
            values = table[block].to(grad.dtype)
            out = values.mul(_columns(scale)[block[1]]).add_(offsets[block[1]])
            given = to_mean[block].expand_as(out).scatter_add(2, place[block], to_max[block])
            if absent is not None:
                given.masked_fill_(absent[block[0]], 0.0)
            return values, torch.ops.aten.leaky_relu_backward(given, out, ctx.slope, False)

        blocks = _blocks(x, w.shape[1])
        sums = grad.new_zeros(2, w.shape[1])  # of the gradient, and of its product with the standardised values
        for block in blocks:
            values, given = normed(block)
            sums[0, block[1]] += given.sum(dim=(0, 2))
            sums[1, block[1]] += torch.linalg.vecdot(values, given).sum(dim=0)
        sums[1] = (sums[1] - shift * sums[0]) * inverse
        offset = tilt = torch.zeros_like(scale)
        if centre is not None:  # every point owes the mean its offset, and the variance its own deviation, tilted
            whole = sum_over_processes(sums) if isinstance(ctx.count, Tensor) else sums
            offset, tilt = ((part / ctx.count).to(grad.dtype) * scale for part in whole)
            tilt = tilt * inverse
            offset = offset - tilt * shift
        to_x, to_weight = torch.zeros_like(x, dtype=grad.dtype), torch.zeros_like(w[0], dtype=grad.dtype)
        for clouds, channels in blocks:
            values, given = normed((clouds, channels))
            given.mul_(_columns(scale)[channels])
            if centre is not None:
                given.sub_(values.mul(_columns(tilt)[channels]).add_(_columns(offset)[channels]))
                if absent is not None:
                    given.masked_fill_(absent[clouds], 0.0)
            given = given.to(w.dtype)
            to_x[clouds] += _products(given.transpose(1, 2), w[:, channels].transpose(1, 2))
            to_weight[channels] += _products(given, x[clouds].transpose(1, 2)).sum(dim=0)
        if centre is not None:  # the sum over own points of what the table got, which is 0 over all processes
            own = scale * sums[0] - ctx.rows * offset
            to_weight += own.unsqueeze(1) * centre
        return to_x, to_weight, sums[1], sums[0], None, None, None, None, None


def linear_norm_pool(
    x: Tensor, linear: nn.Linear, norm: BatchNorm1d, slope: float, mask: Tensor | None = None
) -> Tensor:
    """Maximum, then mean, over the points of each cloud, of LeakyReLU(BN(W x)).

    Equal to the plain layers: values, gradients and running statistics. Of equal activations, the first has the
    maximum's gradient.

    Args:
        x: features [B, N, K].
        linear: from K to C channels, without a bias.
        norm: of C channels; moves its running statistics in training.
        slope: of the activation below zero, positive.
        mask: which points exist [B, N], at least one of each cloud; all when absent.

    Returns:
        Features [B, 2 C].
    """
    assert norm.running_mean is not None and norm.running_var is not None
    # a copy, or a training step between this and the way back would change it
    given = None if norm.training else (norm.running_mean.clone(), norm.running_var)
    arguments = (x, linear.weight, norm.weight, norm.bias, given, mask, norm.eps, slope, torch.is_grad_enabled())
    pooled, mean, variance, count = _NormPool.apply(*arguments)  # type: ignore[no-untyped-call]
    if norm.training:
        norm.track(mean, variance, count)
    out: Tensor = pooled.flatten(1)
    return out
