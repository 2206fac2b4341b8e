"""ModelNet40: VAE, VAE + augmentation and CR-VAE with one budget, each beside its untrained encoder.

    python benchmarks/modelnet40.py --dataset DATASET [--seeds 0 1 2] [--configs vae cr-vae …]

DATASET is a dataset folder made by `pointvae prepare modelnet40_1024.npz DATASET`. Each run is trained by
`pointvae train … --config configs/NAME.yaml --seed SEED` and probed as by `pointvae probe … --rotation none|z`, the
untrained encoder once for all runs of a seed. A run or a row that is already there is not made again. Rows go to
results/modelnet40.csv; `--table` prints the README's tables.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import numpy as np

from pointvae.data.dataset import load_dataset
from pointvae.evaluation.probes import (
    default_points,
    describe_dataset,
    labelled_splits,
    probe_splits,
)
from pointvae.evaluation.probing.training import encode_splits
from pointvae.evaluation.views import Rotation, View
from pointvae.hub import from_pretrained, read_run_config, untrained_twin
from runs import ROOT, add_rows, commit, pointvae, read_rows

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


def train(config: str, seed: int, dataset: str, runs: Path) -> Path:
    """A finished run, trained by the command line if it is not there."""
    run = runs / f"{config}-{seed}"
    if not (run / "model.safetensors").is_file():
        pointvae("train", dataset, str(run), "--config", f"configs/{config}.yaml", "--seed", str(seed), "--resume")
    return run


def probe(runs: dict[str, Path], seed: int, dataset: str, rotation: Rotation) -> None:
    """Add the rows of one seed's runs, as `pointvae probe` makes them; the untrained encoder is fitted once."""
    done = {(r["config"], r["seed"], r["rotation"]) for r in read_rows(RESULTS)}
    missing = {name: run for name, run in runs.items() if (name, str(seed), rotation) not in done}
    if not missing:
        return
    shapes = load_dataset(dataset)
    splits = labelled_splits(shapes)
    facts = {name: read_run_config(run) for name, run in missing.items()}
    first = next(iter(missing))
    view = View(default_points(facts[first], shapes), rotation, 0)
    untrained = encode_splits(untrained_twin(missing[first]), *splits, view)
    for name, run in missing.items():
        assert facts[name]["model"] == facts[first]["model"]  # else the untrained encoder would be another
        trained = encode_splits(from_pretrained(run), *splits, view)
        result = probe_splits(trained, untrained, *splits, view)
        held = {n.removeprefix("val/"): value for n, value in facts[name]["metrics"].items()}
        shared = {
            "config": name,
            "seed": seed,
            "rotation": rotation,
            "protocol": result["protocol"],
            "points": result["points"],
            "epochs": facts[name]["epochs"],
            **{n: f"{held[n]:.6g}" for n in ("active_units", "posterior_std", "consistency_gap", "cd_l2_mean")},
            "dataset_sha256": describe_dataset(shapes)["sha256"][:16],
            "subsample_sha256": str(result["subsample_sha256"]["test"])[:16],
            "version": result["version"],
            "commit": commit(),
            "machine": f"{platform.machine()} cpu",
        }
        names = ("feature", "accuracy", "untrained_accuracy", "C", "untrained_C", "n_train", "n_test")
        add_rows(RESULTS, COLUMNS, [{**shared, **{n: part[n] for n in names}} for part in result["probes"]])


def table() -> str:
    """The rows as Markdown: mean and standard deviation over seeds, in percent, the untrained encoder first."""
    rows = read_rows(RESULTS)
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


def paired() -> str:
    """What the regulariser adds to its control seed by seed, in points, as Markdown."""
    found = {
        (r["config"], r["seed"], r["feature"], r["rotation"]): 100 * float(r["accuracy"]) for r in read_rows(RESULTS)
    }
    seeds = sorted({seed for _, seed, _, _ in found})
    lines = ["| `cr-vae` minus `vae-aug`, points | mean | seed by seed |", "|---|---|---|"]
    for feature in ("posterior_mean", "encoder"):
        for rotation, word in (("none", "aligned"), ("z", "rotated")):
            each = [found["cr-vae", s, feature, rotation] - found["vae-aug", s, feature, rotation] for s in seeds]
            name = {"posterior_mean": "posterior mean", "encoder": "encoder feature"}[feature]
            lines.append(f"| {name}, {word} | {np.mean(each):+.1f} | {', '.join(f'{d:+.1f}' for d in each)} |")
    return "\n".join(lines)


def main() -> None:
    """Make what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", help="dataset folder of ModelNet40")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "modelnet40")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--configs", nargs="+", default=list(CONFIGS))
    parser.add_argument("--rotations", nargs="+", default=list(ROTATIONS))
    parser.add_argument("--table", action="store_true", help="only print the table of the rows there are")
    arguments = parser.parse_args()
    if not arguments.table:
        if arguments.dataset is None:
            parser.error("--dataset is needed: make one with `pointvae prepare modelnet40_1024.npz DATASET`")
        dataset = str(Path(arguments.dataset).resolve())
        for seed in arguments.seeds:
            runs = {config: train(config, seed, dataset, arguments.runs.resolve()) for config in arguments.configs}
            for rotation in arguments.rotations:
                probe(runs, seed, dataset, rotation)
    print(f"{table()}\n\n{paired()}")


if __name__ == "__main__":
    main()
