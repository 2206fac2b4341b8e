"""A linear layer, batch norm and maximum over points, without ever storing the layer's output.

Through a maximum only the winning points receive gradient, so the table of [B, N, C] activations is needed for
neither pass. Forward, scores are made a cache's worth at a time, their winners kept, and the scores dropped. The
batch statistics come exactly from the inputs' first two moments, as in `pointvae.models.linear_norm`. Backward, the
winners' gradient is one entry for each cloud and channel; the statistics' gradient goes through the moments.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pointvae.geometry.chunks import gather_points, row_chunks
from pointvae.kernels import winners_by_kernel
from pointvae.models.batch_norm import BatchNorm1d
from pointvae.models.layers import pack
from pointvae.models.linear_norm import normalised
from pointvae.models.precision import at_least_single, autocast_off, product, product_dtype


def _scores(x: Tensor, weight: Tensor, mask: Tensor | None) -> Iterator[tuple[slice, slice, Tensor]]:
    """Blocks of scores W x, as (clouds, channels, scores [C', B', N]), small enough for the cache."""
    batch, n, _ = x.shape
    cell = x.element_size() * n
    for clouds in row_chunks(x, batch, cell * min(len(weight), 256)):
        rows = x[clouds].flatten(0, 1)
        for channels in row_chunks(x, len(weight), len(rows) * x.element_size()):
            scores = product(weight[channels], rows).view(-1, clouds.stop - clouds.start, n)
            if mask is not None:
                scores.masked_fill_(~mask[clouds], -torch.inf)
            yield clouds, channels, scores


@torch.no_grad()
def winning_points(x: Tensor, weight: Tensor, mask: Tensor | None = None) -> Tensor:
    """Index of the point that maximises each channel of W x: [B, N, K] and [C, K] give [B, C]."""
    made = winners_by_kernel(x, weight, mask)
    if made is not None:
        return made
    out = torch.empty(len(x), len(weight), dtype=torch.int64, device=x.device)
    for clouds, channels, scores in _scores(x, weight, mask):
        if scores.device.type == "cpu":  # several times as fast as torch's
            index = torch.from_numpy(at_least_single(scores).numpy().argmax(axis=2))
        else:
            index = scores.argmax(dim=2)
        out[clouds, channels] = index.T
    return out


class _WinnersOf(torch.autograd.Function):
    """W (x - c) at the winning points [B, C], with gradients through those points alone, and none for c."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, centre: Tensor | None, weight: Tensor, mask: Tensor | None) -> Tensor:
        dtype = product_dtype(x)
        with autocast_off(x.device):
            index = torch.empty(len(x), len(weight), dtype=torch.int64, device=x.device)
            values = torch.empty(len(x), len(weight), dtype=weight.dtype, device=x.device)
            for part in row_chunks(x, len(x), x[0].numel() * x.element_size()):
                near = x[part] if centre is None else x[part] - centre
                index[part] = winning_points(near.to(dtype), weight.to(dtype), None if mask is None else mask[part])
                values[part] = (gather_points(near, index[part]) * weight).sum(dim=2)
        ctx.save_for_backward(x, centre, weight, index)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor, None]:
        x, centre, weight, index = ctx.saved_tensors
        to_x, to_weight = torch.zeros_like(x), torch.zeros_like(weight)
        n = x.shape[1]
        for part in row_chunks(x, len(x), weight.numel() * weight.element_size()):
            near = x[part] if centre is None else x[part] - centre
            own = grad[part].unsqueeze(2)
            to_weight += (gather_points(near, index[part]) * own).sum(dim=0)
            places = torch.arange(len(near), device=x.device).unsqueeze(1) * n + index[part]
            to_x[part].flatten(0, 1).index_add_(0, places.flatten(), (own * weight).flatten(0, 1).to(x.dtype))
        return to_x, None, to_weight, None


def _largest(x: Tensor, weight: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    """max_i W x_i + b [B, C] over the points that exist, without gradient."""
    dtype = product_dtype(x)
    values = torch.empty(len(x), len(weight), dtype=weight.dtype, device=x.device)
    with autocast_off(x.device):
        for clouds, channels, scores in _scores(x.to(dtype), weight.to(dtype), mask):
            values[clouds, channels] = scores.amax(dim=2).T.to(weight.dtype)
        if mask is not None:  # a cloud without points has the value of its first place, as in training
            first = product(x[:, 0].to(weight.dtype), weight)
            values = torch.where(mask.any(dim=1, keepdim=True), values, first)
    return values + bias


class LinearNormMax(nn.Module):
    """max_i BN(W x_i) over the points of a cloud; equal to the plain layers, gradients and running statistics too.

    Args:
        channels: K.
        out_channels: C.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, out_channels, bias=False)
        self.norm = BatchNorm1d(out_channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, N, K] give the maximum [B, C] over the points that exist."""
        norm = self.norm
        centre, weight, bias = normalised(self.linear.weight, norm, pack(x, mask) if self.training else None)
        if not (self.training or torch.is_grad_enabled()):
            return _largest(x, weight, bias, mask)
        values: Tensor = _WinnersOf.apply(x, centre, weight, mask)  # type: ignore[no-untyped-call]
        return values + bias
