"""Every method of the two papers on the procedural shapes, under one budget: what each changes, with seeds.

    pointvae prepare procedural DATASET --shapes_per_class 100 --points 1024 --test_fraction 0.5
    python benchmarks/methods.py --dataset DATASET [--methods vae cr-vae …] [--seeds 0 1 2] [--epochs 12]

Each run is `pointvae train DATASET RUN --config configs/NAME.yaml --seed SEED` with the budget's settings after it
(the mixture likelihood for all, so that every bound is in true nats); `avae-ss` is `pointvae refine` of that seed's
`vae`. A run or a row that is already there is not made again. Rows go to results/methods.csv;
`python benchmarks/methods_page.py` prints the tables made of them.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from pointvae.data.dataset import load_dataset
from pointvae.evaluation.drift import probe_drift, self_consistency_drift
from pointvae.evaluation.latents import consistency_gaps, describe_latents
from pointvae.evaluation.likelihood import bound_and_nll
from pointvae.evaluation.probes import describe_dataset, labelled_splits
from pointvae.evaluation.probing.linear_probe import PROTOCOL
from pointvae.evaluation.probing.training import encode_splits
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.evaluation.selection import spread_over_classes
from pointvae.evaluation.views import Rotation, View
from pointvae.hub import from_pretrained, read_run_config, untrained_twin
from pointvae.models.vae import PointVAE
from pointvae.transforms import Compose, default_transforms
from runs import ROOT, add_rows, commit, pointvae, read_rows

RESULTS = ROOT / "results" / "methods.csv"
LONG = ROOT / "results" / "methods-long.csv"  # vae and avae with four times the epochs
METHODS = (
    "vae",
    "vae-aug",
    "cr-vae",
    "cr-vae-canonical",
    "triplet",
    "beta-vae",
    "cr-beta-vae",
    "iwae",
    "cr-iwae",
    "ladder",
    "cr-ladder",
    "se",
    "avae",
    "se-avae",
    "avae-ss",
    "cr-avae",
)
POINTS, SAMPLES, BOUNDED, ROUNDS, EPOCHS = 256, 50, 400, 5, 12
BUDGET = {
    "points": POINTS,
    "batch_size": 16,
    "learning_rate": 0.003,
    "validation_fraction": 0.05,
    "model.likelihood": "mixture",
    "model.latent_dim": 64,
    "model.encoder_args": {"widths": [64, 64, 64, 128, 512]},
}
LADDER = {"model.local_dims": [2]}  # 16 anchors: 32 of the 64 latents stay global
ROTATIONS: dict[str, Rotation] = {"aligned": "none", "rotated": "z"}
FIGURES = [
    *(f"{f}_{r}" for f in ("mean", "encoder") for r in ROTATIONS),
    "consistency_gap",
    "active_units",
    "posterior_std",
    "kl",
    "bound",
    "nll",
    "effective_samples",
    "cd_l2_mean",
    "drift",
    "drift_share",
    "drift_rounds",
    "mean_after_rounds",
]
COLUMNS = ["method", "seed", *FIGURES, "epochs", "points", "protocol", "n_train", "n_test", "dataset_sha256"]
COLUMNS += ["version", "commit", "machine"]


def options(method: str, seed: int, epochs: int) -> list[str]:
    """The command's options after the configuration's own."""
    settings: dict[str, Any] = {"epochs": epochs, "seed": seed}
    if method == "avae-ss":
        settings |= {"batch_size": BUDGET["batch_size"]}  # its rate is its own: fine-tuning takes a smaller one
    else:
        settings |= BUDGET | (LADDER if "ladder" in method else {})
    plain = {name: json.dumps(v) if isinstance(v, dict | list) else str(v) for name, v in settings.items()}
    return [text for name, value in plain.items() for text in (f"--{name}", value)]


def train(method: str, seed: int, epochs: int, dataset: str, runs: Path) -> Path:
    """A finished run, made by the command line if it is not there."""
    run = runs / f"{method}-{seed}"
    if not (run / "model.safetensors").is_file():
        config = ["--config", f"configs/{method}.yaml", *options(method, seed, epochs), "--resume"]
        if method == "avae-ss":
            pointvae("refine", str(train("vae", seed, epochs, dataset, runs)), str(run), *config)
        else:
            pointvae("train", dataset, str(run), *config)
    return run


def measure(model: PointVAE, dataset: str) -> dict[str, Any]:
    """Every figure of the table, on the test split; the probes are fitted on the train split."""
    data = load_dataset(dataset)
    train_split, test = labelled_splits(data)
    assert test.labels is not None
    figures: dict[str, Any] = {"n_train": len(train_split), "n_test": len(test)}
    straight = View(POINTS, "none", 0)
    for name, rotation in ROTATIONS.items():
        codes = encode_splits(model, train_split, test, View(POINTS, rotation, 0))
        for short, feature in (("mean", "posterior_mean"), ("encoder", "encoder")):
            probe = codes.train.linear_probe(feature)
            figures[f"{short}_{name}"] = float(np.mean(probe.predict(getattr(codes.test, feature)) == test.labels))
        if rotation == "none":
            figures |= {n: v for n, v in describe_latents(codes.test).items() if n in FIGURES}
            spread = codes.test.posterior_mean.var(axis=0, dtype=np.float64).sum()
            aligned = codes.train.linear_probe("posterior_mean")
    drift = self_consistency_drift(model, test, straight, ROUNDS)
    moved = np.square(drift.codes[1] - drift.codes[0], dtype=np.float64).sum(axis=1).mean()
    bounds = bound_and_nll(model, test[spread_over_classes(test, BOUNDED)], straight, samples=SAMPLES)
    gaps = consistency_gaps(model, test, Compose(default_transforms()), straight)
    return figures | {
        "consistency_gap": float(gaps.mean(dtype=np.float64)),
        "bound": bounds.elbo,
        "nll": bounds.nll,
        "effective_samples": bounds.effective_samples,
        "cd_l2_mean": float(reconstruct(model, straight.clouds(test)).cd_l2_mean.mean(dtype=np.float64)),
        "drift": drift.describe()["kl_to_start"][0],
        "drift_share": float(moved / max(spread, 1e-12)),
        "drift_rounds": drift.describe()["kl_to_start"][-1],
        "mean_after_rounds": probe_drift(drift, aligned, test.labels)[-1],
    }


def add(method: str, seed: int, epochs: int, dataset: str, runs: Path, results: Path) -> None:
    """Add the row of one run, and that of the untrained encoder of the seed, where they are missing."""
    done = {(r["method"], r["seed"]) for r in read_rows(results)}
    for name in ("untrained", method):
        if (name, str(seed)) in done or (name == "untrained" and method != "vae"):
            continue
        run = train(method, seed, epochs, dataset, runs)
        model = untrained_twin(run) if name == "untrained" else from_pretrained(run)
        figures = measure(model, dataset)
        row = {n: f"{v:.6g}" if isinstance(v, float) else v for n, v in figures.items()}
        facts = {
            "method": name,
            "seed": seed,
            "epochs": 0 if name == "untrained" else epochs,
            "points": POINTS,
            "protocol": PROTOCOL,
            "dataset_sha256": describe_dataset(load_dataset(dataset))["sha256"][:16],
            "version": read_run_config(run)["version"],
            "commit": commit(),
            "machine": f"{platform.machine()} cpu",
        }
        add_rows(results, COLUMNS, [row | facts])


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="dataset folder, prepared as above")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "methods")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the file of rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="the budget: passes over the training shapes")
    arguments = parser.parse_args()
    dataset, results = str(Path(arguments.dataset).resolve()), arguments.results.resolve()
    for seed in arguments.seeds:
        for method in arguments.methods:
            add(method, seed, arguments.epochs, dataset, arguments.runs.resolve(), results)


if __name__ == "__main__":
    main()
