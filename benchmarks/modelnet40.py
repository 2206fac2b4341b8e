"""ModelNet40: VAE, VAE + augmentation and CR-VAE with one budget, each beside its untrained encoder.

    python benchmarks/modelnet40.py --dataset DATASET [--seeds 0 1 2] [--configs vae cr-vae …]

DATASET is a dataset folder made by `pointvae prepare modelnet40_1024.npz DATASET`. Each run is trained by
`pointvae train … --config configs/NAME.yaml --seed SEED` and probed by `pointvae probe … --rotation none|z`. A run or
a row that is already there is not made again. Rows go to results/modelnet40.csv; `--table` prints the README's table.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "modelnet40.csv"
CONFIGS = ("vae", "vae-aug", "cr-vae", "cr-vae-canonical")
ROTATIONS = ("none", "z")
COLUMNS = [
    "config",
    "seed",
    "rotation",
    "feature",
    "accuracy",
    "untrained_accuracy",
    "C",
    "untrained_C",
    "protocol",
    "points",
    "n_train",
    "n_test",
    "epochs",
    "active_units",
    "posterior_std",
    "consistency_gap",
    "cd_l2_mean",
    "dataset_sha256",
    "subsample_sha256",
    "version",
    "commit",
    "machine",
]


def pointvae(*arguments: str) -> dict[str, Any]:
    """Run a verb of the command line and return its JSON."""
    command = [sys.executable, "-m", "pointvae.cli", *arguments, "--json"]
    out = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    result: dict[str, Any] = json.loads(out.stdout)
    return result


def commit() -> str:
    """The commit the package stands at."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def read_rows() -> list[dict[str, str]]:
    """The rows made so far."""
    if not RESULTS.is_file():
        return []
    with RESULTS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add_rows(rows: list[dict[str, Any]]) -> None:
    """Append rows, with a header where the file is new."""
    new = not RESULTS.is_file()
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def measure(config: str, seed: int, dataset: str, runs: Path) -> None:
    """Train one run if it is not there, and add its rows if they are not."""
    run = runs / f"{config}-{seed}"
    if not (run / "model.safetensors").is_file():
        pointvae("train", dataset, str(run), "--config", f"configs/{config}.yaml", "--seed", str(seed), "--resume")
    facts = json.loads((run / "config.json").read_text(encoding="utf-8"))
    held = {name.removeprefix("val/"): value for name, value in facts["metrics"].items()}
    done = {(r["config"], r["seed"], r["rotation"]) for r in read_rows()}
    for rotation in ROTATIONS:
        if (config, str(seed), rotation) in done:
            continue
        result = pointvae("probe", str(run), dataset, "--rotation", rotation)
        shared = {
            "config": config,
            "seed": seed,
            "rotation": rotation,
            "protocol": result["protocol"],
            "points": result["points"],
            "epochs": facts["epochs"],
            **{n: held[n] for n in ("active_units", "posterior_std", "consistency_gap", "cd_l2_mean")},
            "dataset_sha256": result["dataset"]["sha256"][:16],
            "subsample_sha256": str(result["subsample_sha256"]["test"])[:16],
            "version": result["version"],
            "commit": commit(),
            "machine": f"{platform.machine()} cpu",
        }
        names = ("feature", "accuracy", "untrained_accuracy", "C", "untrained_C", "n_train", "n_test")
        add_rows([{**shared, **{n: probe[n] for n in names}} for probe in result["probes"]])


def table() -> str:
    """The rows as Markdown: mean and standard deviation over seeds, in percent, untrained in brackets."""
    rows = read_rows()
    lines = [
        "| configuration | posterior mean, aligned | rotated | encoder feature, aligned | rotated | seeds |",
        "|---|---|---|---|---|---|",
    ]

    def cell(config: str, rotation: str, feature: str, column: str) -> str:
        found = [
            100 * float(r[column])
            for r in rows
            if r["rotation"] == rotation and r["feature"] == feature and config in (r["config"], "untrained")
        ]
        if config == "untrained":
            by_seed = {
                r["seed"]: 100 * float(r[column])
                for r in rows
                if (r["rotation"], r["feature"]) == (rotation, feature)
            }
            found = list(by_seed.values())
        spread = np.std(found, ddof=1) if len(found) > 1 else float("nan")
        return f"{np.mean(found):.1f} ± {spread:.1f}" if found else "-"

    for config in ("untrained", *CONFIGS):
        column = "untrained_accuracy" if config == "untrained" else "accuracy"
        cells = [cell(config, r, f, column) for f in ("posterior_mean", "encoder") for r in ROTATIONS]
        seeds = len({r["seed"] for r in rows if config in (r["config"], "untrained")})
        lines.append(f"| {config} | {' | '.join(cells)} | {seeds} |")
    return "\n".join(lines)


def main() -> None:
    """Make what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", help="dataset folder of ModelNet40")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "modelnet40")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--configs", nargs="+", default=list(CONFIGS))
    parser.add_argument("--table", action="store_true", help="only print the table of the rows there are")
    arguments = parser.parse_args()
    if not arguments.table:
        if arguments.dataset is None:
            parser.error("--dataset is needed: make one with `pointvae prepare modelnet40_1024.npz DATASET`")
        dataset = str(Path(arguments.dataset).resolve())
        for seed in arguments.seeds:
            for config in arguments.configs:
                measure(config, seed, dataset, arguments.runs.resolve())
    print(table())


if __name__ == "__main__":
    main()
