"""The winners of a linear layer's maximum over points on a GPU: a matrix product that keeps only its best column.

A program owns some channels of one cloud. It multiplies tile after tile of points, keeps for every column of a tile
the best score so far, and lets the columns compete at the end: of [B, N, C] scores none is ever written.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pointvae.kernels.launching import flags, on, tiles

CHANNELS, POINTS, INNER = 64, 64, 32


@triton.jit
def _winners(
    x_start, weight_start, mask_start, out_start, n, channels, inner,
    MASKED: tl.constexpr, PRECISION: tl.constexpr, CHANNELS: tl.constexpr, POINTS: tl.constexpr, INNER: tl.constexpr,
):  # fmt: skip
    per_cloud = tl.cdiv(channels, CHANNELS)
    cloud = (tl.program_id(0) // per_cloud).to(tl.int64)
    channel = (tl.program_id(0) % per_cloud) * CHANNELS + tl.arange(0, CHANNELS)
    column = tl.arange(0, POINTS)
    part = tl.arange(0, INNER)
    infinity = float("inf")
    best = tl.full((CHANNELS, POINTS), -infinity, tl.float32)
    tile_of_best = tl.zeros((CHANNELS, POINTS), tl.int32)
    for start in range(0, n, POINTS):
        point = start + column
        exists = point < n
        score = tl.zeros((CHANNELS, POINTS), tl.float32)
        for first in range(0, inner, INNER):
            k = first + part
            left = tl.load(
                weight_start + channel[:, None] * inner + k[None, :],
                mask=(channel[:, None] < channels) & (k[None, :] < inner), other=0.0,
            )  # fmt: skip
            right = tl.load(
                x_start + cloud * n * inner + point[None, :] * inner + k[:, None],
                mask=exists[None, :] & (k[:, None] < inner), other=0.0,
            )  # fmt: skip
            score = tl.dot(left, right, score, input_precision=PRECISION)
        if MASKED:
            exists = tl.load(mask_start + cloud * n + point, mask=exists, other=0) != 0
        # what is not a number wins, so that it shows in the maximum
        score = tl.where(score == score, score, infinity)
        score = tl.where(exists[None, :], score, -infinity)
        higher = score > best  # strictly: an earlier tile keeps what is equal
        best = tl.where(higher, score, best)
        tile_of_best = tl.where(higher, start, tile_of_best)
    most = tl.max(best, axis=1)
    index = tl.where(best == most[:, None], tile_of_best + column[None, :], n)
    tl.store(out_start + cloud * channels + channel, tl.min(index, axis=1).to(tl.int64), mask=channel < channels)


def winning_points(x: Tensor, weight: Tensor, mask: Tensor | None = None) -> Tensor:
    """Index of the point that maximises each channel of W x, the lowest among equals; 0 where no point exists.

    Sums are single precision whatever the inputs are; TF32 is used where torch's own products may use it.

    Args:
        x: features [B, N, K].
        weight: W [C, K].
        mask: which points exist [B, N]; all when absent.

    Returns:
        Indices into the points [B, C], int64.
    """
    batch, n, inner = x.shape
    kind = torch.promote_types(x.dtype, weight.dtype)
    x, weight = x.detach().to(kind).contiguous(), weight.detach().to(kind).contiguous()
    out = torch.empty(batch, len(weight), dtype=torch.int64, device=x.device)
    exact = torch.get_float32_matmul_precision() == "highest"
    with on(x.device):
        _winners[(batch * tiles(len(weight), CHANNELS),)](
            x, weight, flags(mask, x), out, n, len(weight), inner,
            MASKED=mask is not None, PRECISION="ieee" if exact else "tf32",
            CHANNELS=CHANNELS, POINTS=POINTS, INNER=INNER,
        )  # fmt: skip
    return out
