"""Earth mover's distance between clouds of equal size, exact, under the name of its convention."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pointvae.errors import InputError
from pointvae.geometry.finite import check_rows, distance_limit

EMD = ("emd_l1_mean", "emd_l2_mean")
"""The conventions by name: mean distance of the matched points, or mean squared distance; each matched by its own."""


def earth_movers_distance(x: Tensor, y: Tensor, convention: str = "emd_l1_mean") -> Tensor:
    """Earth mover's distance: the least mean cost over all one-to-one matchings of the points, by assignment.

        EMD(x, y) = min over permutations π of 1/N Σ_i c(x_i, y_π(i)),   c the distance or its square

    Rubner et al., "The Earth Mover's Distance as a Metric for Image Retrieval", IJCV 2000; between clouds as in Fan
    et al., CVPR 2017, section 4.2, here exact. The optimum is scipy's ``linear_sum_assignment``, cubic in N, which
    releases the interpreter's lock, so that threads run at once.

    Args:
        x: clouds [B, N, C].
        y: clouds [B, N, C].
        convention: ``emd_l1_mean`` (unit-sphere lengths) or ``emd_l2_mean`` (squared).

    Returns:
        One value for each pair [B], float64, without a gradient.

    Raises:
        InputError: the clouds differ in size or in number, hold NaN or infinity, or the convention is unknown.

    Example:
        >>> x = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
        >>> float(earth_movers_distance(x, x.flip(1) + torch.tensor([0.0, 0.0, 2.0])))
        2.0
    """
    check_convention(convention)
    if x.shape != y.shape:
        raise InputError(
            f"earth mover's distance: clouds {list(x.shape)} and {list(y.shape)} differ; it matches points one to "
            "one, so draw both down to the same number of points"
        )
    for cloud in (x, y):
        check_rows(cloud.detach().cpu(), "cloud", distance_limit(torch.float64))
    pairs = zip(x.detach().double().cpu().numpy(), y.detach().double().cpu().numpy(), strict=True)
    return torch.tensor([matched_cost(a, b, convention) for a, b in pairs], dtype=torch.float64)


def matched_cost(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], convention: str) -> float:
    """The earth mover's distance of one pair of clouds (N, C)."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    cost = cdist(x, y, "euclidean" if convention == "emd_l1_mean" else "sqeuclidean")
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].mean())


def check_convention(convention: str) -> None:
    """Refuse an unknown convention by name."""
    if convention not in EMD:
        raise InputError(f"earth mover's convention {convention}: unknown; choose from {', '.join(EMD)}")
