"""Nearest neighbours on a GPU: the candidates go by in tiles, and nothing of size N x M is ever written.

A program owns some points of x and keeps, for every column of a tile of y, the best candidate so far; columns compete
only once, at the end. Squares of differences are summed as they stand, which in few dimensions costs no more than
|y|² - 2xy and keeps its digits far from the origin.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from pointvae.kernels.launching import flags, on, single, tiles

ROWS, COLUMNS = 64, 64


@triton.jit
def _nearest(
    x_start, y_start, mask_start, out_start, n, m,
    MASKED: tl.constexpr, C: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    per_cloud = tl.cdiv(n, ROWS)
    cloud = (tl.program_id(0) // per_cloud).to(tl.int64)
    row = (tl.program_id(0) % per_cloud) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    x = x_start + cloud * n * C + row * C
    y = y_start + cloud * m * C
    infinity = float("inf")
    best = tl.full((ROWS, COLUMNS), infinity, tl.float32)
    tile_of_best = tl.zeros((ROWS, COLUMNS), tl.int32)
    for start in range(0, m, COLUMNS):
        candidate = start + column
        exists = candidate < m
        if MASKED:
            exists = tl.load(mask_start + cloud * m + candidate, mask=exists, other=0) != 0
        squared = tl.zeros((ROWS, COLUMNS), tl.float32)
        for c in tl.static_range(C):
            here = tl.load(x + c, mask=row < n, other=0.0)
            there = tl.load(y + candidate * C + c, mask=exists, other=0.0)
            difference = here[:, None] - there[None, :]
            squared += difference * difference
        # what is not a number is nearest of all, so that it shows in the distance
        squared = tl.where(squared == squared, squared, -1.0)
        squared = tl.where(exists[None, :], squared, infinity)
        closer = squared < best  # strictly: an earlier tile keeps what is equal
        best = tl.where(closer, squared, best)
        tile_of_best = tl.where(closer, start, tile_of_best)
    least = tl.min(best, axis=1)
    index = tl.where(best == least[:, None], tile_of_best + column[None, :], m)
    tl.store(out_start + cloud * n + row, tl.min(index, axis=1).to(tl.int64), mask=row < n)


def nearest_indices(x: Tensor, y: Tensor, y_mask: Tensor | None = None) -> Tensor:
    """Index of the nearest point of y for each point of x, the lowest among equals; 0 where no point of y exists.

    Args:
        x: clouds [B, N, C] of few channels.
        y: clouds [B, M, C].
        y_mask: which points of y exist [B, M]; all when absent.

    Returns:
        Indices into y [B, N], int64.
    """
    batch, n, channels = x.shape
    x, y = single(x), single(y)
    out = torch.empty(batch, n, dtype=torch.int64, device=x.device)
    with on(x.device):
        _nearest[(batch * tiles(n, ROWS),)](
            x, y, flags(y_mask, y), out, n, y.shape[1],
            MASKED=y_mask is not None, C=channels, ROWS=ROWS, COLUMNS=COLUMNS,
        )  # fmt: skip
    return out
