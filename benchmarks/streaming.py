"""How fast and in how much memory an epoch's batches come, from memory and from shards.

    python benchmarks/streaming.py [--folder FOLDER] [--shards 40 160] [--repeats 3] [--add | --table]

Shards of 512 clouds of 2,048 points are written to FOLDER, and for each number of shards one epoch of batches of 32
is gone through, without a model, by a process of its own each time, in turns: from memory (`memory`), and streamed
(`stream`). There is no model to wait for, so the ratio is the worst there is. Rates by the clock suffer from what
else the machine does; those by the processor's time do not. `--add` appends the rows to results/streaming.csv too;
`--table` prints the table of docs/streaming.md.
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

import numpy as np

from pointvae.data import shards
from pointvae.data.order import Order
from pointvae.data.reading import SplitShards
from pointvae.data.stream import Stream
from pointvae.training.batches import EpochLoader, from_memory
from pointvae.version import __version__
from runs import ROOT, add_rows, commit, read_rows

RESULTS = ROOT / "results" / "streaming.csv"
ROWS, POINTS, BATCH = 512, 2048, 32
COLUMNS = ["loading", "shapes", "points", "batch", "repeat", "shapes_per_second"]
COLUMNS += ["shapes_per_cpu_second", "reading_seconds", "peak_mib"]
COLUMNS += ["protocol", "seed", "version", "commit", "machine"]


def split(folder: Path, count: int) -> SplitShards:
    """So many shards of the folder, which are written where they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index in range(count):
        files.append(f"train-{index:05d}.parquet")
        if not (folder / files[-1]).is_file():
            points = np.random.default_rng(index).normal(size=(ROWS, POINTS, 3)).astype(np.float32)
            shards.write_shard(folder / files[-1], shards.Rows(points, [f"s{i}" for i in range(ROWS)], "normal"))
    return SplitShards(folder, tuple(files), (ROWS,) * count, POINTS)


def measure(folder: Path, count: int, loading: str) -> dict[str, Any]:
    """One epoch in this process: shapes a second, seconds of reading before the first batch, and peak memory."""
    read = split(folder, count)
    order = Order(read.rows)
    started, used = time.perf_counter(), time.process_time()
    if loading == "memory":
        points = read.take(np.arange(len(order)))
        loader = EpochLoader(order, lambda share: from_memory(points, order, 0, 1, share), BATCH)
    else:
        loader = EpochLoader(order, lambda share: lambda epoch, start: iter(Stream(read, order, share)), BATCH)
    batches = iter(loader)
    first = next(batches)
    ready = time.perf_counter()
    if loading == "memory":
        used = time.process_time()  # reading is done before an epoch there, and in it here
    total = float(first[0, 0, 0]) + sum(float(batch[0, 0, 0]) for batch in batches)
    seconds, used = time.perf_counter() - ready, time.process_time() - used
    assert np.isfinite(total)
    return {
        "loading": loading,
        "shapes": len(order),
        "points": POINTS,
        "batch": BATCH,
        "shapes_per_second": round((len(order) - BATCH) / seconds),
        "shapes_per_cpu_second": round(len(order) / used),
        "reading_seconds": round(ready - started, 2),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def table() -> str:
    """The table of the page: means over repeats."""
    lines = [
        "| loading | shapes | shapes a second | shapes a second of one core | peak memory |",
        "|---|---:|---:|---:|---:|",
    ]
    rows = read_rows(RESULTS)
    for shapes, loading in sorted({(int(row["shapes"]), row["loading"]) for row in rows}):
        mine = [row for row in rows if row["loading"] == loading and int(row["shapes"]) == shapes]
        rate, cpu, peak = (
            sum(float(row[name]) for row in mine) / len(mine)
            for name in ("shapes_per_second", "shapes_per_cpu_second", "peak_mib")
        )
        lines.append(f"| `{loading}` | {shapes:,} | {rate:,.0f} | {cpu:,.0f} | {peak:,.0f} MiB |")
    return "\n".join(lines)


def main() -> None:
    """Measure in processes of their own, in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--shards", type=int, nargs="+", default=[40, 160])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--add", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--measure", choices=["memory", "stream"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.folder, given.shards[0], given.measure)))
        return
    if given.table:
        print(table())
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        split(folder, max(given.shards))
        rows = []
        for count in given.shards:
            for repeat in range(given.repeats):
                for loading in ("memory", "stream"):
                    command = [sys.executable, __file__, "--folder", str(folder), "--shards", str(count)]
                    out = subprocess.run([*command, "--measure", loading], check=True, capture_output=True, text=True)
                    made = json.loads(out.stdout) | {"repeat": repeat, "protocol": "streaming/1", "seed": 0}
                    made |= {"version": __version__, "commit": commit(), "machine": f"{platform.machine()} cpu"}
                    print(json.dumps(made))
                    rows.append(made)
    if given.add:
        add_rows(RESULTS, COLUMNS, rows)


if __name__ == "__main__":
    main()
