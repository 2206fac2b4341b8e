"""Training from a dataset folder, or shapes in memory, to a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pointvae.errors import InputError
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Objective
from pointvae.objectives.elbo import ELBO
from pointvae.places import is_remote
from pointvae.training.loggers import logger_names
from pointvae.training.loop import CHECKPOINT_EVERY, PICTURES_EVERY, Run, check_settings, train
from pointvae.training.run_folder import check_folder, describe

if TYPE_CHECKING:
    from pointvae.data.dataset import ShapeDataset, Shapes
    from pointvae.training.batches import Batches
    from pointvae.training.loop import Loaders


def fit(
    model: PointVAE,
    dataset: ShapeDataset | Shapes | Sequence[Any] | str | Path,
    run: str | Path,
    objective: Objective | None = None,
    *,
    epochs: int = 100,
    batch_size: int = 32,
    points: int | None = None,
    learning_rate: float = 1e-3,
    schedule: Literal["cosine", "constant"] = "cosine",
    ema: float = 0.0,
    validation_fraction: float = 0.1,
    seed: int = 0,
    resume: bool = False,
    loading: Literal["auto", "memory", "stream"] = "auto",
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
    """Train a model and write its run folder.

    Args:
        model: the model, changed in place.
        dataset: a dataset folder, its path or its URL, whose ``train`` split is used; or shapes in memory: `Shapes`,
            or what `from_objects` makes some of, such as a list of meshes, z up.
        run: the run folder; must be new or empty unless ``resume``.
        objective: the loss; the plain ELBO when absent.
        epochs: passes over the training shapes.
        batch_size: shapes a step, on each device.
        points: points drawn from each shape at each step; the model's number of output points when absent.
        learning_rate: Adam's rate.
        schedule: how the rate goes on: ``cosine`` to zero, or ``constant``.
        ema: decay, a step, of a moving average of the weights, which is validated and saved in their place: 0.999 is
            usual; 0 for none. See `AveragedWeights`.
        validation_fraction: share of the training shapes held out, but never more than 4,096 shapes; the test
            split is never read.
        seed: what every random draw of the training is made from.
        resume: go on from the run folder's last checkpoint, if it has one.
        loading: ``memory`` reads all training shapes, ``stream`` reads shards as they are needed, ``auto`` the first
            where they fit; no digit of the result depends on it.
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
        The trained model, the run folder and the last figures.

    Raises:
        InputError: a setting, the data or the folder is at fault; nothing was written.
    """
    run, objective = Path(run), objective if objective is not None else ELBO()
    points = points if points is not None else int(model.config["points"])
    data, facts = _opened(dataset)
    check_settings(epochs, batch_size, points, learning_rate, checkpoint_every, pictures_every)
    logger_names(logger)
    if not 0 <= validation_fraction < 1:
        raise InputError(f"validation_fraction must be in [0, 1), got {validation_fraction}")
    if not 0 <= ema < 1:
        raise InputError(f"ema must be in [0, 1), got {ema}")
    settings: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "points": points,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "ema": ema,
        "validation_fraction": validation_fraction,
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
    keeping: dict[str, Any] = {
        "loading": loading,
        "checkpoint_every": checkpoint_every,
        "logger": logger,
        "pictures_every": pictures_every,
    }
    config = {"model": describe(model), "objective": describe(objective), **settings, **keeping, **machine}
    check_folder(run, resume, config)

    from pointvae.data.order import Order
    from pointvae.training.batches import EpochLoader, cloud_loader, held_out
    from pointvae.training.loading import training_shapes
    from pointvae.training.module import TrainingModule

    shapes = training_shapes(data, loading, devices)
    if len(shapes) < 2:
        raise InputError(f"training needs at least 2 shapes, the train split has {len(shapes)}")
    if points > shapes.points:
        raise InputError(f"points {points} asked of clouds that hold {shapes.points}: ask for fewer, or prepare more")
    validation = held_out(shapes.labels, len(shapes), validation_fraction, seed)
    held = shapes.take(validation)
    order = Order(shapes.rows, validation, seed)
    facts["dataset"] |= {"train_shapes": len(shapes), "validation_shapes": len(validation)}
    facts |= settings | {"objective": config["objective"]}

    def loaders(rank: int, world_size: int) -> Loaders:
        def batches(share: int) -> Batches:
            return shapes.batches(order, rank, world_size, share)

        return EpochLoader(order, batches, batch_size, world_size), (
            cloud_loader(held, batch_size, world_size=world_size) if len(held) else None
        )

    module = TrainingModule(model, objective, points, learning_rate, schedule, seed)
    return train(
        module,
        loaders,
        run,
        config,
        facts,
        command="train DATASET",
        resume=resume,
        progress=progress,
        checkpoint_every=checkpoint_every,
        ema=ema,
        names=shapes.names,
    )


def _opened(
    dataset: ShapeDataset | Shapes | Sequence[Any] | str | Path,
) -> tuple[ShapeDataset | Shapes, dict[str, Any]]:
    """The data to train on, not yet read, and what the run should remember of where they came from."""
    from pointvae.data.dataset import ShapeDataset, Shapes, load_dataset

    if isinstance(dataset, str | Path):
        dataset = load_dataset(dataset)
    elif not isinstance(dataset, ShapeDataset | Shapes):
        from pointvae.data.objects import from_objects

        dataset = from_objects(dataset)
    if isinstance(dataset, Shapes):
        facts = {"name": "shapes in memory", "licence": "unknown"}
        return dataset, {"dataset": facts, "preparation": {}, "classes": list(dataset.classes)}
    recorded = dataset.card["pointvae"]
    path = dataset.path if is_remote(dataset.path) else dataset.path.resolve()
    facts = {"name": path.name, "licence": str(dataset.card.get("license", "unknown"))}
    return dataset, {
        "dataset": facts,
        "preparation": dict(recorded.get("recipe", {})),
        "classes": list(dataset.classes),
    }
