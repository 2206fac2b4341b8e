"""AVAE-SS: the encoder of a trained model is taught to be self-consistent, from the decoder's own clouds alone.

Source: Cemgil et al., "The Autoencoding Variational Autoencoder", NeurIPS 2020, arXiv 2012.03715, which names it a
post-processing without access to the data; how it is done for point clouds is ours.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import Generator, Tensor

from pointvae.errors import InputError
from pointvae.hub import WEIGHTS, from_pretrained, read_run_config, run_folder, run_name
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Objective
from pointvae.objectives.self_consistency import SelfConsistency, decoded
from pointvae.randomness import normal
from pointvae.training.batches import cloud_loader
from pointvae.training.loggers import logger_names
from pointvae.training.loop import CHECKPOINT_EVERY, PICTURES_EVERY, Run, check_settings, train
from pointvae.training.module import TrainingModule
from pointvae.training.run_folder import check_folder, describe

if TYPE_CHECKING:
    from pointvae.training.loop import Loaders

UNKNOWN = {"name": "unknown", "licence": "unknown", "train_shapes": None, "validation_shapes": None}
HELD_SHARE = 0.1  # of an epoch's draws, drawn once more to validate on


class RefiningModule(TrainingModule):
    """Training on z ~ p(z), x = what the decoder makes of z; decoder and likelihood stay as they are, bit for bit.

    The model stays in evaluation mode: draws from the prior are not the data, and must not take the place of the
    data's statistics in batch norms.

    Args:
        model: the trained model.
        objective: the loss.
        points: points of a decoded cloud.
        learning_rate: Adam's rate at the start.
        schedule: ``cosine`` or ``constant``.
        seed: what every random draw is made from, with the step.
        source: checksum of the weights that are refined, so that a checkpoint goes on with no others.
    """

    def __init__(
        self,
        model: PointVAE,
        objective: Objective,
        points: int,
        learning_rate: float,
        schedule: str,
        seed: int,
        source: str,
    ) -> None:
        super().__init__(model, objective, points, learning_rate, schedule, seed)
        self.source = source
        for part in (model.decoder, model.likelihood):
            part.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> RefiningModule:
        """Set the mode of this module; the model stays in evaluation mode."""
        super().train(mode)
        self.model.eval()
        return self

    def clouds(self, batch: Tensor, generator: Generator) -> Tensor:
        """What the decoder makes of draws from the prior, [B, points, 3] like the batch, which says nothing else."""
        z = normal((len(batch), self.model.latent_dim), generator, batch.device, batch.dtype)
        return decoded(self.model, z, batch, generator=generator)[0].to(batch.dtype)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember which weights are refined."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["refined_from"] = self.source

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on from the refinement of other weights."""
        super().on_load_checkpoint(checkpoint)
        if checkpoint.get("refined_from") != self.source:
            raise InputError("--resume: the new run was refined from other weights; choose another folder for it")


