"""Training from a dataset folder, or shapes in memory, to a run folder."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pointvae.errors import InputError
from pointvae.hub import save_pretrained
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Objective
from pointvae.objectives.elbo import ELBO
from pointvae.processes import is_main_process
from pointvae.training.run_folder import CHECKPOINT, check_folder, describe, write_config, write_model_card
from pointvae.version import __version__

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import Logger

    from pointvae.data.dataset import ShapeDataset, Shapes

logger = logging.getLogger(__name__)
ADVICE = (
    ".*does not have many workers.*",
    ".*GPU available but not used.*",
    ".*treespec, LeafSpec.*",
    ".*have no `val_dataloader`.*",
    "Checkpoint directory .* exists and is not empty.*",
)


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        path: the run folder.
        model: the trained model, in evaluation mode.
        metrics: the last epoch's figures by name.
    """

    path: Path
    model: PointVAE
    metrics: dict[str, float]


def fit(
    model: PointVAE,
    dataset: ShapeDataset | Shapes | str | Path,
    run: str | Path,
    objective: Objective | None = None,
    *,
    epochs: int = 100,
    batch_size: int = 32,
    points: int | None = None,
    learning_rate: float = 1e-3,
    schedule: Literal["cosine", "constant"] = "cosine",
    validation_fraction: float = 0.1,
    seed: int = 0,
    resume: bool = False,
    accelerator: str = "auto",
    devices: str = "1",
    strategy: str = "auto",
    num_nodes: int = 1,
    precision: str = "32-true",
    progress: bool = False,
) -> Run:
    """Train a model and write its run folder.

    Args:
        model: the model, changed in place.
        dataset: a dataset folder or its path, whose ``train`` split is used, or shapes in memory.
        run: the run folder; must be new or empty unless ``resume``.
        objective: the loss; the plain ELBO when absent.
        epochs: passes over the training shapes.
        batch_size: shapes a step, on each device.
        points: points drawn from each shape at each step; the model's number of output points when absent.
        learning_rate: Adam's rate.
        schedule: how the rate goes on: ``cosine`` to zero, or ``constant``.
        validation_fraction: share of the training shapes held out; the test split is never read.
        seed: what every random draw of the training is made from.
        resume: go on from the run folder's last checkpoint, if it has one.
        accelerator: Lightning's: ``auto``, ``cpu``, ``gpu``…
        devices: Lightning's: how many, ``auto``, or which (``0,2``).
        strategy: Lightning's: ``auto``, ``ddp``…
        num_nodes: machines.
        precision: Lightning's: ``32-true``, ``bf16-mixed``…
        progress: show a bar on stderr.

    Returns:
        The trained model, the run folder and the last figures.

    Raises:
        InputError: a setting, the data or the folder is at fault; nothing was written.
    """
    run, objective = Path(run), objective if objective is not None else ELBO()
    points = points if points is not None else int(model.config["points"])
    shapes, facts = _training_shapes(dataset)
    _check(shapes, points, epochs, batch_size, learning_rate, validation_fraction)
    settings: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "points": points,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "validation_fraction": validation_fraction,
        "seed": seed,
    }
    machine: dict[str, Any] = {
        "accelerator": accelerator,
        "devices": devices,
        "strategy": strategy,
        "num_nodes": num_nodes,
        "precision": precision,
    }
    config = {"model": describe(model), "objective": describe(objective), **settings, **machine}
    if is_main_process():
        check_folder(run, resume, config)
    checkpoint = str(run / CHECKPOINT) if resume and (run / CHECKPOINT).is_file() else None

    from pointvae.training.batches import cloud_loader, validation_split
    from pointvae.training.callbacks import last_metrics
    from pointvae.training.module import TrainingModule

    training, validation = validation_split(shapes.labels, len(shapes), validation_fraction, seed)
    trainer = _trainer(run, epochs, machine, progress and is_main_process())
    if is_main_process():
        run.mkdir(parents=True, exist_ok=True)
        write_config(run, config)
    module = TrainingModule(model, objective, points, learning_rate, schedule, seed)
    train_loader = cloud_loader(
        shapes.points[training],
        batch_size,
        shuffle_seed=seed,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )
    val_loader = cloud_loader(shapes.points[validation], batch_size) if len(validation) else None
    with _quiet():
        try:
            trainer.fit(module, train_loader, val_loader, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # Lightning's answer to Ctrl-C
            if not trainer.interrupted:
                raise
            told = f"interrupted in epoch {trainer.current_epoch + 1} of {epochs}"
            raise KeyboardInterrupt(
                f"{told}; the same command with --resume goes on from the last whole one"
            ) from None
    model.eval()
    metrics = last_metrics(run)
    if trainer.is_global_zero:
        facts["dataset"] |= {"train_shapes": len(shapes), "validation_shapes": len(validation)}
        facts |= settings | {"objective": config["objective"], "version": __version__, "metrics": metrics}
        save_pretrained(model, run, facts)
        write_model_card(run, {"model": model.config, **facts}, metrics)
    return Run(run, model, metrics)


def _training_shapes(dataset: ShapeDataset | Shapes | str | Path) -> tuple[Shapes, dict[str, Any]]:
    """The shapes to train on, and what the run should remember of where they came from."""
    from pointvae.data.dataset import ShapeDataset, Shapes, load_dataset

    if isinstance(dataset, str | Path):
        dataset = load_dataset(dataset)
    if isinstance(dataset, Shapes):
        facts = {"name": "shapes in memory", "licence": "unknown"}
        return dataset, {"dataset": facts, "preparation": {}, "classes": list(dataset.classes)}
    assert isinstance(dataset, ShapeDataset)
    recorded = dataset.card["pointvae"]
    facts = {"name": dataset.path.resolve().name, "licence": str(dataset.card.get("license", "unknown"))}
    return dataset["train"], {
        "dataset": facts,
        "preparation": dict(recorded.get("recipe", {})),
        "classes": list(dataset.classes),
    }


def _check(
    shapes: Shapes, points: int, epochs: int, batch_size: int, learning_rate: float, validation_fraction: float
) -> None:
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("points", points)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, got {value}")
    if not learning_rate > 0:
        raise InputError(f"learning_rate must be above 0, got {learning_rate}")
    if not 0 <= validation_fraction < 1:
        raise InputError(f"validation_fraction must be in [0, 1), got {validation_fraction}")
    if len(shapes) < 2:
        raise InputError(f"training needs at least 2 shapes, the train split has {len(shapes)}")
    if points > shapes.points.shape[1]:
        raise InputError(
            f"points {points} asked of clouds that hold {shapes.points.shape[1]}: ask for fewer, or prepare more"
        )
    if not np.isfinite(shapes.points).all():
        bad = int(np.argmax(~np.isfinite(shapes.points).all(axis=(1, 2))))
        raise InputError(f"shape {shapes.names[bad]!r} holds NaN or infinite coordinates; mend or remove it")


def _trainer(run: Path, epochs: int, machine: dict[str, Any], progress: bool) -> Trainer:
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch import Trainer
    from lightning.pytorch.callbacks import ModelCheckpoint

    from pointvae.training.callbacks import CollapseWarning, MetricsFile, ProgressBar

    checkpoints = ModelCheckpoint(
        dirpath=run / CHECKPOINT.parent,
        filename=CHECKPOINT.stem,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    callbacks = [MetricsFile(run), CollapseWarning(), checkpoints] + ([ProgressBar()] if progress else [])
    with _quiet():
        try:
            return Trainer(
                max_epochs=epochs,
                callbacks=callbacks,
                logger=_tensorboard(run),
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
                log_every_n_steps=1,
                use_distributed_sampler=False,
                **machine,
            )
        except (MisconfigurationException, ValueError) as error:
            told = ", ".join(f"{name} {value}" for name, value in machine.items())
            raise InputError(f"Lightning refuses {told}: {' '.join(str(error).split())}") from None


def _tensorboard(run: Path) -> Logger | bool:
    """Events beside the metrics file, where TensorBoard is installed."""
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(save_dir=run, name="", version="tensorboard")
    except ModuleNotFoundError:
        logger.warning("no TensorBoard events are written: install tensorboard to have them; metrics.csv has it all")
        return False


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice about loaders and devices from drowning our own words."""
    names = ("lightning.pytorch", "lightning.fabric")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in ADVICE:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
