"""DGCNN's edge convolution, without ever holding an edge of features.

Its edges are W1 x_i + W2 (x_j - x_i) = a_i + b_j: both terms belong to points, so points are projected and not edges.
The batch statistics over all edges come from sums over neighbours; the mean of squares is split into that of each
neighbourhood's mean and the rest within. Batch norm and LeakyReLU are monotone in each channel, so a neighbourhood's
largest b_j wins (its smallest where the norm's weight is negative). Backward, winners alone have a gradient of the
maximum; that of the statistics is made of sums over neighbours again. Memory is points x channels.

Source: Wang et al., "Dynamic Graph CNN for Learning on Point Clouds", ACM TOG 2019.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag, leaky_relu_

from pointvae.geometry.chunks import row_chunks
from pointvae.geometry.neighbours import knn
from pointvae.global_batch import mean_over_batch, sum_over_processes
from pointvae.models.batch_norm import BatchNorm1d
from pointvae.models.layers import mean_pool, pack, unpack

SLOPE = 0.2


def flat_neighbours(index: Tensor, mask: Tensor | None) -> Tensor:
    """Neighbours of the points that exist: indices [B, N, k] within clouds give [R, k] into the B N rows of all."""
    batch, n, _ = index.shape
    rows = index + torch.arange(0, batch * n, n, device=index.device).view(-1, 1, 1)
    return rows.flatten(0, 1) if mask is None else rows[mask]


def largest_neighbours(values: Tensor, index: Tensor, codes: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """The largest of each row's neighbours in every channel, and which neighbour it is, the first among equals.

    Args:
        values: [M, C], float32 or float64.
        index: neighbours [R, k], rows of ``values``; k C R numbers are held.
        codes: k, k - 1, … 1 [k, 1] where places are wanted too, at twice the time.

    Returns:
        Maxima [R, C] and, if wanted, places among the k [R, C].
    """
    near = values.index_select(0, index.flatten()).view(*index.shape, -1)
    largest = near.amax(dim=1)
    if codes is None:
        return largest, None
    # a maximum over codes finds the first winner, far quicker than argmax
    code = near.eq_(largest.unsqueeze(1)).mul_(codes).amax(dim=1)
    return largest, len(codes) - code.clamp_min_(1.0)  # NaN equals nothing, yet must point somewhere


def degrees(index: Tensor, count: int) -> Tensor:
    """How often each of ``count`` points is a neighbour [M], of neighbours [E]."""
    if index.device.type == "cpu":
        return torch.bincount(index, minlength=count)
    # on a GPU bincount makes the host wait for its length, and has no deterministic form
    return torch.zeros(count, dtype=torch.int64, device=index.device).scatter_add_(0, index, torch.ones_like(index))


def sums_over_followers(values: Tensor, index: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """For each of ``count`` points, the sum of ``values`` [R, C] over those whose neighbour it is, and how many.

    A point that is a neighbour twice counts twice. Gives [M, C] and [M, 1].
    """
    flat = index.flatten()
    degree = degrees(flat, count)
    followers = flat.argsort(stable=True) // index.shape[1]
    return embedding_bag(followers, values, degree.cumsum(0) - degree, mode="sum"), degree.unsqueeze(1)


def edge_moments(own: Tensor, other: Tensor, index: Tensor) -> tuple[Tensor, Tensor, int | Tensor]:
    """Mean and biased variance [C] of own_i + other_j over the edges of the global batch, and how many edges.

    Args:
        own: a point's share of its edges [R, C].
        other: a neighbour's share [M, C], centred: digits are kept in proportion to it.
        index: neighbours [R, k], rows of ``other``.
    """
    rows, k = index.shape
    near = embedding_bag(index, other, mode="sum").div_(k)
    degree = degrees(index.flatten(), len(other)).to(other.dtype).unsqueeze(1)
    within = other.square().mul_(degree).sum(dim=0) / (rows * k) - near.square().sum(dim=0) / rows
    middle = near.add_(own)  # of a point's edges
    mean = middle.mean(dim=0)
    variance = middle.sub_(mean).square_().mean(dim=0) + within.clamp_min(0.0)
    mean, variance = mean.double(), variance.double()
    moments, count = mean_over_batch(torch.stack([mean, variance + mean.square()]), rows * k)
    variance = (moments[1] - moments[0].square()).clamp_min(0.0)
    return moments[0].to(own.dtype), variance.to(own.dtype), count


class _EdgeNormMax(torch.autograd.Function):
    """max_j LeakyReLU(BN(own_i + other_j)) [R, C] by a given mean and 1 / standard deviation.

    Where ``count`` is given, the number of edges they are of, they are functions of the inputs; else constants.
    """

    @staticmethod
    def forward(
        ctx: Any,
        own: Tensor,
        other: Tensor,
        index: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        inverse: Tensor,
        count: int | Tensor | None,
        keep: bool,
    ) -> Tensor:
        k, scale, row_bytes = index.shape[1], weight * inverse, own.shape[1] * own.element_size()
        sign = torch.where(weight < 0, -1.0, 1.0).to(other.dtype)
        signed, out = other * sign, torch.empty_like(own)
        codes = torch.arange(k, 0, -1, dtype=own.dtype, device=own.device).unsqueeze(1) if keep else None
        # of each point: its winning edge, standardised, and where among its neighbours that is
        best = torch.empty_like(own) if keep else out
        place = torch.empty_like(own, dtype=torch.uint8 if k < 256 else torch.int32) if keep else None
        for rows in row_chunks(own, len(own), 2 * k * row_bytes):
            largest, places = largest_neighbours(signed, index[rows], codes)
            torch.mul(largest.mul_(sign).add_(own[rows]).sub_(mean), inverse, out=best[rows])
            leaky_relu_(torch.addcmul(bias, best[rows], weight, out=out[rows]), SLOPE)
            if place is not None and places is not None:
                place[rows] = places
        if keep:
            ctx.save_for_backward(own, other, index, best, place, weight, bias, mean, inverse, scale)
            ctx.count = count
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        own, other, index, best, place, weight, bias, mean, inverse, scale = ctx.saved_tensors
        (_, k), channels = index.shape, other.shape[1]
        to_own, to_other, sums = torch.empty_like(own), torch.zeros_like(other), own.new_zeros(2, channels)
        starts, columns = index * channels, torch.arange(channels, device=index.device)
        for rows in row_chunks(own, len(own), 4 * channels * own.element_size()):
            normed = torch.addcmul(bias, best[rows], weight)
            given = torch.ops.aten.leaky_relu_backward(grad[rows], normed, SLOPE, False)
            sums[0] += given.sum(dim=0)
            sums[1] += normed.copy_(best[rows]).mul_(given).sum(dim=0)
            torch.mul(given, scale, out=to_own[rows])
            winner = starts[rows].gather(1, place[rows].long()).add_(columns)
            to_other.view(-1).index_add_(0, winner.view(-1), to_own[rows].view(-1))
        if ctx.count is not None:
            # every edge owes the mean its offset, and the variance its own deviation, tilted
            whole = sum_over_processes(sums) if isinstance(ctx.count, Tensor) else sums
            offset, tilt = ((part / ctx.count).to(own.dtype) * scale for part in whole)
            tilt = tilt * inverse
            offset = offset - tilt * mean
            near = embedding_bag(index, other, mode="sum")
            to_own.sub_(near.add_(own, alpha=k).mul_(tilt).add_(k * offset))
            followed, degree = sums_over_followers(own, index, len(other))
            to_other.sub_(followed.addcmul_(degree, other).mul_(tilt).addcmul_(degree, offset))
        return to_own, to_other, None, sums[1], sums[0], None, None, None, None


class EdgeConv(nn.Module):
    """h_i = max_j LeakyReLU(BN(W1 x_i + W2 (x_j - x_i))), j over the k nearest of i, as if every edge were made.

    Args:
        channels: C.
        out_channels: C'.
        k: neighbours of a point, itself included.
    """

    def __init__(self, channels: int, out_channels: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.centre = nn.Linear(channels, out_channels, bias=False)
        self.edge = nn.Linear(channels, out_channels, bias=False)
        self.norm = BatchNorm1d(out_channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, N, C] give features [B, N, C']; absent points hold zeros."""
        index = flat_neighbours(knn(x, self.k, mask), mask)
        # centring keeps float32 digits and cancels in x_j - x_i
        other = self.edge(x - mean_pool(x.detach(), mask).unsqueeze(1))
        own = self.centre(pack(x, mask)) - pack(other, mask)
        own, other = (part if part.dtype == torch.float64 else part.float() for part in (own, other.flatten(0, 1)))
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        # a copy, or a training step between this and the way back would change it
        mean, variance, count = norm.running_mean.clone(), norm.running_var, None
        if self.training:
            with torch.no_grad():
                mean, variance, count = edge_moments(own, other, index)
            norm.track(mean, variance, count)
        inverse = torch.rsqrt(variance + norm.eps)
        arguments = (own, other, index, norm.weight, norm.bias, mean, inverse, count, torch.is_grad_enabled())
        rows: Tensor = _EdgeNormMax.apply(*arguments)  # type: ignore[no-untyped-call]
        return unpack(rows, x, mask)
