"""Which tensors the kernels serve, and the kernels as functions that import Triton only when called."""

from __future__ import annotations

import torch
from torch import Tensor

from pointvae.kernels.availability import available

_TYPES = (torch.float32, torch.bfloat16, torch.float16)
LARGEST = 2**31 - 1  # elements of one cloud's tensor: offsets within a cloud are 32-bit
CHANNELS = 16  # of the points of a nearest-neighbour search, whose loop over channels is unrolled


def serves(*tensors: Tensor) -> bool:
    """Whether the kernels take these tensors: all on an NVIDIA GPU, none empty, none in double precision.

    Within ``torch.compile`` they do not: the compiler fuses the plain form itself.
    """
    if not tensors[0].is_cuda or torch.compiler.is_compiling():
        return False
    fit = all(t.is_cuda and t.dtype in _TYPES and t.numel() > 0 and t[0].numel() <= LARGEST for t in tensors)
    return fit and bool(available())


def nearest_by_kernel(x: Tensor, y: Tensor, y_mask: Tensor | None = None) -> Tensor | None:
    """Index into y [B, M, C] of the nearest point of each point of x [B, N, C], or None where the plain form serves.

    See `pointvae.geometry.distances.nearest_indices`; among equals the lowest index wins.
    """
    if not serves(x, y) or x.shape[2] > CHANNELS:
        return None
    from pointvae.kernels.nearest import nearest_indices

    return nearest_indices(x, y, y_mask)


def winners_by_kernel(x: Tensor, weight: Tensor, mask: Tensor | None = None) -> Tensor | None:
    """Index of the point that maximises each channel of W x [B, C], or None where the plain form serves.

    See `pointvae.models.linear_norm_max.winning_points`; among equals the lowest index wins.
    """
    if not serves(x, weight):
        return None
    from pointvae.kernels.winners import winning_points

    return winning_points(x, weight, mask)


def log_density_by_kernel(x: Tensor, y: Tensor, precision: Tensor, constant: Tensor) -> Tensor | None:
    """Log density of points under a mixture [B, N], or None where the plain form serves.

    See `pointvae.models.mixture_density.mixture_log_density`; differentiable once in everything.
    """
    if not serves(x, y, precision, constant):
        return None
    from pointvae.kernels.mixture import mixture_log_density

    return mixture_log_density(x, y, precision, constant)
