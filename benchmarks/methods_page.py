"""What docs/methods.md shows of results/methods.csv: tables, and a picture of two of the runs.

python benchmarks/methods_page.py                                  print the tables
python benchmarks/methods_page.py --dataset DATASET [--runs RUNS]  draw docs/images/ladder.png
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from methods import LONG, METHODS, POINTS, RESULTS
from pointvae.data.dataset import load_dataset
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.evaluation.views import View
from pointvae.hub import from_pretrained
from pointvae.visualization.grids import cloud_grid
from runs import ROOT, read_rows

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
    "drift, round 5": ("drift_rounds", 1, 1),
}

LONGER = {name: ACCURACIES[name] for name in ("posterior mean, aligned", "rotated", "mean after 5 rounds")}
LONGER |= {name: LATENTS[name] for name in ("mean s", "bound", "drift", "share")}


def table(
    columns: dict[str, tuple[str, float, int]], methods: Sequence[str] = METHODS, results: Path = RESULTS
) -> str:
    """Rows as Markdown: mean ± standard deviation over seeds."""
    rows = read_rows(results)
    lines = [f"| method | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for method in methods:
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
    ("iwae", "vae"),
    ("cr-iwae", "iwae"),
    ("ladder", "vae"),
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


BLOCKS: dict[str, Callable[[], str]] = {
    "methods-accuracy": lambda: table(ACCURACIES, ("untrained", *METHODS)),
    "methods-latents": lambda: table(LATENTS),
    "methods-paired": paired,
    "methods-long": lambda: table(LONGER, ("vae", "avae"), LONG),
}
"""All that the page shows."""


SHOWN = ("airplane", "chair", "car", "guitar", "lamp", "mug", "table")


def picture(dataset: str, runs: Path) -> None:
    """Draw docs/images/ladder.png: test shapes, and what the flat and the hierarchical model of seed 0 make of it."""
    test = load_dataset(dataset)["test"]
    assert test.labels is not None
    classes = [test.classes[label] for label in test.labels]
    clouds = View(POINTS, "none", 0).clouds(test[np.array([classes.index(name) for name in SHOWN])])
    rows, names = [clouds], list(SHOWN)
    for method in ("vae", "ladder"):
        made = reconstruct(from_pretrained(runs / f"{method}-0"), clouds)
        rows.append(made.points)
        names += [f"{method}, CD {error:.4f}" for error in made.cd_l2_mean]
    figure = cloud_grid(np.concatenate(rows), names, columns=len(SHOWN), inputs=range(len(SHOWN)))
    figure.savefig(ROOT / "docs" / "images" / "ladder.png", dpi=100)


def main() -> None:
    """Print the tables, or draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", help="draw the picture, of this dataset folder's test shapes")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "methods")
    arguments = parser.parse_args()
    if arguments.dataset:
        picture(arguments.dataset, arguments.runs)
    else:
        print("\n\n".join(make() for make in BLOCKS.values()))


if __name__ == "__main__":
    main()
