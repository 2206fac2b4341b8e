"""Every method of the two papers on the procedural shapes, under one budget: what each changes, with seeds.

    pointvae prepare procedural DATASET --shapes_per_class 100 --points 1024 --test_fraction 0.5
    python benchmarks/methods.py --dataset DATASET [--methods vae cr-vae …] [--seeds 0 1 2] [--epochs 12]

Each run is `pointvae train DATASET RUN --config configs/NAME.yaml --seed SEED` with the budget's settings after it
(the mixture likelihood for all, so that every bound is in true nats); `avae-ss` is `pointvae refine` of that seed's
`vae`. A run or a row that is already there is not made again. Rows go to results/methods.csv; `--table` prints the
tables.
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
from pointvae.evaluation.linear_probe import NAME, PROTOCOL
from pointvae.evaluation.probes import describe_dataset, encode_splits, labelled_splits
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.evaluation.selection import spread_over_classes
from pointvae.evaluation.views import Rotation, View
from pointvae.hub import from_pretrained, read_run_config, untrained_twin
from pointvae.models.vae import PointVAE
from pointvae.transforms import Compose, default_transforms
from pointvae.visualization.grids import cloud_grid
from runs import ROOT, add_rows, commit, pointvae, read_rows

RESULTS = ROOT / "results" / "methods.csv"
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
        settings |= {name: BUDGET[name] for name in ("batch_size", "learning_rate")}
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
            probe = codes.fit(train_split, feature, 0, NAME)
            figures[f"{short}_{name}"] = float(np.mean(probe.predict(getattr(codes.test, feature)) == test.labels))
        if rotation == "none":
            figures |= {n: v for n, v in describe_latents(codes.test).items() if n in FIGURES}
            spread = codes.test.posterior_mean.var(axis=0, dtype=np.float64).sum()
            aligned = codes.fit(train_split, "posterior_mean", 0, NAME)
    drift = self_consistency_drift(model, test, straight, ROUNDS)
    moved = np.square(drift.codes[1] - drift.codes[0], dtype=np.float64).sum(axis=1).mean()
    bounds = bound_and_nll(model, test[spread_over_classes(test, BOUNDED)], straight, samples=SAMPLES)
    gaps = consistency_gaps(model, test, Compose(default_transforms()), straight)
    return figures | {
        "consistency_gap": float(gaps.mean(dtype=np.float64)),
        "bound": bounds.elbo,
        "nll": bounds.nll,
        "effective_samples": bounds.effective_samples,
        "cd_l2_mean": float(reconstruct(model, straight.all_clouds(test)).cd_l2_mean.mean(dtype=np.float64)),
        "drift": drift.describe()["kl_to_start"][0],
        "drift_share": float(moved / max(spread, 1e-12)),
        "drift_rounds": drift.describe()["kl_to_start"][-1],
        "mean_after_rounds": probe_drift(drift, aligned, test.labels)[-1],
    }


def add(method: str, seed: int, epochs: int, dataset: str, runs: Path) -> None:
    """Add the row of one run, and that of the untrained encoder of the seed, where they are missing."""
    done = {(r["method"], r["seed"]) for r in read_rows(RESULTS)}
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
        add_rows(RESULTS, COLUMNS, [row | facts])


ACCURACIES = {
    "posterior mean, aligned": ("mean_aligned", 100, 1),
    "rotated": ("mean_rotated", 100, 1),
    "encoder, aligned": ("encoder_aligned", 100, 1),
    "encoder, rotated": ("encoder_rotated", 100, 1),
    "mean after 5 rounds": ("mean_after_rounds", 100, 1),
}
LATENTS = {
    "gap": ("consistency_gap", 1, 1),
    "active": ("active_units", 1, 0),
    "mean s": ("posterior_std", 1, 2),
    "KL": ("kl", 1, 1),
    "bound": ("bound", 1, 3),
    "-NLL": ("nll", -1, 3),
    "CD": ("cd_l2_mean", 1, 4),
    "drift": ("drift", 1, 1),
    "share": ("drift_share", 100, 0),
    "drift, 5 rounds": ("drift_rounds", 1, 1),
}


def table(columns: dict[str, tuple[str, float, int]]) -> str:
    """Rows as Markdown: mean ± standard deviation over seeds, the untrained encoder first."""
    rows = read_rows(RESULTS)
    lines = [f"| method | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for method in ("untrained", *METHODS):
        mine = [r for r in rows if r["method"] == method]
        cells = []
        for name, factor, digits in columns.values():
            found = np.array([factor * float(r[name]) for r in mine])
            spread = found.std(ddof=1) if len(found) > 1 else float("nan")
            cells.append(f"{found.mean():.{digits}f} ± {spread:.{digits}f}" if len(found) else "-")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


PAIRS = (
    ("cr-vae", "vae-aug"),
    ("triplet", "vae-aug"),
    ("cr-beta-vae", "beta-vae"),
    ("cr-iwae", "iwae"),
    ("cr-ladder", "ladder"),
    ("se", "vae"),
    ("avae", "vae"),
    ("se-avae", "se"),
    ("avae-ss", "vae"),
    ("cr-avae", "cr-vae"),
)
DIFFERENCES = {
    "aligned": ("mean_aligned", 100, 1),
    "rotated": ("mean_rotated", 100, 1),
    "encoder, rotated": ("encoder_rotated", 100, 1),
    "after 5 rounds": ("mean_after_rounds", 100, 1),
    "gap, nats": ("consistency_gap", 1, 1),
    "bound, nats per point": ("bound", 1, 3),
    "drift, nats": ("drift", 1, 1),
}


def paired() -> str:
    """What each method adds to its control, seed by seed, as Markdown: mean ± standard deviation."""
    found = {(r["method"], r["seed"]): r for r in read_rows(RESULTS)}
    lines = [f"| method minus control | {' | '.join(DIFFERENCES)} |", "|---" * (len(DIFFERENCES) + 1) + "|"]
    for method, control in PAIRS:
        seeds = sorted({s for m, s in found if m == method} & {s for m, s in found if m == control})
        cells = []
        for name, factor, digits in DIFFERENCES.values():
            each = [factor * (float(found[method, s][name]) - float(found[control, s][name])) for s in seeds]
            spread = np.std(each, ddof=1) if len(each) > 1 else float("nan")
            cells.append(f"{np.mean(each):+.{digits}f} ± {spread:.{digits}f}" if each else "-")
        lines.append(f"| {method} - {control} | {' | '.join(cells)} |")
    return "\n".join(lines)


def tables() -> list[str]:
    """All that the page shows."""
    return [table(ACCURACIES), table(LATENTS), paired()]


SHOWN = ("airplane", "chair", "car", "guitar", "lamp", "mug", "table")


def picture(dataset: str, runs: Path) -> None:
    """Draw docs/images/ladder.png: test shapes, and what the flat and the hierarchical model of seed 0 make of them."""
    test = load_dataset(dataset)["test"]
    assert test.labels is not None
    classes = [test.classes[label] for label in test.labels]
    clouds = View(POINTS, "none", 0).all_clouds(test[np.array([classes.index(name) for name in SHOWN])])
    rows, names = [clouds], list(SHOWN)
    for method in ("vae", "ladder"):
        made = reconstruct(from_pretrained(runs / f"{method}-0"), clouds)
        rows.append(made.points)
        names += [f"{method}, CD {error:.4f}" for error in made.cd_l2_mean]
    figure = cloud_grid(np.concatenate(rows), names, columns=len(SHOWN), inputs=range(len(SHOWN)))
    figure.savefig(ROOT / "docs" / "images" / "ladder.png", dpi=100)


def main() -> None:
    """Make what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", help="dataset folder of the procedural shapes")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "methods")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="the budget: passes over the training shapes")
    parser.add_argument("--picture", action="store_true", help="only draw docs/images/ladder.png")
    parser.add_argument("--table", action="store_true", help="only print the tables of the rows there are")
    arguments = parser.parse_args()
    if arguments.picture:
        picture(arguments.dataset, arguments.runs)
    elif not arguments.table:
        if arguments.dataset is None:
            parser.error("--dataset is needed: make one with `pointvae prepare procedural DATASET …`, as above")
        dataset = str(Path(arguments.dataset).resolve())
        for seed in arguments.seeds:
            for method in arguments.methods:
                add(method, seed, arguments.epochs, dataset, arguments.runs.resolve())
    print("\n\n".join(tables()))


if __name__ == "__main__":
    main()
