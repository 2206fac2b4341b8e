"""The whole path on procedural shapes, without a download: VAE and CR-VAE, the same budget, one report."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from pointvae.data.prepare import prepare
from pointvae.evaluation.results import load_evaluation
from pointvae.evaluation.runs import compare_runs
from pointvae.models.build import build_model
from pointvae.objectives import ELBO, Consistency
from pointvae.objectives.base import Objective
from pointvae.training.fit import fit

logger = logging.getLogger(__name__)

SHOWN = ("feature", "accuracy", "accuracy_interval", "untrained_accuracy", "untrained_accuracy_interval", "C")
ROTATIONS = ("none", "z")
PARTS = ("probes", "retrieval", "consistency", "latents", "information", "drift", "reconstruction", "pictures")
POINTS = 256
MODEL = {"encoder": "pointnet", "decoder": "mlp", "latent_dim": 128, "points": POINTS}


def demo(
    out: str | Path = "demo",
    *,
    shapes_per_class: int = 60,
    epochs: int = 15,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Make shapes, train a VAE and a CR-VAE on them, probe both aligned and turned, and write ``report.html``.

    Called again on the same folder it goes on where it was, and does nothing twice.

    Args:
        out: the folder that everything goes to.
        shapes_per_class: shapes of each procedural category; a fifth of them is the test split.
        epochs: passes over the training shapes, the same for both models.
        seed: what every random draw is made from.
        progress: show what is going on, on stderr.

    Returns:
        ``rows`` (run, feature, rotation, accuracy and the untrained encoder's, with 95 % intervals), ``report``,
        ``seconds``.

    Raises:
        InputError: the folder holds something else, or was made with other settings.
    """
    started = time.monotonic()
    folder = Path(out)
    dataset = folder / "shapes"
    prepare("procedural", dataset, points=2 * POINTS, shapes_per_class=shapes_per_class, seed=seed, progress=progress)
    objectives: dict[str, Objective] = {"vae": ELBO(), "cr-vae": Consistency(ELBO())}
    for name, objective in objectives.items():
        logger.info("training %s", name)
        run = folder / name
        settings: dict[str, Any] = {"epochs": epochs, "seed": seed, "resume": True, "progress": progress}
        fit(build_model(MODEL, seed), dataset, run, objective, **settings)
    logger.info("probing both, aligned and turned about the up axis, beside the untrained encoder")
    runs = [folder / name for name in objectives]
    made = compare_runs(
        runs, dataset=dataset, out=folder, title="pointvae demo", seed=seed, parts=PARTS, progress=progress
    )
    rows = [
        {"run": run["run"], "rotation": rotation} | {name: probe[name] for name in SHOWN}
        for run in (load_evaluation(run).metrics for run in runs)
        for rotation in ROTATIONS
        for probe in run["probes"]["rotations"][rotation]["probes"]
    ]
    return {"rows": rows, "report": made["report"], "seconds": time.monotonic() - started}
