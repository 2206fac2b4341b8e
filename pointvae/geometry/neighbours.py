"""Nearest neighbours within a cloud, in coordinates or in features, and of other points in it."""

import torch
from torch import Tensor

from pointvae.geometry.chunks import row_chunks


@torch.no_grad()
def knn(points: Tensor, k: int, mask: Tensor | None = None) -> Tensor:
    """The k nearest points of each point within its own cloud, itself included and first among equals.

    Args:
        points: coordinates or features [B, N, C].
        k: neighbours asked for; a cloud of fewer than k points gives every point it has, then the point itself
            again, so that a maximum or a minimum over neighbours is unchanged.
        mask: which points exist [B, N]; all when absent. Rows of absent points hold their own index.

    Returns:
        Indices [B, N, k], int64, nearest first.
    """
    batch, n, _ = points.shape
    centred = points - points.mean(dim=1, keepdim=True)
    lifted = (-2.0 * centred).transpose(1, 2)
    offset = centred.square().sum(-1)
    if mask is not None:
        offset = offset.masked_fill(~mask, torch.inf)
    offset = offset.unsqueeze(1)
    found = min(k, n)
    own = torch.arange(n, device=points.device)
    out = own.view(1, n, 1).repeat(batch, 1, k)
    cell = points.element_size() * n
    for clouds in row_chunks(points, batch, n * cell):
        for rows in row_chunks(points, n, (clouds.stop - clouds.start) * cell):
            scores = torch.baddbmm(offset[clouds], centred[clouds, rows], lifted[clouds])
            # a point is its own nearest, whatever rounding says
            scores[:, torch.arange(rows.stop - rows.start), own[rows]] = -torch.inf
            values, index = scores.topk(found, dim=2, largest=False)
            keep = own[rows].view(1, -1, 1)
            index = torch.where(torch.isposinf(values), keep, index)
            if mask is not None:
                index = torch.where(mask[clouds, rows].unsqueeze(2), index, keep)
            out[clouds, rows, :found] = index
    return out


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
        Indices into the points [B, Q, k], int64, nearest first.
    """
    batch, count, _ = queries.shape
    n = points.shape[1]
    centre = points.mean(dim=1, keepdim=True)
    lifted = (-2.0 * (points - centre)).transpose(1, 2)
    offset = (points - centre).square().sum(-1)
    if mask is not None:
        offset = offset.masked_fill(~mask, torch.inf)
    offset = offset.unsqueeze(1)
    centred = queries - centre
    found = min(k, n)
    out = torch.empty(batch, count, k, dtype=torch.int64, device=points.device)
    cell = points.element_size() * n
    for clouds in row_chunks(points, batch, count * cell):
        for rows in row_chunks(points, count, (clouds.stop - clouds.start) * cell):
            scores = torch.baddbmm(offset[clouds], centred[clouds, rows], lifted[clouds])
            values, index = scores.topk(found, dim=2, largest=False)
            out[clouds, rows, :found] = torch.where(torch.isposinf(values), index[..., :1], index)
            out[clouds, rows, found:] = index[..., :1]
    return out
