"""Measures beside the Chamfer distance that are made of the same nearest points: F-score, density-aware Chamfer."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pointvae.errors import InputError
from pointvae.geometry.distances import CHAMFER, Nearest

F_SCORE, DCD = "f_score_", "dcd_a"
FIDELITY = (*CHAMFER, "f_score_0.02", "f_score_0.05", "f_score_0.1", "dcd_a100", "dcd_a1000")
"""The measures that are made by default."""


def f_score(near: Nearest, threshold: float) -> Tensor:
    """F-score: harmonic mean of precision and recall of points within a threshold of the other cloud.

        F = 2 P R / (P + R),   P, R the shares of points of x (of y) that lie nearer than the threshold to y (to x)

    Knapitsch et al., "Tanks and Temples", SIGGRAPH 2017, section 5; as a measure of reconstructed shapes: Tatarchenko
    et al., "What Do Single-view 3D Reconstruction Networks Learn?", CVPR 2019. It depends on the number of points.

    Args:
        near: nearest points of B pairs of clouds; those that do not exist do not count.
        threshold: unit-sphere lengths.

    Returns:
        One value for each pair [B], 0 to 1, higher is better; 0 where no point is near.

    Raises:
        InputError: the threshold is not positive and finite.
    """
    if not 0 < threshold < math.inf:
        raise InputError(f"F-score threshold {threshold:g}: must be positive and finite, in the clouds' units")
    precision, recall = near.means(lambda squared: (squared.sqrt() < threshold).to(squared.dtype))
    return 2 * precision * recall / (precision + recall).clamp_min(torch.finfo(precision.dtype).tiny)


def density_aware_chamfer(near: Nearest, alpha: float = 1000.0) -> Tensor:
    """Density-aware Chamfer distance: near points count for less where many points share the same nearest one.

        DCD = ½ ( 1/N Σ_i (1 - w_i exp(-α f_i)) + 1/M Σ_j (1 - w_j exp(-α b_j)) ),   w_i = min(1, (N / M) / n_i)

    with f and b the squared distances to the nearest point and n_i the number of points that share i's nearest one;
    Wu et al., "Density-aware Chamfer Distance as a Comprehensive Metric for Point Cloud Completion", NeurIPS 2021,
    with squared distances and α = 1000 as their code has them. For clouds of equal size w_i = 1 / n_i is theirs;
    the bound of 1 for unequal ones is ours, and keeps the value from falling below 0.

    Args:
        near: nearest points of B pairs of clouds; those that do not exist do not count.
        alpha: inverse square of a length: 1000 stands for 0.03, so with few points all values come near 1.

    Returns:
        One value for each pair [B], 0 to 1, lower is better.

    Raises:
        InputError: alpha is not positive and finite.
    """
    if not 0 < alpha < math.inf:
        raise InputError(f"density-aware Chamfer alpha {alpha:g}: must be positive and finite")
    n, m = _count(near.forward, near.x_mask), _count(near.backward, near.y_mask)
    there = _weights(near.forward_index, near.x_mask, near.backward.shape[1], n / m) * torch.exp(
        -alpha * near.forward
    )
    back = _weights(near.backward_index, near.y_mask, near.forward.shape[1], m / n) * torch.exp(
        -alpha * near.backward
    )
    weighted = Nearest(1 - there, 1 - back, near.forward_index, near.backward_index, near.x_mask, near.y_mask)
    forward, backward = weighted.means()
    return (forward + backward) / 2


def fidelity(near: Nearest, name: str) -> Tensor:
    """A measure by its name [B]: a convention of `CHAMFER`, ``f_score_<threshold>`` or ``dcd_a<alpha>``.

    Raises:
        InputError: the name is unknown.

    Example:
        >>> from pointvae.geometry.distances import nearest_both_ways
        >>> x = torch.eye(3).unsqueeze(0)
        >>> float(fidelity(nearest_both_ways(x, x), "f_score_0.02"))
        1.0
    """
    if name in CHAMFER:
        return CHAMFER[name](near)
    for prefix, measure in ((F_SCORE, f_score), (DCD, density_aware_chamfer)):
        if name.startswith(prefix):
            try:
                number = float(name.removeprefix(prefix))
            except ValueError:
                break
            return measure(near, number)
    raise InputError(
        f"measure {name}: unknown; choose from {', '.join(CHAMFER)}, {F_SCORE}<threshold> or {DCD}<alpha>"
    )


def _count(values: Tensor, mask: Tensor | None) -> Tensor:
    """How many points exist [B, 1]."""
    there = torch.ones_like(values) if mask is None else mask.to(values.dtype)
    return there.sum(dim=1, keepdim=True)


def _weights(index: Tensor, mask: Tensor | None, size: int, share: Tensor) -> Tensor:
    """The w of points [B, N] with their nearest ``index``, of ``size``, each expected ``share`` [B, 1] times."""
    there = torch.ones_like(index) if mask is None else mask.to(index.dtype)
    chosen = torch.zeros(len(index), size, dtype=index.dtype, device=index.device).scatter_add(1, index, there)
    return (share / chosen.gather(1, index).clamp_min(1)).clamp_max(1.0)
