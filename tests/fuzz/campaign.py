"""Mutated files by the thousand for every reader: ``python -m tests.fuzz.campaign --inputs 100000``.

Prints a line for each reader; ``--write`` puts the rows into results/fuzz.csv. The inputs are made from the seed and
their number alone, so ``--only off --first 17 --inputs 1 --keep FOLDER`` makes the 17th of .off again.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "fuzz.csv"
MADE = ROOT / "build" / "faults"
"""Where `make test-faults` puts the rows that it makes."""

BATCH = 2000
COLUMNS = [
    "reader",
    "inputs",
    "accepted",
    "refused",
    "contained",
    "findings_open",
    "findings_mended",
    "seed",
    "seconds",
]


@dataclass
class Tally:
    """What became of the inputs of one reader.

    Attributes:
        contained: inputs that ended, hung or swelled a reader which every verb runs in a process apart.
        findings: the numbers of the inputs for which something held that must not, and what.
    """

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    contained: int = 0
    findings: list[dict[str, Any]] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


def run(name: str, inputs: int, seed: int, first: int = 0) -> Tally:
    """Read so many inputs; one that ends its process costs itself."""
    tally, start = Tally(), time.monotonic()
    last = first + inputs
    for start_of_batch in range(first, last, BATCH):
        _batch(name, seed, start_of_batch, min(start_of_batch + BATCH, last), tally)
    tally.seconds = time.monotonic() - start
    return tally


def _batch(name: str, seed: int, first: int, last: int, tally: Tally) -> None:
    from tests.fuzz.targets import TARGETS
    from tests.fuzz.worker import STATE

    with tempfile.NamedTemporaryFile(prefix="fuzz-at-") as at:
        at.write(STATE.pack(first, 0, 0, 0))
        at.flush()
        command = [sys.executable, "-m", "tests.fuzz.worker", name, *map(str, (seed, first, last)), at.name]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
        number, accepted, refused, memory = STATE.unpack(Path(at.name).read_bytes())
    tally.inputs += number - first
    tally.accepted += accepted
    tally.refused += refused
    tally.contained += memory
    if done.returncode or number < last:
        raise RuntimeError(f"{name}: the worker failed at input {number}:\n{done.stderr.decode()[-3000:]}")
    for told in map(json.loads, done.stdout.splitlines()):
        contained = told["ended"] and TARGETS[name].apart
        tally.contained += contained
        (tally.ends if contained else tally.findings).append(told)


def shares(inputs: int, only: list[str]) -> dict[str, int]:
    """How many inputs each reader gets of so many in all."""
    from tests.fuzz.targets import TARGETS

    chosen = {name: target.share for name, target in TARGETS.items() if not only or name in only}
    total = sum(chosen.values())
    return {name: -(-inputs * share // total) for name, share in chosen.items()}


def mended(name: str) -> int:
    """Findings of a reader that are kept as files, and read by a test; those of guided inputs are named so."""
    reader, *guided = name.split(" ")
    places = [Path(__file__).parent / place for place in ("findings", "contained")]
    kept = [path for place in places for path in place.glob(f"{reader}--*")]
    return sum(path.name.startswith(f"{reader}--guided-") == bool(guided) for path in kept)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that are findings")
    parser.add_argument("--write", type=Path, nargs="?", const=RESULTS, help="write the rows, to results/fuzz.csv")
    chosen = parser.parse_args()
    counts = shares(chosen.inputs, chosen.only)
    tallies: dict[str, Tally] = {}
    start = time.monotonic()
    with ThreadPoolExecutor(chosen.jobs) as pool:
        running = {name: pool.submit(run, name, count, chosen.seed, chosen.first) for name, count in counts.items()}
        for name, future in running.items():
            tally = tallies[name] = future.result()
            sys.stdout.write(
                f"{name:<12} {tally.inputs:>7,} inputs: {tally.accepted:>6,} accepted, {tally.refused:>6,} refused, "
                f"{tally.contained:>4} contained, {len(tally.findings):>4} findings, {tally.seconds:6.1f} s\n"
            )
            for what, number in {**_kinds(tally.ends), **_kinds(tally.findings)}.items():
                sys.stdout.write(f"    input {number}: {what}\n")
            sys.stdout.flush()
            if chosen.keep is not None:
                _keep(name, chosen.seed, tally, chosen.keep)
    total, found = sum(t.inputs for t in tallies.values()), sum(len(t.findings) for t in tallies.values())
    kept = sum(mended(name) for name in tallies)
    sys.stdout.write(
        f"{total:,} inputs to {len(tallies)} readers, seed {chosen.seed}, {time.monotonic() - start:.0f} s: "
        f"{found} findings, {kept} mended before\n"
    )
    if chosen.write is not None:
        write(tallies, chosen.seed, chosen.write)
    return int(found > 0)


def _kinds(findings: list[dict[str, Any]]) -> dict[str, int]:
    kinds: dict[str, int] = {}
    for finding in findings:
        kinds.setdefault(finding["what"][:110], finding["number"])
    return dict(list(kinds.items())[:12])


def _keep(name: str, seed: int, tally: Tally, folder: Path) -> None:
    from tests.fuzz.targets import TARGETS, produce

    folder.mkdir(parents=True, exist_ok=True)
    target = TARGETS[name]
    sound = target.seeds()
    for number in {**_kinds(tally.ends), **_kinds(tally.findings)}.values():
        file = f"{name}--{number}--{Path(target.file).name}"
        (folder / file).write_bytes(produce(target, sound, f"{name}/{seed}/{number}"))


def write(tallies: dict[str, Tally], seed: int, path: Path) -> None:
    """The rows of these readers; those of readers that were not run stay."""
    from pointvae.version import __version__

    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[Any]] = {}
    if path.is_file():
        with path.open(newline="") as file:
            rows = {row[0]: row for row in list(csv.reader(file))[1:]}
    for name, t in tallies.items():
        row = [name, t.inputs, t.accepted, t.refused, t.contained, len(t.findings), mended(name), seed]
        rows[name] = [*row, f"{t.seconds:.1f}", commit, __version__]
    with path.open("w", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow([*COLUMNS, "commit", "version"])
        out.writerows(rows.values())


if __name__ == "__main__":
    sys.exit(main())
