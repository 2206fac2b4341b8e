"""Distances between clouds: nearest points, and the Chamfer distance under the names of its conventions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pointvae.errors import InputError
from pointvae.geometry.chunks import gather_points
from pointvae.geometry.finite import check_rows, distance_limit, present
from pointvae.geometry.scores import full_precision, least, score_tables
from pointvae.kernels import nearest_by_kernel


@torch.no_grad()
def nearest_indices(x: Tensor, y: Tensor, y_mask: Tensor | None = None) -> Tensor:
    """Index of the nearest point of y for each point of x, in memory that does not grow with N x M.

    Every pair is looked at, so that the time is the same for all clouds, collapsed ones too.

    Args:
        x: clouds [B, N, C].
        y: clouds [B, M, C].
        y_mask: which points of y exist [B, M]; all when absent.

    Returns:
        Indices into y [B, N], int64; on the CPU the lowest among equals. Rounding may decide between points whose
        distances agree to the last digits of the clouds' extent, squared.
    """
    x, y = full_precision(x, y)
    if (found := nearest_by_kernel(x, y, y_mask)) is not None:
        return found
    out = torch.empty(x.shape[:2], dtype=torch.int64, device=x.device)
    for clouds, rows, table in score_tables(x, y, y_mask):
        out[clouds, rows] = least(table)
    return out


def nearest(x: Tensor, y: Tensor, y_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Squared distance from each point of x to its nearest point of y, differentiable in both.

    Args:
        x: clouds [B, N, C].
        y: clouds [B, M, C].
        y_mask: which points of y exist [B, M]; all when absent.

    Returns:
        Squared distances [B, N], exactly zero for coinciding points, in float32 at least, and indices into y [B, N].
    """
    x, y = full_precision(x, y)
    index = nearest_indices(x.detach(), y.detach(), y_mask)
    return (x - gather_points(y, index)).square().sum(-1), index


def masked_mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of ``values`` [B, N] over the points that exist [B]."""
    return values.mean(dim=1) if mask is None else masked_sum(values, mask) / mask.sum(dim=1)


def masked_sum(values: Tensor, mask: Tensor | None) -> Tensor:
    """Sum of ``values`` [B, N] over the points that exist [B]."""
    return (values if mask is None else values.masked_fill(~mask, 0.0)).sum(dim=1)


@dataclass(frozen=True)
class Nearest:
    """The nearest points of pairs of clouds x [B, N, C] and y [B, M, C], both ways.

    Attributes:
        forward: squared distance from each point of x to its nearest of y [B, N].
        backward: squared distance from each point of y to its nearest of x [B, M].
        forward_index: which point of y that is [B, N].
        backward_index: which point of x that is [B, M].
        x_mask: which points of x exist [B, N]; all when absent.
        y_mask: which points of y exist [B, M]; all when absent.
    """

    forward: Tensor
    backward: Tensor
    forward_index: Tensor
    backward_index: Tensor
    x_mask: Tensor | None = None
    y_mask: Tensor | None = None

    def means(self, of: Callable[[Tensor], Tensor] = lambda squared: squared) -> tuple[Tensor, Tensor]:
        """Means of a function of the squared distances over the points of x [B], and over those of y [B]."""
        return masked_mean(of(self.forward), self.x_mask), masked_mean(of(self.backward), self.y_mask)


def check_pairs(x: Tensor, y: Tensor, x_mask: Tensor | None = None, y_mask: Tensor | None = None) -> None:
    """Refuse clouds of which no distance can be made.

    Raises:
        InputError: on the CPU, where a cloud has no point, or holds NaN, infinity or what is too large to square.
    """
    for cloud, mask in ((x, x_mask), (y, y_mask)):
        check_rows(cloud, "cloud", distance_limit(full_precision(cloud)[0].dtype), mask)


def nearest_both_ways(x: Tensor, y: Tensor, x_mask: Tensor | None = None, y_mask: Tensor | None = None) -> Nearest:
    """The nearest points of pairs of clouds x [B, N, C] and y [B, M, C] with masks [B, N] and [B, M], both ways."""
    check_pairs(x, y, x_mask, y_mask)
    x, y = present(x, x_mask), present(y, y_mask)  # a distance to NaN would have a gradient, masked or not
    forward, forward_index = nearest(x, y, y_mask)
    backward, backward_index = nearest(y, x, x_mask)
    return Nearest(forward, backward, forward_index, backward_index, x_mask, y_mask)


def _cd_l2_mean(near: Nearest) -> Tensor:
    forward, backward = near.means()
    return forward + backward


def _cd_l2_sum(near: Nearest) -> Tensor:
    return masked_sum(near.forward, near.x_mask) + masked_sum(near.backward, near.y_mask)


def root(squared: Tensor) -> Tensor:
    """Lengths of squares, with the gradient 0 where points coincide, where a length has none."""
    apart = squared > 0
    return torch.where(apart, squared, 1.0).sqrt() * apart


def _cd_l1_half(near: Nearest) -> Tensor:
    forward, backward = near.means(root)
    return (forward + backward) / 2


def _cd_l1_max(near: Nearest) -> Tensor:
    return torch.maximum(*near.means(root))


CHAMFER: Mapping[str, Callable[[Nearest], Tensor]] = {
    "cd_l2_mean": _cd_l2_mean,
    "cd_l2_half": lambda near: _cd_l2_mean(near) / 2,
    "cd_l2_sum": _cd_l2_sum,
    "cd_l1_half": _cd_l1_half,
    "cd_l1_max": _cd_l1_max,
}
"""The conventions of the Chamfer distance by name, each a function of the nearest points.

