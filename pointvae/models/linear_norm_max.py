"""A linear layer, batch norm and maximum over points, without ever storing the layer's output.

Through a maximum only the winning points receive gradient, so the table of [B, N, C] activations is needed for
neither pass. Forward, one cloud's scores at a time are made, their winners kept, and the scores dropped. The batch
statistics come exactly from the inputs' first two moments: the mean of W x is W times the mean of x, and its variance
the diagonal of W Cov(x) Wᵀ. (Where processes share a batch, the moments are those of all its inputs.) Backward, the
winners' gradient is a product with a sparse matrix of one entry for each cloud and channel; the statistics' gradient
goes through the moments.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pointvae.global_batch import mean_over_batch
from pointvae.models.batch_norm import BatchNorm1d
from pointvae.models.layers import pack


def winning_points(x: Tensor, weight: Tensor, mask: Tensor | None = None) -> Tensor:
    """Index of the point that maximises each channel of W x: [B, N, K] and [C, K] give [B, C]."""
    out = torch.empty(len(x), len(weight), dtype=torch.int64, device=x.device)
    for i, cloud in enumerate(x):
        scores = weight @ cloud.T
        if mask is not None:
            scores.masked_fill_(~mask[i], -torch.inf)
        if scores.device.type == "cpu" and scores.dtype != torch.bfloat16:
            out[i] = torch.from_numpy(scores.numpy().argmax(axis=1))  # several times as fast as torch's
        else:
            out[i] = scores.argmax(dim=1)
    return out


class _WinnersOf(torch.autograd.Function):
    """W x at the winning points [B, C], with gradients through those points alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, sign: Tensor, mask: Tensor | None) -> Tensor:
        index = winning_points(x, weight * sign.unsqueeze(1), mask)
        rows = (index + torch.arange(len(x), device=x.device).unsqueeze(1) * x.shape[1]).flatten()
        ctx.save_for_backward(x, weight, rows)
        values = [(x[i].index_select(0, index[i]) * weight).sum(dim=1) for i in range(len(x))]
        return torch.stack(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight, rows = ctx.saved_tensors
        flat = x.flatten(0, 1)
        channels = torch.arange(len(weight), device=x.device).repeat(len(x))
        chosen = torch.sparse_coo_tensor(
            torch.stack([rows, channels]), grad.flatten(), (len(flat), len(weight)), check_invariants=False
        )
        return (chosen @ weight).view_as(x), chosen.T @ flat, None, None


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
        weight, norm = self.linear.weight, self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        if self.training:
            rows = pack(x, mask)
            centre, _ = mean_over_batch(rows.mean(dim=0), len(rows))
            x = x - centre  # W (x - mean) needs no further centring, and keeps float32 digits
            centred = x.flatten(0, 1) if mask is None else rows - centre
            covariance, count = mean_over_batch(centred.T @ centred / len(centred), len(centred))
            mean, variance = weight @ centre, ((weight @ covariance) * weight).sum(dim=1)
            norm.track(mean.detach(), variance.detach(), count)
            offset: Tensor | float = 0.0
        else:
            offset, variance = norm.running_mean, norm.running_var
        sign = torch.where(norm.weight < 0, -1.0, 1.0).to(weight.dtype)
        values: Tensor = _WinnersOf.apply(x, weight, sign, mask)  # type: ignore[no-untyped-call]
        scaled: Tensor = (values - offset) * (norm.weight * torch.rsqrt(variance + norm.eps)) + norm.bias
        return scaled
