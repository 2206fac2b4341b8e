"""Chunk sizes from a byte budget, so that N x M work never needs N x M memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

CPU_BYTES = 2**20  # about the second-level cache: larger temporaries cost page faults, smaller ones calls
GPU_BYTES = 2**28


def row_chunks(reference: Tensor, rows: int, row_bytes: int) -> Iterator[slice]:
    """Yield slices over ``rows`` such that a slice of rows stays within the device's byte budget."""
    budget = CPU_BYTES if reference.device.type == "cpu" else GPU_BYTES
    size = max(1, budget // max(1, row_bytes))
    for start in range(0, rows, size):
        yield slice(start, min(rows, start + size))


def gather_points(points: Tensor, index: Tensor) -> Tensor:
    """Pick rows of each cloud: ``points`` [B, N, C] and ``index`` [B, ...] of integers give [B, ..., C]."""
    batch, _, channels = points.shape
    flat = index.reshape(batch, -1, 1).expand(-1, -1, channels)
    return torch.gather(points, 1, flat).reshape(*index.shape, channels)
