"""How well shapes come back through the latent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pointvae.errors import InputError
from pointvae.evaluation.features import evaluating
from pointvae.evaluation.progress import track
from pointvae.geometry.distances import chamfer_distance
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
    model: PointVAE,
    points: Floats,
    mask: npt.NDArray[np.bool_] | None = None,
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> Reconstructions:
    """Reconstruct clouds and measure the error of each.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        points: clouds (n, N, 3), float32.
        mask: which points exist (n, N); all when absent.
        batch_size: clouds a step.
        progress: show a bar on stderr.

    Raises:
        InputError: there is no cloud, or the batch size is below 1.
    """
    if not len(points):
        raise InputError("no shape to reconstruct: the split or folder is empty")
    if batch_size < 1:
        raise InputError(f"--batch_size {batch_size}: must be at least 1")
    device = next(model.parameters()).device
    decoded: list[Floats] = []
    errors: list[Floats] = []
    starts = range(0, len(points), batch_size)
    with evaluating(model):
        for start in track(starts, "reconstructing", len(starts), shown=progress):
            part = slice(start, start + batch_size)
            clouds = torch.from_numpy(points[part]).to(device)
            there = None if mask is None else torch.from_numpy(mask[part]).to(device)
            made = model.reconstruct(clouds, there)
            decoded.append(made.float().cpu().numpy())
            errors.append(chamfer_distance(made, clouds, y_mask=there).float().cpu().numpy())
    return Reconstructions(np.concatenate(decoded), np.concatenate(errors))
