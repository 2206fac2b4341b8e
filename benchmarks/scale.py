"""Memory and time of `prepare`, of one streamed epoch and of `embed` as the set grows; rows in results/scale.csv.

    python benchmarks/scale.py [--shapes 20000 200000] [--points 1024] [--jobs 2] [--out results/scale.csv]

Procedural shapes, so that there is nothing to download. Each step is a command of its own. Its peak memory is the
sum, over the processes it consists of, of the most that each of them ever held (VmHWM of /proc), so it counts what
they share more than once and never less than was used. Ten times the shapes should take ten times the time and the
same memory; `--check` exits 1 where the memory of the largest set is more than a tenth above that of the smallest.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from runs import ROOT, add_rows, commit

CLASSES = 32
COLUMNS = (
    "step",
    "shapes",
    "points",
    "jobs",
    "seconds",
    "shapes_per_second",
    "peak_mib",
    "bytes_per_shape",
    "version",
    "commit",
    "machine",
    "cpu_seconds",
)
HEADROOM = 1.1
"""So many times the memory of the smallest set the largest may take."""

EVERY = 0.05
"""Seconds between two looks at the processes."""


def measured(*arguments: str) -> tuple[dict[str, Any], float, float, float]:
    """The JSON of a verb of the command line, its seconds, CPU seconds, and its processes' peak of memory in MiB."""
    command = [sys.executable, "-m", "pointvae.cli", *arguments, "--json"]
    with tempfile.TemporaryFile("w+") as out:
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.DEVNULL)
        peaks: dict[int, int] = {}
        while process.poll() is None:
            for pid in descendants(process.pid):
                peaks[pid] = max(peaks.get(pid, 0), high_water(pid))
            time.sleep(EVERY)
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if process.returncode:
            raise SystemExit(f"pointvae {' '.join(arguments)}: exit code {process.returncode}")
        out.seek(0)
        text = out.read()
        return json.loads(text) if text.startswith("{") else {}, seconds, cpu, sum(peaks.values()) / 1024


def descendants(pid: int) -> list[int]:
    """A process and all that it started, directly or not."""
    found = [pid]
    for parent in found:
        for tasks in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, tasks.read_text().split())
            except OSError:
                continue
    return found


def high_water(pid: int) -> int:
    """The most resident memory that a process ever had, KiB; 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def measure(shapes: int, points: int, jobs: int, place: Path) -> list[dict[str, Any]]:
    """One row for each step, over a set of so many shapes."""
    dataset, run = str(place / f"set{shapes}"), str(place / f"run{shapes}")
    each = str(shapes // CLASSES)
    prepare = ["prepare", "procedural", dataset, "--shapes_per_class", each, "--points", str(points)]
    train = ["train", dataset, run, "--epochs", "1", "--points", "64", "--loading", "stream"]
    train += ["--model.latent_dim", "32", "--accelerator", "cpu", "--batch_size", "64"]
    steps = {
        "prepare": [*prepare, "--test_fraction", "0", "--jobs", str(jobs)],
        "train": train,
        "embed": ["embed", run, dataset, str(place / f"codes{shapes}.parquet"), "--points", "64"],
    }
    rows = []
    for step, arguments in steps.items():
        result, seconds, cpu, peak = measured(*arguments)
        size = {"prepare": result.get("bytes"), "embed": _size(place / f"codes{shapes}.parquet")}.get(step)
        rows.append(
            {
                "step": step,
                "shapes": shapes,
                "points": points,
                "jobs": jobs if step == "prepare" else 1,
                "seconds": round(seconds, 1),
                "shapes_per_second": round(shapes / seconds, 1),
                "peak_mib": round(peak),
                "bytes_per_shape": round(size / shapes) if size else "",
                "version": _version(),
                "commit": commit(),
                "machine": f"{platform.machine()} cpu",
                "cpu_seconds": round(cpu, 1),
            }
        )
        print(rows[-1], flush=True)
    return rows


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _version() -> str:
    from pointvae.version import __version__

    return __version__


def too_much(rows: list[dict[str, Any]]) -> list[str]:
    """The steps whose memory grows with the set, a line each."""
    lines = []
    for step in dict.fromkeys(row["step"] for row in rows):
        peaks = {row["shapes"]: row["peak_mib"] for row in rows if row["step"] == step}
        few, many = min(peaks), max(peaks)
        if peaks[many] > HEADROOM * peaks[few]:
            lines.append(f"{step}: {peaks[few]} MiB for {few} shapes, {peaks[many]} MiB for {many}")
    return lines


def main() -> int:
    """Measure, append the rows, and with ``--check`` fail where memory grows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--points", type=int, default=1024)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "scale.csv")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    rows = []
    for shapes in options.shapes:
        with tempfile.TemporaryDirectory(prefix="pointvae-scale-") as folder:
            rows += measure(shapes, options.points, options.jobs, Path(folder))
    add_rows(options.out, COLUMNS, rows)
    grown = too_much(rows)
    for line in grown:
        print(f"memory grows with the set: {line}", file=sys.stderr)
    return 1 if options.check and grown else 0


if __name__ == "__main__":
    sys.exit(main())
