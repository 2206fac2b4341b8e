"""A small run folder and dataset folder for the tests of this room."""

from pathlib import Path

import numpy as np
import pytest

from pointvae.data.prepare import prepare
from pointvae.hub import save_pretrained
from tests.evaluation.shapes import CLASSES, make_model, make_shapes


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory) -> Path:
    """Thirty training and fifteen test shapes of three classes, forty points each."""
    folder = tmp_path_factory.mktemp("data")
    arrays = {"classes": np.array(CLASSES)}
    for split, n in (("train", 30), ("test", 15)):
        shapes = make_shapes(n, seed=n)
        arrays |= {
            f"{split}_points": shapes.points,
            f"{split}_labels": shapes.labels,
            f"{split}_names": np.array(shapes.names),
        }
    np.savez(folder / "shapes.npz", **arrays)
    prepare(str(folder / "shapes.npz"), str(folder / "shapes"))
    return folder / "shapes"


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory) -> Path:
    """A run whose weights are not those of its seed, as after training, without curves."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    facts = {
        "seed": 0,
        "points": 24,
        "preparation": {"up": "z", "normalize": "sphere"},
        "classes": CLASSES,
        "objective": {"class_path": "pointvae.ELBO", "init_args": {"beta": 1.0}},
        "epochs": 3,
        "version": "0",
    }
    save_pretrained(make_model(seed=1), folder, facts)
    return folder
