"""Look for the recipe of the best latents, on a validation part of the training split alone.

    python benchmarks/experiments/search.py --dataset DATASET [--cells …] [--seeds 0] [--jobs 2]

Every candidate of recipes.py is trained without labels on the train split; of that split a fifth, drawn class by
class, is held back from the SVM and judges it. The test split is never opened. Rows go to results/search.csv: for
each candidate and each way of reading its features the accuracy of the better C of a small grid, aligned and with
every shape turned by its own angle about the up axis.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

from recipes import READINGS, SEARCH
from run import Task, train
from runs import ROOT, add_rows, commit, read_rows

RESULTS = ROOT / "results" / "search.csv"
COLUMNS = ["cell", "seed", "points", "average", "turn", "feature", "C", "accuracy", "n_fit", "n_held", "epochs"]
COLUMNS += ["protocol", "dataset_sha256", "version", "commit", "machine"]
GRID = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
HELD = 5  # one in so many training shapes judges
PROTOCOL = "held_out_fifth/1"


def judge(task: Task) -> list[dict[str, Any]]:
    """The rows of one candidate."""
    import numpy as np
    import torch

    from pointvae.data.dataset import load_dataset
    from pointvae.evaluation.average import Average
    from pointvae.evaluation.features import FEATURES, encode
    from pointvae.evaluation.probes import describe_dataset, training_split
    from pointvae.evaluation.probing.cross_validation import stratified_folds
    from pointvae.evaluation.probing.linear_probe import fit_probe
    from pointvae.evaluation.views import View
    from pointvae.hub import from_pretrained, read_run_config, untrained_twin

    torch.set_num_threads(1)
    data = load_dataset(task.dataset)
    untrained = task.cell.startswith("untrained")
    name = "start" if untrained else task.cell
    run = train(replace(task, cell=name), SEARCH[name])
    model, facts = untrained_twin(run) if untrained else from_pretrained(run), read_run_config(run)
    shapes = training_split(data)
    assert shapes.labels is not None
    held = stratified_folds(shapes.labels, HELD, 0) == 0
    rows = []
    for reading in READINGS:
        for turn in ("none", "z"):
            codes = encode(model, shapes, View(reading.points, turn, 0), average=Average(reading.average))
            for feature in FEATURES:
                values = getattr(codes, feature)
                probe = partial(fit_probe, values[~held], shapes.labels[~held], shapes.classes)
                right = {c: probe(c_grid=[c]).predict(values[held]) == shapes.labels[held] for c in GRID}
                best = max(right, key=lambda c: float(np.mean(right[c])))
                rows.append(
                    {
                        "cell": task.cell,
                        "seed": task.seed,
                        "points": reading.points,
                        "average": reading.average,
                        "turn": turn,
                        "feature": feature,
                        "C": best,
                        "accuracy": f"{np.mean(right[best]):.6g}",
                        "n_fit": int((~held).sum()),
                        "n_held": int(held.sum()),
                        "epochs": 0 if untrained else facts["epochs"],
                        "protocol": PROTOCOL,
                        "dataset_sha256": describe_dataset(data)["sha256"][:16],
                        "version": facts["version"],
                        "commit": commit(),
                        "machine": f"{platform.machine()} {'cuda' if torch.cuda.is_available() else 'cpu'}",
                    }
                )
    return rows


def main() -> None:
    """Make the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset folder of ModelNet40")
    parser.add_argument("--cells", nargs="+", default=["untrained", *SEARCH], choices=["untrained", *SEARCH])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "experiments")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    folder, dataset = chosen.runs.resolve() / "search", chosen.dataset.resolve()
    done = {(row["cell"], row["seed"]) for row in read_rows(chosen.results)}
    tasks = [
        Task(cell, seed, "search", dataset, folder)
        for seed in chosen.seeds
        for cell in sorted(chosen.cells, key=lambda name: name == "untrained")  # last: it needs the start's run
        if (cell, str(seed)) not in done
    ]
    with ProcessPoolExecutor(chosen.jobs) as pool:
        running = {pool.submit(judge, task): task for task in tasks}
        for finished in as_completed(running):
            add_rows(chosen.results, COLUMNS, finished.result())
            sys.stderr.write(f"{running[finished].cell}, seed {running[finished].seed}: done\n")


if __name__ == "__main__":
    main()
