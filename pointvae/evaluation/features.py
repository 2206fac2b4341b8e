"""Codes and features of shapes from a frozen model, the same for every batch size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.progress import track
from pointvae.evaluation.views import Rotation, View
from pointvae.models.modes import evaluation_mode
from pointvae.models.vae import PointVAE

Feature = Literal["posterior_mean", "encoder"]
FEATURES: tuple[str, ...] = get_args(Feature)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Codes:
    """What a model makes of n shapes, float32.

    Attributes:
        posterior_mean: m of q(z|x) = N(m, diag s²) (n, D).
        posterior_std: s (n, D).
        encoder: the encoder's features before the posterior head (n, F).
    """

    posterior_mean: Floats
    posterior_std: Floats
    encoder: Floats


def encode(
    model: PointVAE,
    shapes: Shapes,
    view: View | None = None,
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> Codes:
    """Posterior and encoder features of every shape, in one pass through the encoder.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        shapes: the shapes.
        view: which points are seen and how they are turned; all of them as they are when absent.
        batch_size: shapes a step.
        progress: show a bar on stderr.

    Raises:
        InputError: there is no shape, or too few points for the view.
    """
    if not len(shapes):
        raise InputError("no shape to encode: the split or folder is empty")
    view = view or View()
    device = next(model.parameters()).device
    means: list[Floats] = []
    stds: list[Floats] = []
    features: list[Floats] = []
    batches = view.clouds(shapes, batch_size)
    steps = -(-len(shapes) // max(batch_size, 1))
    with evaluating(model), _encoder_output(model) as caught:
        for clouds in track(batches, "encoding shapes", steps, shown=progress):
            posterior = model.posterior(torch.from_numpy(clouds).to(device))
            means.append(_array(posterior.mean))
            stds.append(_array(posterior.stddev))
            features.append(_array(caught.pop()))
    return Codes(np.concatenate(means), np.concatenate(stds), np.concatenate(features))


def extract(
    model: PointVAE,
    shapes: Shapes,
    *,
    feature: Feature = "posterior_mean",
    points: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    rotation: Rotation = "none",
    progress: bool = False,
) -> Floats:
    """One feature of every shape (n, D), float32.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        shapes: the shapes.
        feature: ``posterior_mean``, or ``encoder``: the encoder's features before the posterior head.
        points: points drawn from each shape, without repetition; all when absent.
        batch_size: shapes a step.
        seed: what subsets and rotations are drawn from, with the place of the shape.
        rotation: ``none``, ``z`` (about the up axis) or ``so3`` (Haar-uniform), one for each shape.
        progress: show a bar on stderr.

    Raises:
        InputError: an option is unknown or out of range, or there is no shape.
    """
    check_feature(feature)
    view = View(points, rotation, seed)
    codes = encode(model, shapes, view, batch_size=batch_size, progress=progress)
    return codes.encoder if feature == "encoder" else codes.posterior_mean


def subsample_hash(shapes: Shapes, *, points: int | None = None, seed: int = 0) -> str:
    """SHA-256 of which points of each shape `extract` sees, to be reported beside a figure."""
    return View(points, seed=seed).subsample_hash(shapes)


def check_feature(feature: str) -> None:
    """Refuse an unknown feature by name."""
    if feature not in FEATURES:
        raise InputError(f"--feature {feature}: unknown; choose from {', '.join(FEATURES)}")


def to_best_device(model: PointVAE) -> PointVAE:
    """The model on the GPU if there is one."""
    return model.to("cuda") if torch.cuda.is_available() else model


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Within the block the model is in evaluation mode and builds no graph; afterwards it is as it was."""
    with evaluation_mode(model), torch.no_grad():
        yield


@contextmanager
def _encoder_output(model: PointVAE) -> Iterator[list[Tensor]]:
    """A list that receives what the encoder puts out whenever the model runs."""
    caught: list[Tensor] = []
    handle = model.encoder.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    try:
        yield caught
    finally:
        handle.remove()


def _array(values: Tensor) -> Floats:
    array: Floats = values.float().cpu().numpy()
    return array
