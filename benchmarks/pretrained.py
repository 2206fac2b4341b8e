"""The models that come with the package: train, store, measure, bundle.

    pointvae prepare procedural SHAPES --shapes_per_class 300 --points 1024
    pointvae prepare modelnet40_1024.npz MODELNET40 --licence "research only (CAD models: their authors' copyright)"
    python benchmarks/pretrained.py --shapes SHAPES --modelnet40 MODELNET40 [--runs RUNS] [--threads N]

Each is a CR-VAE with the paper's target, trained on its dataset's train split by `pointvae.fit`, and stored with
matrices in float16 in pointvae/pretrained/NAME. What is measured is the stored model: `pointvae probe` aligned and
rotated, beside the untrained network, reconstruction, and how far float16 moves the codes; rows go to
results/pretrained.csv, the same figures into the model's card. A run that is there is not trained again; one seed is
what ships. `--table` prints the table of docs/pretrained.md.
"""

from __future__ import annotations

import argparse
import platform
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pointvae
from pointvae.evaluation.features import encode
from pointvae.evaluation.probes import describe_dataset, probe_run
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.evaluation.views import View
from pointvae.hub import CARD, read_run_config
from pointvae.model_card import licence_of, model_card, named_set
from pointvae.models.build import build_model
from pointvae.pretrained import HERE
from pointvae.writing import write_text
from runs import ROOT, add_rows, commit, read_rows

RESULTS = ROOT / "results" / "pretrained.csv"
MODEL = {
    "encoder": "pointnet",
    "decoder": "mlp",
    "likelihood": "chamfer",
    "latent_dim": 128,
    "points": 512,
    "encoder_args": {"widths": [64, 64, 64, 128, 512]},
    "decoder_args": {"widths": [256, 384]},
    "likelihood_args": {"sigma": 0.05},
}
TRAINING: dict[str, Any] = {"epochs": 6, "points": 256, "batch_size": 32, "learning_rate": 0.002}
SEED = 0
BUNDLED = {
    "cr-shapes": "an all-purpose start, for any use: trained on procedural furniture, vessels, vehicles and tools",
    "cr-modelnet40": "for research: trained on the CAD models of ModelNet40",
}
COLUMNS = ["model", "seed", "feature", "rotation", "accuracy", "untrained_accuracy", "C", "untrained_C", "protocol"]
COLUMNS += ["points", "n_train", "n_test", "epochs", "cd_l2_mean", "float16_shift", "parameters", "bytes"]
COLUMNS += ["dataset", "dataset_sha256", "subsample_sha256", "version", "commit", "machine"]


def train(dataset: str, run: Path) -> None:
    """Train a run, or go on with it; nothing is done where it is finished."""
    if (run / "model.safetensors").is_file():
        return
    objective = pointvae.Consistency(pointvae.ELBO(), weight=1.0, target="transformed")
    model = build_model(MODEL, SEED)
    pointvae.fit(model, dataset, run, objective, seed=SEED, accelerator="cpu", resume=True, progress=True, **TRAINING)


def bundle(name: str, dataset: str, run: Path, folder: Path) -> None:
    """Store a run in float16, measure what was stored, and put both into the package's folder."""
    trained, facts = pointvae.from_pretrained(run), read_run_config(run)
    facts = {key: value for key, value in facts.items() if key not in ("model", "model_class")}
    named = named_set(facts)
    facts["bundled"] = {
        "description": BUNDLED[name],
        "data": facts["dataset"]["name"],
        "licence": licence_of(facts),
        "research_only": named is not None and named.research_only,
        "citation": named.citation if named else "",
        "parameters": sum(weights.numel() for weights in trained.parameters()),
    }
    shutil.rmtree(folder, ignore_errors=True)
    pointvae.save_pretrained(trained, folder, facts, dtype="float16")
    stored, data = pointvae.from_pretrained(folder), pointvae.load_dataset(dataset)
    test, view = data["test"], View(TRAINING["points"], "none", SEED)
    before, after = encode(trained, test, view), encode(stored, test, view)
    shift = float((np.abs(after.posterior_mean - before.posterior_mean) / before.posterior_std).max())
    distance = float(reconstruct(stored, view.clouds(test)).cd_l2_mean.mean(dtype=np.float64))
    rows = []
    for rotation in ("none", "z"):
        found = probe_run(folder, dataset, rotation=rotation, seed=SEED, jobs=torch.get_num_threads(), progress=True)
        for part in found["probes"]:
            names = ("feature", "accuracy", "untrained_accuracy", "C", "untrained_C", "n_train", "n_test")
            rows.append({"rotation": rotation, "points": found["points"], "protocol": found["protocol"]})
            rows[-1] |= {key: part[key] for key in names}
            rows[-1] |= {"subsample_sha256": str(found["subsample_sha256"]["test"])[:16]}
    first = rows[0]
    measured = {
        "dataset": facts["dataset"]["name"],
        **{key: first[key] for key in ("protocol", "points", "n_train", "n_test")},
        "cd_l2_mean": distance,
        "points_out": MODEL["points"],
        "probes": [
            {key: row[key] for key in ("feature", "rotation", "accuracy", "untrained_accuracy")} for row in rows
        ],
    }
    facts["measured"] = measured
    pointvae.save_pretrained(trained, folder, facts, dtype="float16")
    write_text(folder / CARD, model_card(name, read_run_config(folder), f"pretrained:{name}"))
    shared = {
        "model": name,
        "seed": SEED,
        "epochs": facts["epochs"],
        "cd_l2_mean": f"{distance:.6g}",
        "float16_shift": f"{shift:.3g}",
        "parameters": facts["bundled"]["parameters"],
        "bytes": (folder / "model.safetensors").stat().st_size,
        "dataset": measured["dataset"],
        "dataset_sha256": describe_dataset(data)["sha256"][:16],
        "version": pointvae.__version__,
        "commit": commit(),
        "machine": f"{platform.machine()} cpu",
    }
    kept = [row for row in read_rows(RESULTS) if row["model"] != name]
    RESULTS.unlink(missing_ok=True)
    add_rows(RESULTS, COLUMNS, [*kept, *({**shared, **row} for row in rows)])


def table() -> str:
    """The rows as Markdown, in percent; the same network untrained in brackets."""
    rows = read_rows(RESULTS)
    lines = [
        "| model | posterior mean, aligned | rotated | encoder feature, aligned | rotated | `cd_l2_mean` |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["model"] for row in rows):
        mine = {(row["feature"], row["rotation"]): row for row in rows if row["model"] == name}
        cells = [
            f"{100 * float(row['accuracy']):.1f} ({100 * float(row['untrained_accuracy']):.1f})"
            for row in (mine[f, r] for f in ("posterior_mean", "encoder") for r in ("none", "z"))
        ]
        distance = float(next(iter(mine.values()))["cd_l2_mean"])
        lines.append(f"| `{name}` | {' | '.join(cells)} | {distance:.4f} |")
    return "\n".join(lines)


def main() -> None:
    """Make what is named, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", help="dataset folder of procedural shapes, for cr-shapes")
    parser.add_argument("--modelnet40", help="dataset folder of ModelNet40, for cr-modelnet40")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "pretrained")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--table", action="store_true", help="only print the table of the rows there are")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name, dataset in (("cr-shapes", arguments.shapes), ("cr-modelnet40", arguments.modelnet40)):
        if dataset is not None and not arguments.table:
            train(dataset, arguments.runs / name)
            bundle(name, dataset, arguments.runs / name, HERE / name)
    print(table())


if __name__ == "__main__":
    main()
