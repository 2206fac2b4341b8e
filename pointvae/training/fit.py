"""Training from a dataset folder, or shapes in memory, to a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pointvae.errors import InputError
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Objective
from pointvae.objectives.elbo import ELBO
from pointvae.training.loop import Run, check_settings, train
from pointvae.training.run_folder import check_folder, describe

if TYPE_CHECKING:
    from pointvae.data.dataset import ShapeDataset, Shapes
    from pointvae.training.loop import Loaders


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
    check_settings(epochs, batch_size, points, learning_rate)
    _check(shapes, points, validation_fraction)
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
    check_folder(run, resume, config)

    from pointvae.training.batches import cloud_loader, validation_split
    from pointvae.training.module import TrainingModule

    training, validation = validation_split(shapes.labels, len(shapes), validation_fraction, seed)
    facts["dataset"] |= {"train_shapes": len(shapes), "validation_shapes": len(validation)}
    facts |= settings | {"objective": config["objective"]}

    def loaders(rank: int, world_size: int) -> Loaders:
        seen = shapes.points[training]
        batches = cloud_loader(seen, batch_size, shuffle_seed=seed, rank=rank, world_size=world_size)
        return batches, cloud_loader(shapes.points[validation], batch_size) if len(validation) else None

    module = TrainingModule(model, objective, points, learning_rate, schedule, seed)
    return train(module, loaders, run, config, facts, command="train DATASET", resume=resume, progress=progress)


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


def _check(shapes: Shapes, points: int, validation_fraction: float) -> None:
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
