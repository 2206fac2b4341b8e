"""What every launch of a kernel needs: the right device, rows without gaps, a grid of tiles."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def on(device: torch.device) -> AbstractContextManager[object]:
    """Make a GPU the current one: Triton launches on that, wherever the tensors lie."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def tiles(count: int, size: int) -> int:
    """How many tiles of a size cover a count."""
    return -(-count // size)


def single(values: Tensor) -> Tensor:
    """The values in single precision, without gaps."""
    return values.detach().float().contiguous()


def flags(mask: Tensor | None, like: Tensor) -> Tensor:
    """A mask as bytes without gaps; where there is none any tensor stands in for it, and is not read."""
    return like if mask is None else mask.contiguous().view(torch.uint8)