def refine(
    run: str | Path,
    new_run: str | Path,
    objective: Objective | None = None,
    *,
    epochs: int = 10,
    shapes: int | None = None,
    batch_size: int = 32,
    points: int | None = None,
    learning_rate: float = 3e-4,
    schedule: Literal["cosine", "constant"] = "cosine",
    seed: int = 0,
    resume: bool = False,
    checkpoint_every: int = CHECKPOINT_EVERY,
    accelerator: str = "auto",
    devices: str = "1",
    strategy: str = "auto",
    num_nodes: int = 1,
    precision: str = "32-true",
    compile: bool = False,
    logger: str = "tensorboard",
    pictures_every: int = PICTURES_EVERY,
    progress: bool = False,
) -> Run:
    """Make a trained model self-consistent without any data, and write a run folder of its own.

    The decoder is frozen; z ~ p(z), x = what the decoder makes of z, and everything that encodes is trained on
    those x. Held-out figures are of such x too.

    Args:
        run: the run folder to refine; it is only read.
        new_run: the run folder to write; must be new or empty unless ``resume``.
        objective: the loss; ``SelfConsistency`` around the ELBO when absent.
        epochs: how often ``shapes`` clouds are drawn.
        shapes: clouds drawn an epoch, in whole batches; as many as the run's training had when absent.
        batch_size: clouds a step, on each device.
        points: points of a cloud, at most as many as the likelihood makes; those of the run when absent.
        learning_rate: Adam's rate.
        schedule: how the rate goes on: ``cosine`` to zero, or ``constant``.
        seed: what every random draw of the refining is made from; the untrained twin stays that of the run.
        resume: go on from the new run's last checkpoint, if it has one.
        checkpoint_every: steps between two checkpoints within an epoch; 0 for none but at its end.
        accelerator: Lightning's: ``auto``, ``cpu``, ``gpu``…
        devices: Lightning's: how many, ``auto``, or which (``0,2``).
        strategy: Lightning's: ``auto``, ``ddp``…
        num_nodes: machines.
        precision: Lightning's: ``32-true``, ``bf16-mixed``…
        compile: let torch.compile make the decoder's code; needs a C++ compiler, and waits for it at the first step.
        logger: where figures go beside ``metrics.csv``: ``tensorboard``, ``wandb``, ``mlflow``, several joined by
            commas, or ``none``.
        pictures_every: epochs between two pictures of held-out shapes and their reconstructions, in those loggers;
            0 for none; no digit of the result depends on it.
        progress: show a bar on stderr.

    Returns:
        The refined model, its run folder and the last figures.

    Raises:
        InputError: a setting or a folder is at fault; nothing was written.
    """
    asked, run, new_run = run_name(run), run_folder(run), Path(new_run)
    objective = objective if objective is not None else SelfConsistency()
    before, model = read_run_config(run), from_pretrained(run)
    if run.resolve() == new_run.resolve():
        raise InputError(f"{new_run}: is the run to refine itself; choose another folder for the new one")
    dataset: dict[str, Any] = dict(UNKNOWN, **before.get("dataset", {}))
    shapes = shapes if shapes is not None else dataset["train_shapes"]
    points = points if points is not None else int(before.get("points") or model.config["points"])
    check_settings(epochs, batch_size, points, learning_rate, checkpoint_every, pictures_every)
    logger_names(logger)
    if shapes is None:
        raise InputError(f"{run}: does not tell how many shapes it was trained on; say --shapes")
    if shapes < 1:
        raise InputError(f"shapes must be at least 1, got {shapes}")
    settings: dict[str, Any] = {
        "epochs": epochs,
        "shapes": shapes,
        "batch_size": batch_size,
        "points": points,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "seed": seed,
    }
    machine: dict[str, Any] = {
        "accelerator": accelerator,
        "devices": devices,
        "strategy": strategy,
        "num_nodes": num_nodes,
        "precision": precision,
        "compile": compile,
    }
    config = {
        "objective": describe(objective),
        **settings,
        "checkpoint_every": checkpoint_every,
        "logger": logger,
        "pictures_every": pictures_every,
        **machine,
    }
    check_folder(new_run, resume, config)
    checksum = hashlib.sha256((run / WEIGHTS).read_bytes()).hexdigest()
    facts: dict[str, Any] = settings | {
        "objective": config["objective"],
        "seed": int(before.get("seed", 0)),  # of the untrained twin
        "refining_seed": seed,
        "dataset": dataset,
        "preparation": before.get("preparation", {}),
        "classes": before.get("classes", []),
        "refined_from": {
            "name": asked,
            "weights_sha256": checksum,
            **{str(name): before[name] for name in ("objective", "epochs", "refined_from") if name in before},
        },
    }

    def loaders(rank: int, world_size: int) -> Loaders:
        """Clouds without coordinates, which only say how many are drawn."""
        drawn = np.empty((shapes, points, 0), np.float32)
        held = drawn[: max(1, round(HELD_SHARE * shapes))]
        batches = cloud_loader(drawn, batch_size, shuffle_seed=seed, rank=rank, world_size=world_size)
        return batches, cloud_loader(held, batch_size, world_size=world_size)

    module = RefiningModule(model, objective, points, learning_rate, schedule, seed, checksum)
    try:
        return train(
            module,
            loaders,
            new_run,
            config,
            facts,
            command="refine RUN",
            resume=resume,
            progress=progress,
            checkpoint_every=checkpoint_every,
        )
    finally:
        model.requires_grad_(True)
