"""Ours against the usual forms: ratios of time and of memory, each row measured in one run.

    python benchmarks/speed.py                  # every row; appends to results/speed.csv and writes the table's page
    python benchmarks/speed.py --check          # every row with its target and the ratio in results/speed.csv
    python benchmarks/speed.py --rows chamfer mixture --turns 9

Each row has a process of its own, so that none depends on what ran before it. Both sides work on the same inputs,
turn by turn in alternation, on one thread, after a turn that does not count (but for works of minutes). Time is CPU
time, of child processes too, which a busy neighbour moves less than the clock; the figure is the medians' ratio.
Memory is what a side needs above what it had before it began: the peak of a process of its own.

``--check`` keeps no rows. Its exit code is 1 where a target is missed, or where a ratio has fallen below 60 % of the
one that is stored for such a machine: a regression. An absolute time is no figure here.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from blocks import fill
from pointvae.version import __version__
from runs import ROOT, add_rows, commit, cpu_seconds, read_rows
from speed_row import Row
from speed_rows import ROWS

COLUMNS = (
    "row",
    "work",
    "against",
    "ratio",
    "target",
    "ours_ms",
    "theirs_ms",
    "memory_ratio",
    "memory_target",
    "ours_mib",
    "theirs_mib",
    "bound_share",
    "version",
    "commit",
    "machine",
)
KEPT = 0.6
"""A ratio below this share of the stored one is a regression; what is less moves with the machine's other work."""
RESULTS, PAGE = ROOT / "results" / "speed.csv", ROOT / "docs" / "speed.md"


def measure(row: Row, turns: int) -> dict[str, Any]:
    """The figures of one row."""
    sides = row.make()
    check = sides.pop("check", lambda: "")
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    warming = turns > 1
    for turn in range(turns + warming):
        for name, work in sides.items():
            before = cpu_seconds()
            work()
            if turn >= warming:
                seconds[name].append(cpu_seconds() - before)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratio = median["theirs"] * row.scale / median["ours"]
    result = {
        "row": row.name,
        "work": row.work,
        "against": row.against + check(),
        "ratio": f"{ratio:.2f}",
        "target": row.target or "",
        "ours_ms": f"{median['ours'] * 1e3:.4g}",
        "theirs_ms": f"{median['theirs'] * row.scale * 1e3:.4g}",
        "memory_target": row.memory or "",
        "bound_share": f"{median['bound'] / median['ours']:.2f}" if "bound" in median else "",
        "machine": f"{platform.machine()} cpu",
        "commit": commit(),
        "version": __version__,
    }
    if row.memory:
        ours, theirs = (alone("--peak", row.name, side) for side in ("ours", "theirs"))
        memory = {"ours_mib": f"{ours:.4g}", "theirs_mib": f"{theirs:.4g}", "memory_ratio": f"{theirs / ours:.1f}"}
        result |= memory
    return result


def alone(*arguments: str) -> Any:
    """What this script answers in a process of its own."""
    out = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(out.stdout)


def peak_here(row: Row, side: str) -> float:
    """MiB by which the high-water mark of this process rises while one side works, after a turn to warm up."""
    work = row.make()[side]
    work()
    Path("/proc/self/clear_refs").write_text("5")  # the mark falls to what is held now
    before = _status("VmRSS")
    work()
    return max(_status("VmHWM") - before, 1024) / 1024  # less is noise of the allocator


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def missed(result: dict[str, Any]) -> list[str]:
    """The targets that a row does not reach."""
    pairs = (("ratio", "target"), ("memory_ratio", "memory_target"))
    return [name for name, goal in pairs if result.get(goal) and float(result[name]) < float(result[goal])]


def regressed(result: dict[str, Any], stored: list[dict[str, str]]) -> str:
    """What is said of a row whose ratio is far below the last one stored for such a machine; else empty."""
    same = [row for row in stored if all(row[name] == result[name] for name in ("row", "machine"))]
    if not same or float(result["ratio"]) >= KEPT * float(same[-1]["ratio"]):
        return ""
    share, (now, then) = KEPT * 100, (result, same[-1])
    return f"REGRESSION: {now['ratio']} is below {share:.0f} % of the {then['ratio']} stored at {then['commit']}"


def table(rows: list[dict[str, Any]]) -> str:
    """The table of docs/speed.md."""
    lines = [
        "| work | against | times as fast | target | memory, theirs / ours | target | share of the bound |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        names = ("work", "against", "ratio", "target", "memory_ratio", "memory_target", "bound_share")
        lines.append("| " + " | ".join(str(row.get(name, "")) for name in names) + " |")
    return "\n".join(lines)


def newest() -> list[dict[str, str]]:
    """The last measurement of each row, in the order of `ROWS`."""
    last = {row["row"]: row for row in read_rows(RESULTS)}
    return [last[row.name] for row in ROWS if row.name in last]


BLOCKS = {"speed": lambda: table(newest())}
"""The table of docs/speed.md."""


def main() -> int:
    """Measure, show, and with ``--check`` fail where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=[row.name for row in ROWS], help="only these")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="exit with 1 where a row falls behind; keep no rows")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    named = {row.name: row for row in ROWS}
    if options.measure:
        print(json.dumps(measure(named[options.measure], options.turns)))
        return 0
    if options.peak:
        print(json.dumps(peak_here(named[options.peak[0]], options.peak[1])))
        return 0
    failed, stored = False, read_rows(RESULTS)
    for row in ROWS:
        if options.rows and row.name not in options.rows:
            continue
        why = row.absent()
        if why:
            print(f"{row.name}: left out, {why}", flush=True)
            failed |= bool(row.target)
            continue
        result = alone("--measure", row.name, "--turns", str(min(options.turns, row.turns)))
        if not options.check:
            add_rows(RESULTS, COLUMNS, [result])
        faults = [f"MISSED: {name}" for name in missed(result)]
        if options.check:
            faults += filter(None, [regressed(result, stored)])
        failed |= bool(faults)
        print(told(row, result) + "".join(f"  {fault}" for fault in faults), flush=True)
    if not options.check:
        fill(PAGE, BLOCKS)
    return 1 if options.check and failed else 0


def told(row: Row, result: dict[str, Any]) -> str:
    """One line about a row."""
    memory = result.get("memory_ratio")
    return (
        f"{row.name}: {result['ratio']} times as fast as {result['against']} (target {row.target or 'none'})"
        + (f", 1/{memory} of its memory (target 1/{row.memory})" if memory else "")
        + (f", {result['bound_share']} of it the bound" if result["bound_share"] else "")
    )


if __name__ == "__main__":
    sys.exit(main())
