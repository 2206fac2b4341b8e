"""The models that come with the package: train, store, measure, bundle.

    pointvae prepare procedural SHAPES --shapes_per_class 100 --points 1024 --test_fraction 0.5
    pointvae prepare modelnet40_1024.npz MODELNET40
    python benchmarks/pretrained.py --shapes SHAPES --modelnet40 MODELNET40 [--refit] [--threads N]

They are the seed 0 runs of `cr-vae` in benchmarks/methods.py and benchmarks/modelnet40.py, trained as these do it if
they are not in runs/ already, and stored with matrices in float16 in pointvae/pretrained/NAME. What is measured is
the stored model: as `pointvae probe` does, aligned and rotated, beside the untrained network; reconstruction; and how
far float16 moves the codes. The probes of ModelNet40 take long: unless `--refit`, its accuracies are those of the
run's own rows in results/modelnet40.csv, measured before float16, and the rows and the card say so. Rows go to
results/pretrained.csv, the same figures into the model's card. One seed is what ships. `--table` prints the table of
docs/pretrained.md.
"""

from __future__ import annotations

import argparse
import platform
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

import methods
import modelnet40
import pointvae
from pointvae.evaluation.features import encode
from pointvae.evaluation.probes import describe_dataset, probe_run
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.evaluation.views import View
from pointvae.hub import CARD, read_run_config
from pointvae.model_card import licence_of, model_card, named_set
from pointvae.pretrained import HERE
from pointvae.writing import write_text
from runs import ROOT, add_rows, commit, read_rows

RESULTS = ROOT / "results" / "pretrained.csv"
SEED = 0
BUNDLED = {
    "cr-shapes": "an all-purpose start, for any use: trained on procedural furniture, vessels, vehicles and tools",
    "cr-modelnet40": "for research: trained on the CAD models of ModelNet40",
}
DATA = {"cr-shapes": "procedural", "cr-modelnet40": "modelnet40"}  # what the dataset folder is, however it is called
COLUMNS = ["model", "seed", "feature", "rotation", "accuracy", "untrained_accuracy", "C", "untrained_C", "protocol"]
COLUMNS += ["weights", "points", "n_train", "n_test", "epochs", "cd_l2_mean", "float16_shift", "parameters", "bytes"]
COLUMNS += ["dataset", "dataset_sha256", "subsample_sha256", "version", "commit", "machine"]


def train(name: str, dataset: str) -> Path:
    """The run that a bundled model is made of, trained if it is not there."""
    if name == "cr-shapes":
        return methods.train("cr-vae", SEED, methods.EPOCHS, dataset, ROOT / "runs" / "methods")
    return modelnet40.train("cr-vae", SEED, dataset, ROOT / "runs" / "modelnet40")


def probe(folder: Path, dataset: str) -> list[dict[str, Any]]:
    """The probes of the stored weights, aligned and rotated, as `pointvae probe` fits them."""
    rows = []
    for rotation in ("none", "z"):
        found = probe_run(folder, dataset, rotation=rotation, seed=SEED, jobs=torch.get_num_threads(), progress=True)
        shared = {"rotation": rotation, "weights": "float16", "points": found["points"]}
        shared |= {"protocol": found["protocol"], "subsample_sha256": str(found["subsample_sha256"]["test"])[:16]}
        names = ("feature", "accuracy", "untrained_accuracy", "C", "untrained_C", "n_train", "n_test")
        rows += [{**shared, **{key: part[key] for key in names}} for part in found["probes"]]
    return rows


def known() -> list[dict[str, Any]]:
    """The probes of the ModelNet40 run before float16, as benchmarks/modelnet40.py measured them."""
    names = ("feature", "rotation", "accuracy", "untrained_accuracy", "C", "untrained_C", "protocol", "points")
    names += ("n_train", "n_test", "subsample_sha256")
    figures = {"accuracy": float, "untrained_accuracy": float, "points": int, "n_train": int, "n_test": int}
    return [
        {"weights": "float32", **{key: figures.get(key, str)(row[key]) for key in names}}
        for row in read_rows(modelnet40.RESULTS)
        if (row["config"], row["seed"]) == ("cr-vae", str(SEED))
    ]


def bundle(name: str, dataset: str, run: Path, folder: Path, refit: bool) -> None:
    """Store a run in float16, measure what was stored, and put both into the package's folder."""
    trained, facts = pointvae.from_pretrained(run), read_run_config(run)
    facts = {key: value for key, value in facts.items() if key not in ("model", "model_class")}
    facts["dataset"] |= {"name": DATA[name]}
    facts["dataset"]["licence"] = licence_of(facts)
    named = named_set(facts)
    facts["bundled"] = {
        "description": BUNDLED[name],
        "data": facts["dataset"]["name"],
        "licence": facts["dataset"]["licence"],
        "research_only": named is not None and named.research_only,
        "citation": named.citation if named else "",
        "parameters": sum(weights.numel() for weights in trained.parameters()),
    }
    shutil.rmtree(folder, ignore_errors=True)
    pointvae.save_pretrained(trained, folder, facts, dtype="float16")
    stored, data = pointvae.from_pretrained(folder), pointvae.load_dataset(dataset)
    test, view = data["test"], View(facts["points"], "none", SEED)
    before, after = encode(trained, test, view), encode(stored, test, view)
    shift = float((np.abs(after.posterior_mean - before.posterior_mean) / before.posterior_std).max())
    distance = float(reconstruct(stored, view.clouds(test)).cd_l2_mean.mean(dtype=np.float64))
    rows = known() if name == "cr-modelnet40" and not refit else probe(folder, dataset)
    first = rows[0]
    measured = {
        "dataset": facts["dataset"]["name"],
        **{key: first[key] for key in ("weights", "protocol", "points", "n_train", "n_test")},
        "float16_shift": shift,
        "cd_l2_mean": distance,
        "points_out": stored.config["points"],
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
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--refit", action="store_true", help="fit the probes of ModelNet40 to the stored weights")
    parser.add_argument("--table", action="store_true", help="only print the table of the rows there are")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name, dataset in (("cr-shapes", arguments.shapes), ("cr-modelnet40", arguments.modelnet40)):
        if dataset is not None and not arguments.table:
            folder = str(Path(dataset).resolve())
            bundle(name, folder, train(name, folder), HERE / name, arguments.refit)
    print(table())


if __name__ == "__main__":
    main()
