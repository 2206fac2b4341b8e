"""Codes and features of shapes from a frozen model, the same for every batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.average import Average
from pointvae.evaluation.views import Rotation, View
from pointvae.evaluation.work import Work
from pointvae.geometry.finite import check_rows
from pointvae.models.modes import evaluation_mode
from pointvae.models.vae import PointVAE

Feature = Literal["posterior_mean", "encoder", "layers"]
FEATURES = ("posterior_mean", "encoder")  # measured unless another is asked for

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Codes:
    """What a model makes of n shapes, float32.

    Attributes:
        posterior_mean: m of q(z|x) = N(m, diag s²) (n, D).
        posterior_std: s (n, D).
        encoder: the encoder's features before the posterior head (n, F).
        average: the turns of a shape that all of these are means over.
        layers: of every layer of the encoder, its features last (n, L); None where they were not asked for.
    """

    posterior_mean: Floats
    posterior_std: Floats
    encoder: Floats
    average: Average = field(default_factory=Average)
    layers: Floats | None = None

    def feature(self, name: str) -> Floats:
        """One of the features, by its name.

        Raises:
            ValueError: the layers were not asked for.
        """
        found: Floats | None = getattr(self, name)
        if found is None:
            raise ValueError(f"{name}: not among these codes; encode with layers=True")
        return found


Clouds = Callable[[range], tuple[Floats, npt.NDArray[np.bool_] | None]]
"""The clouds (n, N, 3) at some places, and which of their points exist (n, N); None where all do."""


def encode(
    model: PointVAE,
    shapes: Shapes,
    view: View | None = None,
    *,
    average: Average | None = None,
    layers: bool = False,
    work: Work | None = None,
) -> Codes:
    """Posterior and encoder features of every shape, in one pass through the encoder.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        shapes: the shapes.
        view: which points are seen and how they are turned; all of them as they are when absent.
        average: the turns to average over, after the view's own; none when absent.
        layers: give `Codes.layers` too, for which the shapes go through the encoder once more.
        work: how much is done at a time.

    Raises:
        InputError: there is no shape, or too few points for the view.
    """
    view = view or View()
    return encode_clouds(
        model,
        lambda places: (view.clouds(shapes, places), None),
        len(shapes),
        average=average,
        layers=layers,
        work=work,
    )


def encode_clouds(
    model: PointVAE,
    clouds: Clouds,
    count: int,
    *,
    average: Average | None = None,
    layers: bool = False,
    work: Work | None = None,
) -> Codes:
    """Posterior and encoder features of clouds that are made as they are needed.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        clouds: gives the clouds at some places; called from several threads.
        count: how many there are.
        average: the turns to average mean, deviation and features over; none when absent.
        layers: give `Codes.layers` too.
        work: how much is done at a time.

    Raises:
        InputError: there is no cloud.
    """
    if count < 1:
        raise InputError("no shape to encode: the split or folder is empty")
    device, average = next(model.parameters()).device, average or Average()
    turns = torch.tensor(average.turns, dtype=torch.float32, device=device)

    def encode_turned(points: Tensor, mask: Tensor | None) -> list[Floats]:
        features = model.features(points, mask)
        posterior = model.posterior_of(features, points, mask)
        made = [posterior.mean, posterior.stddev, features]
        if layers:
            made.append(model.layer_features(points, mask))
        return [to_array(part) for part in made]

    def encode_tile(places: range) -> list[Floats]:
        points, mask = to_tensors(*clouds(places), device)
        if len(turns) == 1:
            return encode_turned(points, mask)
        made = zip(*(encode_turned(points @ turn.T, mask) for turn in turns), strict=True)
        return [np.stack(part).mean(axis=0, dtype=np.float64).astype(np.float32) for part in made]

    with evaluation_mode(model):
        parts = (work or Work()).tiles(encode_tile, count, "encoding shapes")
    mean, std, features, *rest = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Codes(mean, std, features, average, *rest)


def extract(
    model: PointVAE,
    shapes: Shapes,
    *,
    feature: Feature = "posterior_mean",
    points: int | None = None,
    seed: int = 0,
    rotation: Rotation = "none",
    work: Work | None = None,
) -> Floats:
    """One feature of every shape (n, D), float32.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        shapes: the shapes.
        feature: ``posterior_mean``; ``encoder``: the encoder's features before the posterior head; or ``layers``:
            what every layer of the encoder says, its features last.
        points: points drawn from each shape, without repetition; all when absent.
        seed: what subsets and rotations are drawn from, with the place of the shape.
        rotation: ``none``, ``z`` (about the up axis) or ``so3`` (Haar-uniform), one for each shape.
        work: how much is done at a time.

    Raises:
        InputError: an option is unknown or out of range, or there is no shape.
    """
    check_feature(feature)
    codes = encode(model, shapes, View(points, rotation, seed), layers=feature == "layers", work=work)
    return codes.feature(feature)


def subsample_hash(shapes: Shapes, *, points: int | None = None, seed: int = 0) -> str:
    """SHA-256 of which points of each shape `extract` sees, to be reported beside a figure."""
    return View(points, seed=seed).subsample_hash(shapes)


def check_feature(feature: str) -> None:
    """Refuse an unknown feature by name."""
    if feature not in get_args(Feature):
        raise InputError(f"--feature {feature}: unknown; choose from {', '.join(get_args(Feature))}")


def to_best_device(model: PointVAE) -> PointVAE:
    """The model on the GPU if there is one."""
    return model.to("cuda") if torch.cuda.is_available() else model


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Within the block the model is in evaluation mode and builds no graph; afterwards it is as it was."""
    with evaluation_mode(model), torch.no_grad():
        yield


def to_tensors(
    clouds: Floats, mask: npt.NDArray[np.bool_] | None, device: torch.device
) -> tuple[Tensor, Tensor | None]:
    """Clouds (n, N, 3) and their mask on the model's device, in memory of torch's own.

    Raises:
        InputError: a cloud has no point or holds NaN, infinity or coordinates that no model takes.
    """
    points, there = torch.tensor(clouds), None if mask is None else torch.tensor(mask)
    check_rows(points, "cloud", mask=there)  # here, where no device has to be waited for
    return points.to(device), None if there is None else there.to(device)


def to_array(values: Tensor) -> Floats:
    """A tensor as a float32 array."""
    array: Floats = values.detach().float().cpu().numpy()
    return array