``l2`` takes squared distances f (forward) and b (backward), ``l1`` their roots. ``cd_l2_mean``: mean f + mean b.
``cd_l2_half``: half of that. ``cd_l2_sum``: Σ f + Σ b. ``cd_l1_half``: (mean √f + mean √b) / 2, the CD-L1 of shape
completion. ``cd_l1_max``: max(mean √f, mean √b), equation 1 of FoldingNet (Yang et al., CVPR 2018).
"""


def chamfer_distances(
    x: Tensor,
    y: Tensor,
    names: Sequence[str] | None = None,
    x_mask: Tensor | None = None,
    y_mask: Tensor | None = None,
) -> dict[str, Tensor]:
    """Chamfer distances by the names of their conventions, from one search for nearest points each way.

    Args:
        x: clouds [B, N, C].
        y: clouds [B, M, C].
        names: conventions, of `CHAMFER`; all when absent.
        x_mask: which points of x exist [B, N]; all when absent.
        y_mask: which points of y exist [B, M]; all when absent.

    Returns:
        One value for each pair [B] by name. Those of ``l1`` are in the clouds' units, with a gradient of 0 where
        points coincide; those of ``l2`` are in squared units.

    Raises:
        InputError: a convention is unknown; or, on the CPU, a cloud has no point or holds NaN, infinity, or
            coordinates beyond 2e15 (1e123 in float64).

    Example:
        >>> x, y = torch.zeros(1, 1, 3), torch.tensor([[[0.0, 3.0, 4.0]]])
        >>> {name: float(value) for name, value in chamfer_distances(x, y).items()}
        {'cd_l2_mean': 50.0, 'cd_l2_half': 25.0, 'cd_l2_sum': 50.0, 'cd_l1_half': 5.0, 'cd_l1_max': 5.0}
    """
    names = list(CHAMFER) if names is None else names
    for name in names:
        if name not in CHAMFER:
            raise InputError(f"Chamfer convention {name}: unknown; choose from {', '.join(CHAMFER)}")
    near = nearest_both_ways(x, y, x_mask, y_mask)
    return {name: CHAMFER[name](near) for name in names}


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

    Raises:
        InputError: on the CPU, where a cloud has no point or holds NaN, infinity, or coordinates beyond 2e15 (1e123
            in float64).
    """
    return _cd_l2_mean(nearest_both_ways(x, y, x_mask, y_mask))
