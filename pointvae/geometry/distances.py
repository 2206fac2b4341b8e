"""Distances between clouds: nearest points, and the Chamfer distance under the name of its convention."""

import torch
from torch import Tensor

from pointvae.geometry.chunks import gather_points, row_chunks


def pairwise_squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances between all points of paired clouds, never negative.

    Args:
        x: clouds [B, N, C].
        y: clouds [B, M, C].

    Returns:
        Squared distances [B, N, M]. Both clouds are centred on y first, because the expanded form
        |x|² - 2xy + |y|² loses digits far from the origin; what rounding leaves below zero is clamped.
    """
    centre = y.mean(dim=1, keepdim=True)
    x, y = x - centre, y - centre
    cross = torch.baddbmm(y.square().sum(-1).unsqueeze(1), x, y.transpose(1, 2), alpha=-2.0)
    return (cross + x.square().sum(-1, keepdim=True)).clamp_min(0.0)


@torch.no_grad()
def nearest_indices(x: Tensor, y: Tensor, y_mask: Tensor | None = None) -> Tensor:
    """Index of the nearest point of y for each point of x, in memory that does not grow with N x M.

    Args:
        x: clouds [B, N, C].
        y: clouds [B, M, C].
        y_mask: which points of y exist [B, M]; all when absent.

    Returns:
        Indices into y [B, N], int64.
    """
    batch, n, _ = x.shape
    m = y.shape[1]
    centre = y.mean(dim=1, keepdim=True)
    # |x - y|² without |x|², which is the same for every candidate: the least of |y|² - 2xy is the nearest
    lifted = (-2.0 * (y - centre)).transpose(1, 2)
    offset = (y - centre).square().sum(-1)
    if y_mask is not None:
        offset = offset.masked_fill(~y_mask, torch.inf)
    offset = offset.unsqueeze(1)
    x = x - centre
    out = torch.empty(batch, n, dtype=torch.int64, device=x.device)
    cell = x.element_size() * m
    for clouds in row_chunks(x, batch, n * cell):
        for rows in row_chunks(x, n, (clouds.stop - clouds.start) * cell):
            scores = torch.baddbmm(offset[clouds], x[clouds, rows], lifted[clouds])
            out[clouds, rows] = scores.argmin(dim=2)
    return out


def nearest(x: Tensor, y: Tensor, y_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Squared distance from each point of x to its nearest point of y, differentiable in both.

    Args:
        x: clouds [B, N, C].
        y: clouds [B, M, C].
        y_mask: which points of y exist [B, M]; all when absent.

    Returns:
        Squared distances [B, N], exactly zero for coinciding points, and indices into y [B, N].
    """
    index = nearest_indices(x.detach(), y.detach(), y_mask)
    return (x - gather_points(y, index)).square().sum(-1), index


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of ``values`` [B, N] over the points that exist [B]."""
    if mask is None:
        return values.mean(dim=1)
    return values.masked_fill(~mask, 0.0).sum(dim=1) / mask.sum(dim=1)


def chamfer_distance(x: Tensor, y: Tensor, x_mask: Tensor | None = None, y_mask: Tensor | None = None) -> Tensor:
    """Chamfer distance in the convention ``cd_l2_mean``: squared distances, means, both directions added.

        CD(x, y) = 1/N Σ_i min_j |x_i - y_j|² + 1/M Σ_j min_i |y_j - x_i|²

    Args:
        x: clouds [B, N, C].
        y: clouds [B, M, C].
        x_mask: which points of x exist [B, N]; all when absent.
        y_mask: which points of y exist [B, M]; all when absent.

    Returns:
        One value for each pair [B], in squared units of the clouds (unit-sphere lengths squared).
    """
    forward, _ = nearest(x, y, y_mask)
    backward, _ = nearest(y, x, x_mask)
    return masked_mean(forward, x_mask) + masked_mean(backward, y_mask)
