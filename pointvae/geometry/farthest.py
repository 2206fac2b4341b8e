"""Farthest point sampling: points of a cloud that cover it evenly."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pointvae.errors import InputError
from pointvae.geometry.finite import binary_scale, check_rows, present
from pointvae.geometry.scores import full_precision


@torch.no_grad()
def farthest_points(points: Tensor, count: int, mask: Tensor | None = None, start: Tensor | None = None) -> Tensor:
    """Choose each cloud's points one by one, each the farthest from all those chosen before.

    Gonzalez, "Clustering to minimize the maximum intercluster distance", Theoretical Computer Science 1985; for
    clouds: Qi et al., "PointNet++", NeurIPS 2017. Time O(N count), memory O(N). Every choice begins with the
    choices of fewer.

    Args:
        points: clouds [B, N, C].
        count: points to choose, at least one. Where a cloud has fewer places than that, those chosen come again: the
            lowest index first.
        mask: which points exist [B, N], at least one of each cloud; all when absent.
        start: index of the first point of each cloud [B]; when absent the point that is farthest from the mean of the
            points that exist, so that the choice is the same places whatever the points' order.

    Returns:
        Indices [B, count], int64, in the order of choice; on the CPU the lowest among equally far ones.

    Raises:
        InputError: nothing is asked for, a start is no point of its cloud, or, on the CPU, a cloud has no point or
            holds NaN or infinity.

    Example:
        >>> line = torch.tensor([[[0.0], [1.0], [2.0], [7.0], [9.0]]])
        >>> farthest_points(line, 3).tolist()
        [[4, 0, 2]]
    """
    batch, n, _ = points.shape
    if count < 1 or n < 1:
        raise InputError(f"farthest points: {count} of {n} points asked for; both must be at least 1")
    (points,) = full_precision(points)
    there = torch.ones(batch, n, dtype=torch.bool, device=points.device) if mask is None else mask
    check_rows(points, "cloud", torch.finfo(points.dtype).max, mask)
    points = present(points, mask)
    points = points * binary_scale(points)
    channels = points.permute(2, 0, 1).contiguous()  # each a run of memory
    memory = torch.empty_like(channels)
    parts = memory.unbind()
    # squared distance to the nearest chosen point
    gap = torch.full((batch, n), torch.inf, dtype=points.dtype, device=points.device).masked_fill_(~there, -torch.inf)
    if start is None:
        mean = points.sum(dim=1) / there.sum(dim=1, keepdim=True)
        start = _greatest(torch.minimum(gap, _squares(channels, mean.t().unsqueeze(2), memory, parts)))
    else:
        _check_start(start, there)
    chosen = torch.empty(batch, count, dtype=torch.int64, device=points.device)
    clouds = torch.arange(batch, device=points.device)
    latest = start.to(chosen)
    for step in range(count):
        chosen[:, step] = latest
        squares = _squares(channels, channels[:, clouds, latest].unsqueeze(2), memory, parts)
        latest = _greatest(torch.minimum(gap, squares, out=gap))
    return chosen


def _squares(channels: Tensor, places: Tensor, memory: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """Squared distances [B, N] of points [C, B, N] from one place in each cloud [C, B, 1], in the memory's parts."""
    torch.sub(channels, places, out=memory)
    torch.mul(memory, memory, out=memory)
    for part in parts[1:]:
        parts[0].add_(part)
    return parts[0]


def _greatest(values: Tensor) -> Tensor:
    """Index of the greatest of each row [B, N] -> [B], on the CPU the first among equals."""
    if values.device.type != "cpu":
        return values.argmax(dim=1)
    return torch.from_numpy(values.numpy().argmax(axis=1))  # vectorised, unlike torch's


def _check_start(start: Tensor, there: Tensor) -> None:
    batch, n = there.shape
    if start.shape != (batch,) or start.is_floating_point():
        raise InputError(
            f"farthest points: start has the form {list(start.shape)}; give one index a cloud, [{batch}]"
        )
    inside = (start >= 0) & (start < n)
    if not bool((inside & there.gather(1, start.long().clamp(0, n - 1).unsqueeze(1)).squeeze(1)).all()):
        raise InputError(
            f"farthest points: a start is no point of its cloud; give indices from 0 to {n - 1} that exist"
        )
