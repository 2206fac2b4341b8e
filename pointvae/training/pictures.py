"""Pictures of a training: a few held-out shapes beside their reconstructions, every so many epochs."""

from __future__ import annotations

import logging
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch

from pointvae.geometry.distances import chamfer_distance
from pointvae.models.modes import evaluation_mode
from pointvae.randomness import generator_for
from pointvae.training.averaging import AveragedWeights
from pointvae.training.loggers import log_picture
from pointvae.training.module import TrainingModule

logger = logging.getLogger(__name__)

PICTURES = 2  # the stream of their draws, beside those of training and validation
SHAPES = 6
MAX_POINTS = 1_024  # of a cloud that is drawn
APART = 2.3  # of a shape and its reconstruction, in unit-sphere lengths
DOTS = {"material": {"cls": "PointsMaterial", "size": 0.03}}
BLUE, ORANGE = (38, 84, 124), (230, 126, 34)

Floats = npt.NDArray[np.float32]


class Pictures(pl.Callback):
    """Write held-out shapes and their reconstructions to the loggers: an image, and to TensorBoard clouds to turn.

    The shapes, their points and the colours are the same each time, so that a slider over the steps shows the model
    alone. Draws come from a generator of their own, and the model's modes are put back: the training is the same to
    the last digit with pictures and without.

    Args:
        every: epochs between two of them; 0 for none.
        averaged: the average of the weights, which is what is drawn where one is kept.
    """

    def __init__(self, every: int, averaged: AveragedWeights | None = None) -> None:
        self.every, self.averaged = every, averaged or AveragedWeights(0.0)
        self._told = False

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Draw, after the epochs that are multiples of ``every``, in the first process alone."""
        assert isinstance(module, TrainingModule)
        if not self.every or (trainer.current_epoch + 1) % self.every or trainer.global_rank != 0:
            return
        if not trainer.loggers or trainer.val_dataloaders is None:
            return
        try:
            self._draw(trainer, module)
        except ModuleNotFoundError as error:
            if not self._told:
                logger.warning("no pictures are drawn: %s is not installed; the figures are all there", error.name)
            self._told = True

    def _draw(self, trainer: pl.Trainer, module: TrainingModule) -> None:
        held: Any = trainer.val_dataloaders
        with self.averaged.used_in(module):
            clouds, made, distances = reconstructed(module, held.dataset.points)
        step = trainer.global_step - 1  # as the epoch's means have it
        image = picture(clouds, made, distances)
        for log in trainer.loggers:
            log_picture(log, "reconstructions", image, step)
            if type(log).__name__ == "TensorBoardLogger":
                _add_clouds(log, clouds, made, step)


def reconstructed(module: TrainingModule, held: torch.Tensor) -> tuple[Floats, Floats, list[float]]:
    """A few of the held-out clouds [V, N, 3] as the model sees them, what it makes of them, and how far these are."""
    places = np.unique(np.linspace(0, len(held) - 1, SHAPES).astype(int))
    weight = next(module.model.parameters())
    with evaluation_mode(module.model), torch.no_grad():
        batch = held[places].to(weight.device, weight.dtype)
        clouds = module.clouds(batch, generator_for(module.seed, PICTURES, device=weight.device))
        made = module.model.reconstruct(clouds).float()
        distances = chamfer_distance(made, clouds.float())
    return clouds.float().cpu().numpy(), made.cpu().numpy(), distances.tolist()


def picture(clouds: Floats, made: Floats, distances: list[float]) -> npt.NDArray[np.uint8]:
    """The clouds (S, N, 3) above their reconstructions (S, M, 3) as an image (height, width, 3)."""
    from pointvae.visualization.grids import reconstruction_grid

    names = [f"held-out {number}" for number in range(1, len(clouds) + 1)]
    figure = reconstruction_grid(_thinned(clouds), _thinned(made), names, distances)
    canvas: Any = figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _add_clouds(log: Any, clouds: Floats, made: Floats, step: int) -> None:
    """One tag for each shape: the shape at the left, its reconstruction at the right, to be turned together."""
    for number, (given, back) in enumerate(zip(_thinned(clouds), _thinned(made), strict=True), 1):
        aside = np.array([APART / 2, 0, 0], np.float32)
        both = np.concatenate([given - aside, back + aside])
        colours = np.repeat(np.array([BLUE, ORANGE], np.uint8), [len(given), len(back)], axis=0)
        mesh = {"vertices": _y_up(both)[None], "colors": colours[None], "config_dict": DOTS}
        log.experiment.add_mesh(f"reconstruction/{number}", **mesh, global_step=step)


def _y_up(points: Floats) -> Floats:
    """TensorBoard looks along -z with y up; ours are z up."""
    return np.ascontiguousarray(points[:, [0, 2, 1]] * np.array([1, 1, -1], np.float32))


def _thinned(clouds: Floats) -> Floats:
    return clouds[:, np.linspace(0, clouds.shape[1] - 1, min(clouds.shape[1], MAX_POINTS)).astype(int)]
