"""Two hours of training and evaluation in one process: does it grow?

    python benchmarks/soak.py [--hours 2] [--folder FOLDER] [--add]

Every round trains a run a few epochs further (`--resume`; every ninth round begins another run; in turns from memory
and streamed), evaluates it (a third of the parts, in turns), embeds the data and prepares a small set with a reader
process of its own. After each round the process looks at itself: memory held (RSS, after a collection), open files,
threads, child processes. The first fifth of the rounds warms up (caches, lazy imports); from there on the straight
line through the memory must not rise by more than TOLERANCE of what the process holds over the rest of the run; files
and children must be at the end what they were after the warm-up, and threads too, but for those that pools of native
libraries start when first they need them: fewer than one in twenty rounds. `--add` appends rows, one a minute at
most, to results/soak.csv.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pointvae import Consistency, Shapes, fit, prepare
from pointvae.evaluation.embedding import embed_to
from pointvae.evaluation.parts import PARTS
from pointvae.evaluation.runs import evaluate_run
from pointvae.models.build import build_model
from pointvae.version import __version__
from runs import ROOT, add_rows, commit, read_rows

RESULTS = ROOT / "results" / "soak.csv"
COLUMNS = ["round", "minutes", "rss_mib", "open_files", "threads", "children", "seed", "version", "commit", "machine"]
WARM_UP = 0.2  # of the rounds
TOLERANCE = 0.05
POOLED = 20  # rounds in which a native library's pool may start one thread more; a leak starts one in every round
RUNS, EPOCHS = 9, 2  # rounds of one run; epochs of one round
TURNS = 3  # rounds in which every part of an evaluation is made once
MODEL = {"latent_dim": 16, "points": 128, "encoder_args": {"widths": [32, 64]}, "decoder_args": {"widths": [64]}}


def look() -> dict[str, float]:
    """What this process holds: MiB of memory, open files, threads, children."""
    gc.collect()
    status = Path("/proc/self/status").read_text().split("\n")
    facts = dict(line.split(":", 1) for line in status if ":" in line)
    tasks = Path("/proc/self/task").iterdir()
    children = sum(len((task / "children").read_text().split()) for task in tasks)
    return {
        "rss_mib": round(int(facts["VmRSS"].split()[0]) / 1024, 1),
        "open_files": len(os.listdir("/proc/self/fd")) - 1,  # less the one that lists them
        "threads": int(facts["Threads"]),
        "children": children,
    }


def shapes(count: int, points: int, seed: int) -> Shapes:
    """Boxes and balls."""
    rng = np.random.default_rng(seed)
    clouds = rng.normal(size=(count, points, 3))
    half = count // 2
    clouds[:half] /= np.abs(clouds[:half]).max(axis=2, keepdims=True)
    clouds[half:] /= np.linalg.norm(clouds[half:], axis=2, keepdims=True)
    clouds *= rng.uniform(0.3, 1.0, size=(count, 1, 3))
    labels = np.repeat([0, 1], [half, count - half])
    return Shapes(clouds.astype(np.float32), labels, [f"s{i}" for i in range(count)], ["box", "ball"])


def one_round(folder: Path, number: int) -> None:
    """Train on, evaluate, embed, prepare."""
    dataset, run = folder / "set", folder / f"run-{number // RUNS % 2}"
    place = number % RUNS
    if place == 0:
        shutil.rmtree(run, ignore_errors=True)
    settings: dict[str, Any] = {"batch_size": 16, "accelerator": "cpu", "schedule": "constant", "checkpoint_every": 3}
    loading = "stream" if number % 2 else "memory"
    fit(
        build_model(MODEL, 0),
        dataset,
        run,
        Consistency(weight=0.5),
        epochs=EPOCHS * (place + 1),
        resume=place > 0,
        loading=loading,
        pictures_every=1,
        **settings,
    )
    parts = list(PARTS)[number % TURNS :: TURNS]
    evaluate_run(run, dataset, parts=parts, quick=True, jobs=1 + number % 2)
    embed_to(run, dataset, folder / "codes.parquet")
    shutil.rmtree(folder / "again", ignore_errors=True)
    prepare(folder / "meshes", folder / "again", points=64, jobs=1 + number % 2)


def write_meshes(folder: Path) -> None:
    """Tetrahedra of a few sizes, as OFF files."""
    for index in range(12):
        path = folder / ("flat" if index % 2 else "tall") / f"shape-{index}.off"
        path.parent.mkdir(parents=True, exist_ok=True)
        top = 1 + index
        path.write_text(f"OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 {top}\n3 0 2 1\n3 0 1 3\n3 1 2 3\n3 2 0 3\n")


def growth(rows: list[dict[str, Any]]) -> tuple[float, float]:
    """MiB that memory rises by over the rows after the warm-up, by the straight line through them; MiB held then."""
    settled = rows[int(len(rows) * WARM_UP) :]
    held = np.array([row["rss_mib"] for row in settled])
    slope = np.polyfit(np.arange(len(held)), held, 1)[0] if len(held) > 2 else 0.0
    return float(slope * (len(held) - 1)), float(held.mean())


def faults(rows: list[dict[str, Any]]) -> list[str]:
    """What grew, in words."""
    risen, held = growth(rows)
    found = [f"memory rises by {risen:.1f} MiB of {held:.0f}"] if risen > TOLERANCE * held else []
    start = rows[int(len(rows) * WARM_UP)]
    for name, spared in (("open_files", 0), ("threads", len(rows) // POOLED), ("children", 0)):
        if rows[-1][name] > start[name] + spared:
            found.append(f"{name}: {start[name]} after the warm-up, {rows[-1][name]} at the end")
    return found


def soak(folder: Path, hours: float, most: int | None = None) -> list[dict[str, Any]]:
    """Rounds until the time is up; a row for each."""
    prepare(shapes(120, 160, 0), folder / "set", shard_size=16)
    write_meshes(folder / "meshes")
    started, rows = time.monotonic(), []
    facts = {"seed": 0, "version": __version__, "commit": commit(), "machine": f"{platform.machine()} cpu"}
    while most is None or len(rows) < most:
        one_round(folder, len(rows))
        minutes = (time.monotonic() - started) / 60
        rows.append({"round": len(rows) + 1, "minutes": round(minutes, 2), **look(), **facts})
        told = ", ".join(f"{name} {rows[-1][name]}" for name in COLUMNS[:6])
        sys.stdout.write(told + "\n")
        sys.stdout.flush()
        if minutes >= 60 * hours:
            break
    return rows


def last() -> list[dict[str, Any]]:
    """The numbers in the rows of the last soak."""
    read = read_rows(RESULTS)
    first = max(place for place, row in enumerate(read) if row["round"] == "1")
    return [{name: float(row[name]) for name in COLUMNS[:6]} for row in read[first:]]


def sentence() -> str:
    """What docs/faults.md says, made from the rows of the last soak."""
    rows = last()
    risen, held = growth(rows)
    return (
        f"{rows[-1]['round']:.0f} rounds in {rows[-1]['minutes']:.0f} minutes: {held:.0f} MiB held after the "
        f"warm-up, {risen:+.1f} MiB by the straight line through them; {rows[-1]['open_files']:.0f} open files, "
        f"{rows[-1]['threads']:.0f} threads and {rows[-1]['children']:.0f} child processes at the end"
    )


def thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a minute, and the last."""
    kept: list[dict[str, Any]] = []
    for row in rows:
        if not kept or row["minutes"] - kept[-1]["minutes"] >= 1 or row is rows[-1]:
            kept.append(row)
    return kept


def main() -> int:
    """Soak, tell, and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder unless given")
    parser.add_argument("--add", action="store_true", help="append rows to results/soak.csv")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=chosen.folder) as folder:
        rows = soak(Path(folder), chosen.hours)
    risen, held = growth(rows)
    sys.stdout.write(
        f"{len(rows)} rounds, {rows[-1]['minutes']:.0f} minutes: memory {held:.0f} MiB, {risen:+.1f} MiB after the "
        f"warm-up; {'; '.join(faults(rows)) or 'nothing grows'}\n"
    )
    if chosen.add:
        add_rows(RESULTS, COLUMNS, thinned(rows))
    return int(bool(faults(rows)))


if __name__ == "__main__":
    sys.exit(main())
