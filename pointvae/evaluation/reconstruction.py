"""How well shapes come back through the latent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError
from pointvae.evaluation.features import to_array, to_tensors
from pointvae.evaluation.work import Work
from pointvae.geometry.distances import chamfer_distance
from pointvae.models.modes import evaluation_mode
from pointvae.models.vae import PointVAE

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reconstructions:
    """Decoded posterior means and their errors.

    Attributes:
        points: the reconstructions (n, M, 3).
        cd_l2_mean: Chamfer distance of each to its input (n,): squared distances, means, both directions added.
    """

    points: Floats
    cd_l2_mean: Floats


def reconstruct(
    model: PointVAE, points: Floats, mask: npt.NDArray[np.bool_] | None = None, *, work: Work | None = None
) -> Reconstructions:
    """Reconstruct clouds and measure the error of each.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        points: clouds (n, N, 3), float32.
        mask: which points exist (n, N); all when absent.
        work: how much is done at a time.

    Raises:
        InputError: there is no cloud.
    """
    if not len(points):
        raise InputError("no shape to reconstruct: the split or folder is empty")
    device = next(model.parameters()).device

    def reconstruct_tile(places: range) -> tuple[Floats, Floats]:
        part = slice(places.start, places.stop)
        clouds, there = to_tensors(points[part], None if mask is None else mask[part], device)
        made = model.reconstruct(clouds, there)
        return to_array(made), to_array(chamfer_distance(made, clouds, y_mask=there))

    with evaluation_mode(model):
        parts = (work or Work()).tiles(reconstruct_tile, len(points), "reconstructing")
    return Reconstructions(*(np.concatenate(part) for part in zip(*parts, strict=True)))
