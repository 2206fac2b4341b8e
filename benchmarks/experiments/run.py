"""Make one table of the experiments: train what is missing, measure it, keep a row of every training.

    python benchmarks/experiments/run.py TABLE --dataset DATASET [--budget cpu-hour] [--seeds 0 1 2] [--jobs 2]

TABLE is one of `questions.py` (bases, weight, transforms, target, architectures, methods), or `all`. DATASET is
ModelNet40 as a dataset folder (`pointvae prepare modelnet40_1024.npz DATASET`, or `pointvae prepare modelnet40
DATASET`); a budget that takes ten of its classes makes their folder under --runs. Each training is `pointvae train …
--config FILE --seed SEED --resume` in a run folder that stays. What was stopped, by whatever, goes on when the same
command is given again: trainings from their last checkpoint, rows that stand are not made twice.
Rows go to
results/experiments.csv; `page.py` makes docs/experiments.md's tables of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # trainings run beside one another, one core each
sys.path.insert(0, str(Path(__file__).parents[1]))

import yaml

from budgets import BUDGETS, Budget, budget_dataset
from cells import CELLS, Cell
from questions import TABLES
from runs import ROOT, add_rows, commit, pointvae, read_rows

RESULTS = ROOT / "results" / "experiments.csv"
FACTS = ["points", "epochs", "protocol", "n_train", "n_test", "dataset_sha256", "version", "commit", "machine"]
UNTRAINED, LIKE_UNTRAINED = "untrained", "vae"  # the untrained encoder has the second one's architecture


@dataclass(frozen=True)
class Task:
    """One training of one cell, and all that its row needs."""

    cell: str
    seed: int
    budget: str
    dataset: Path
    folder: Path

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.folder / f"{self.cell}-{self.seed}"

    @property
    def waits(self) -> bool:
        """Whether another task's run must be there first."""
        return self.cell == UNTRAINED or bool(CELLS[self.cell].refines)


def config_of(cell: Cell, budget: Budget) -> dict[str, Any]:
    """What `pointvae train --config` reads for a cell under a budget."""
    settings = {"points": budget.points, **budget.settings, **cell.settings}
    if cell.refines:
        return {"objective": cell.objective, **settings, "learning_rate": 3e-4}
    model = json.loads(json.dumps(cell.model))
    model["init_args"] |= {"points": budget.points} | budget.model | cell.changed
    if "local_dims" in model["init_args"]:
        model["init_args"]["decoder"] = "mlp"
    return {"model": model, "objective": cell.objective, **settings}


def train(task: Task, cell: Cell | None = None) -> Path:
    """The finished run of a task, made by the command line if it is not there; of a table's cell if not told."""
    cell, budget = cell or CELLS[task.cell], BUDGETS[task.budget]
    if (task.run / "model.safetensors").is_file():
        return task.run
    task.folder.mkdir(parents=True, exist_ok=True)
    config = task.folder / f"{task.cell}-{task.seed}.yaml"
    config.write_text(yaml.safe_dump(config_of(cell, budget), sort_keys=False))
    options = ["--config", str(config), "--seed", str(task.seed), "--resume", "true", "--logger", "none"]
    if cell.refines:
        start = train(replace(task, cell=cell.refines))
        pointvae("refine", str(start), str(task.run), *options)
    else:
        pointvae("train", str(task.dataset), str(task.run), *options)
    return task.run


def make(task: Task) -> dict[str, Any]:
    """The row of a task."""
    import torch

    from measure import measure
    from pointvae.data.dataset import load_dataset
    from pointvae.evaluation.probes import describe_dataset
    from pointvae.evaluation.probing.linear_probe import PROTOCOL
    from pointvae.hub import from_pretrained, read_run_config, untrained_twin

    torch.set_num_threads(1)
    untrained = task.cell == UNTRAINED
    start = time.monotonic()
    run = train(replace(task, cell=LIKE_UNTRAINED) if untrained else task)
    minutes = (time.monotonic() - start) / 60
    data, facts = load_dataset(task.dataset), read_run_config(run)
    tables = [table for table in TABLES.values() if task.cell in (*table.cells, UNTRAINED)]
    figures = measure(
        untrained_twin(run) if untrained else from_pretrained(run),
        data,
        BUDGETS[task.budget].points,
        turns=tuple(dict.fromkeys(turn for table in tables for turn in table.turns)),
        harm=any(table.harm for table in tables),
    )
    return {
        "budget": task.budget,
        "cell": task.cell,
        "seed": task.seed,
        **{name: f"{value:.6g}" if isinstance(value, float) else value for name, value in figures.items()},
        "minutes": f"{0 if untrained else minutes:.1f}",
        "points": BUDGETS[task.budget].points,
        "epochs": 0 if untrained else facts["epochs"],
        "protocol": PROTOCOL,
        "dataset_sha256": describe_dataset(data)["sha256"][:16],
        "version": facts["version"],
        "commit": commit(),
        "machine": f"{platform.machine()} {'cuda' if torch.cuda.is_available() else 'cpu'}",
    }


def carry_out(tasks: list[Task], jobs: int, results: Path) -> list[Task]:
    """Make the rows of some tasks, some at a time; the tasks that failed."""
    failed = []
    with ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(make, task): task for task in tasks}
        for count, finished in enumerate(as_completed(running), 1):
            task = running[finished]
            try:
                add_rows(results, columns(), [finished.result()])
                word = "done"
            except Exception as fault:  # one training that fails must not cost the others
                failed.append(task)
                word = f"failed: {fault}"
            sys.stderr.write(f"{count} of {len(tasks)}: {task.cell}, seed {task.seed}: {word}\n")
    return failed


def columns() -> list[str]:
    """Of results/experiments.csv."""
    from measure import FIGURES

    return ["budget", "cell", "seed", *FIGURES, "minutes", *FACTS]


def main() -> None:
    """Make the rows of a table that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=[*TABLES, "all"])
    parser.add_argument("--dataset", type=Path, required=True, help="dataset folder of ModelNet40")
    parser.add_argument("--budget", choices=list(BUDGETS), default="cpu-hour")
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "experiments")
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    budget, runs = BUDGETS[chosen.budget], chosen.runs.resolve()
    dataset = budget_dataset(budget, chosen.dataset.resolve(), runs).resolve()
    cells = dict.fromkeys(
        cell for name, table in TABLES.items() if chosen.table in (name, "all") for cell in (UNTRAINED, *table.cells)
    )
    done = {(row["cell"], row["seed"]) for row in read_rows(chosen.results) if row["budget"] == budget.name}
    tasks = [
        Task(cell, seed, budget.name, dataset, runs / budget.name)
        for seed in chosen.seeds or budget.seeds
        for cell in cells
        if (cell, str(seed)) not in done
    ]
    waves = [[t for t in tasks if not t.waits], [t for t in tasks if t.waits]]
    failed = [task for wave in waves for task in carry_out(wave, chosen.jobs, chosen.results)]
    if failed:
        sys.exit(f"{len(failed)} of {len(tasks)} trainings failed; the same command tries them again")


if __name__ == "__main__":
    main()
