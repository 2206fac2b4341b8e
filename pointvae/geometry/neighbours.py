"""Nearest neighbours within a cloud, in coordinates or in features, and of other points in it."""

import torch
from torch import Tensor

from pointvae.geometry.finite import present
from pointvae.geometry.scores import full_precision, least_few, score_tables


@torch.no_grad()
def knn(points: Tensor, k: int, mask: Tensor | None = None) -> Tensor:
    """The k nearest points of each point within its own cloud, itself included and first among equals.

    Args:
        points: coordinates or features [B, N, C].
        k: neighbours asked for; a cloud of fewer than k points gives every point it has, then the point itself
            again, so that a maximum or a minimum over neighbours is unchanged.
        mask: which points exist [B, N]; all when absent. Rows of absent points hold their own index.

    Returns:
        Indices [B, N, k], int64, nearest first; on the CPU the lowest first among equals.
    """
    points = present(points, mask)
    index = _nearest_few(points, points, k, mask, within=True)
    if mask is None:
        return index
    own = torch.arange(points.shape[1], device=points.device).view(1, -1, 1)
    return torch.where(mask.unsqueeze(2), index, own)


@torch.no_grad()
def neighbours_of(queries: Tensor, points: Tensor, k: int, mask: Tensor | None = None) -> Tensor:
    """The k nearest points of each query in the query's cloud.

    Args:
        queries: places asked about [B, Q, C].
        points: clouds [B, N, C].
        k: neighbours asked for; a cloud of fewer than k points gives every point it has, then the nearest again,
            so that a maximum or a minimum over neighbours is unchanged.
        mask: which points exist [B, N], at least one of each cloud; all when absent.

    Returns:
        Indices into the points [B, Q, k], int64, nearest first; on the CPU the lowest first among equals.
    """
    return _nearest_few(queries, points, k, mask, within=False)


def _nearest_few(queries: Tensor, points: Tensor, k: int, mask: Tensor | None, *, within: bool) -> Tensor:
    """The k nearest, what is missing filled up with the nearest; ``within``: that is the query itself."""
    queries, points = full_precision(queries, points)
    found = min(k, points.shape[1])
    out = torch.empty(*queries.shape[:2], k, dtype=torch.int64, device=points.device)
    for clouds, rows, table in score_tables(queries, points, mask):
        if within:  # a point is its own nearest, whatever rounding says
            table.diagonal(rows.start, dim1=1, dim2=2).fill_(-torch.inf)
        values, index = least_few(table, found)
        first = index[..., :1]
        out[clouds, rows, :found] = torch.where(torch.isposinf(values), first, index)
        out[clouds, rows, found:] = first
    return out
