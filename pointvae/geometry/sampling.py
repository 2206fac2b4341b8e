"""Random choices of a cloud's points."""

import torch
from torch import Generator, Tensor

from pointvae.geometry.chunks import gather_points
from pointvae.randomness import uniform


def random_subset(points: Tensor, count: int, generator: Generator | None = None) -> Tensor:
    """A random ``count`` of each cloud's points, without repetition: [B, N, 3] gives [B, count, 3]."""
    batch, n, _ = points.shape
    if count >= n:
        return points
    rank = uniform((batch, n), generator, points.device)
    return gather_points(points, rank.topk(count, dim=1, sorted=False).indices)


def shuffled(points: Tensor, generator: Generator | None = None) -> Tensor:
    """Each cloud's points in a random order of its own [B, N, 3]."""
    rank = uniform(points.shape[:2], generator, points.device)
    return gather_points(points, rank.argsort(dim=1))


def systematic_choice(weights: Tensor, count: int, generator: Generator | None = None) -> Tensor:
    """``count`` indices for each row of weights that sum to 1: [B, M] gives [B, count], int64, ascending.

    Systematic resampling: index j is taken floor or ceil of ``count`` w_j times, and ``count`` w_j on average.
    """
    start = uniform((len(weights), 1), generator, weights.device, weights.dtype)
    places = (torch.arange(count, device=weights.device, dtype=weights.dtype) + start) / count
    ends = weights.cumsum(dim=1)
    last = torch.nextafter(ends[:, -1:], torch.zeros_like(start))  # rounding must not reach past the last weight
    # of weights that are NaN the last is taken: an index must point somewhere
    return torch.searchsorted(ends, torch.minimum(places, last), right=True).clamp_max(weights.shape[1] - 1)
