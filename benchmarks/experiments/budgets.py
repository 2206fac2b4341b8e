"""How much is spent on each training of a table, by name: the data's part, the points, the epochs, the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pointvae import Shapes, load_dataset, prepare

TEN = ("bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet")
"""The ten classes of ModelNet10, as ModelNet40 holds them."""


@dataclass(frozen=True)
class Budget:
    """What every training of a table is given.

    Attributes:
        name: what `--budget` takes.
        classes: of ModelNet40; all when empty.
        points: seen of each shape, in training and in the evaluation, and decoded.
        settings: of `pointvae train`.
        model: arguments of the model that differ from the cells'.
        seeds: of every training.
        words: what the page says of it.
    """

    name: str
    classes: tuple[str, ...]
    points: int
    settings: dict[str, Any]
    words: str
    model: dict[str, Any] = field(default_factory=dict)
    seeds: Sequence[int] = (0, 1, 2)


BUDGETS: dict[str, Budget] = {
    budget.name: budget
    for budget in (
        Budget(
            "cpu-minute",
            TEN,
            64,
            {"epochs": 1, "batch_size": 64, "learning_rate": 1e-3},
            "one epoch at 64 points: shows that a table runs, and nothing else",
            {"encoder_args": {"widths": [32, 64]}},
        ),
        Budget(
            "cpu-hour",
            TEN,
            256,
            {"epochs": 8, "batch_size": 32, "learning_rate": 2e-3},
            "the ten classes of ModelNet10 within ModelNet40, 256 points, 8 epochs; about an hour a table",
        ),
        Budget(
            "search",
            (),
            256,
            {"epochs": 5, "batch_size": 32, "learning_rate": 2e-3},
            "all of ModelNet40, 256 points, 5 epochs: what the search for a recipe gives each candidate",
        ),
        Budget(
            "gpu-half-hour",
            (),
            1024,
            {"epochs": 30, "batch_size": 64, "learning_rate": 2e-3},
            "all of ModelNet40, 1,024 points, 30 epochs of DGCNN with the FoldingNet decoder, on one data-centre GPU",
            {"encoder": "dgcnn", "decoder": "folding"},
        ),
    )
}


def budget_dataset(budget: Budget, dataset: Path, folder: Path) -> Path:
    """The dataset folder of a budget's classes, made from that of all of them where it is not there yet."""
    if not budget.classes:
        return dataset
    part = folder / f"{dataset.name}-{len(budget.classes)}"
    if not (part / "README.md").is_file():
        whole = load_dataset(dataset)
        splits = {split: _of_classes(whole[split], budget.classes) for split in whole.splits}
        prepare(splits, part, normalize="none", licence="research use only (ModelNet)")
    return part


def _of_classes(shapes: Shapes, classes: Sequence[str]) -> Shapes:
    assert shapes.labels is not None
    numbers = [shapes.classes.index(name) for name in classes]
    chosen = shapes[np.isin(shapes.labels, numbers)]
    assert chosen.labels is not None
    labels = np.array([numbers.index(label) for label in chosen.labels], np.int64)
    return Shapes(chosen.points, labels, chosen.names, list(classes), chosen.normals)
