"""Kill -9 at random moments, and go on: ``python -m tests.faults.kills --kills 100``.

A process with everything imported forks the workers, each in a session of its own, so that a run takes a second and
not ten. First each case runs to its end: that measures its length, and gives the result that all must have. Then the
whole group is killed at a moment drawn evenly over that length, begun again and killed again, up to four times; after
every kill no file that has its final name may be torn, and at last it is let run to its end, to the same bytes. A
kill that came too late is not counted. The moments are drawn from the seed and the name of the case.
"""

import argparse
import contextlib
import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.cases import Case, cases, sources
from tests.faults.looking import differences, leftovers, torn

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "faults.csv"
COLUMNS = ["verb", "case", "kills_tried", "kills_survived", "run_seconds", "seed", "version", "commit"]
WARM = ("lightning.pytorch", "matplotlib.pyplot", "pyarrow.parquet", "sklearn.svm", "torch.utils.tensorboard")
WARM += ("pointvae.evaluation.runs", "pointvae.training.pictures", "pointvae.training.refine")
CHAIN = 4  # kills of one run before it may come to its end
PATIENCE = 120.0  # seconds after which a run is taken to hang


@dataclass
class Tally:
    """What became of the kills of one case."""

    tried: int = 0
    survived: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def warm() -> None:
    """Import what the workers need, and start no thread."""
    for name in WARM:
        import_module(name)
    import torch

    from pointvae.data.order import Order

    torch.set_num_threads(1)
    Order.__init__.__kwdefaults__.update(window=16, lanes=3)  # as of a set that is far larger


def start(case: Case, root: Path, folder: Path) -> int:
    """A process, the first of a session, that does a case's work in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    number = os.fork()
    if number:
        return number
    code = 70
    try:
        os.setsid()
        log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for caught in (signal.SIGINT, signal.SIGTERM):
            signal.signal(caught, signal.SIG_DFL)
        case.begin(root, folder)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def finish(number: int, seconds: float) -> int | None:
    """The exit status of a process, waited for so long; None where it still runs."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(number, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(min(0.002, max(0.0, until - time.monotonic())))
    return None


def kill(number: int) -> None:
    """End a process and all of its group, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(number, signal.SIGKILL)
    os.waitpid(number, 0)


def measured(case: Case, root: Path, work: Path) -> tuple[dict[str, Any], float]:
    """What a case makes when it is let alone, and how long it takes."""
    folder = work / f"{case.name}-whole"
    began = time.monotonic()
    number = start(case, root, folder)
    code = finish(number, PATIENCE)
    seconds = time.monotonic() - began
    if code is None:
        kill(number)
    if code != 0:
        raise RuntimeError(f"{case.name}: exit {code}:\n{(folder / 'log.txt').read_text()[-3000:]}")
    made = case.made(folder)
    shutil.rmtree(folder)
    return made, seconds


def campaign(
    case: Case, kills: int, seed: int, whole: dict[str, Any], seconds: float, root: Path, work: Path
) -> Tally:
    """Kill a case so often, and compare every end with the whole."""
    rng = np.random.default_rng([seed, zlib.crc32(case.name.encode())])
    tally, chain = Tally(seconds=seconds), 0
    while tally.tried < kills and chain < 4 * kills + 4:
        chain += 1
        folder, cut, ended = work / f"{case.name}-{chain}", 0, False
        problems: list[str] = []
        moments: list[float] = []
        while not ended and cut < min(CHAIN, kills - tally.tried):
            moments.append(float(rng.uniform(0, seconds)))
            number = start(case, root, folder)
            code = finish(number, moments[-1])
            ended = code is not None
            if ended and code:
                problems.append(f"resumed, it ends with {code}")
            if not ended:
                kill(number)
                cut += 1
                problems += torn(folder)
        if not ended:
            number = start(case, root, folder)
            code = finish(number, PATIENCE)
            if code is None:
                kill(number)
            if code != 0:
                problems.append(f"resumed, it {'hangs' if code is None else f'ends with {code}'}")
        if not problems:
            made = case.made(folder)
            problems = differences(whole, made)
            problems += [f"{name} is left behind" for name in leftovers(folder)]
        tally.tried += cut
        tally.survived += 0 if problems else cut
        if problems:
            told = ", ".join(f"{moment:.3f}" for moment in moments)
            tail = (folder / "log.txt").read_text()[-1500:] if (folder / "log.txt").is_file() else ""
            tally.faults.append(f"{case.name}, killed after {told} s: {'; '.join(problems)}\n{tail}")
        shutil.rmtree(folder)
    return tally


def shared(chosen: list[Case], kills: int) -> dict[str, int]:
    """How many kills each case gets, of so many over train and prepare."""
    share = {case.name: case.kills * kills / 100 for case in chosen}
    counts = {name: int(value) for name, value in share.items()}
    counted = [case.name for case in chosen if case.verb in ("train", "prepare")]
    wanted = min(kills, round(sum(share[name] for name in counted))) - sum(counts[name] for name in counted)
    for name in sorted(counted, key=lambda name: counts[name] - share[name])[: max(0, wanted)]:
        counts[name] += 1
    return counts


def run(kills: int, seed: int, only: list[str], told: bool = True) -> dict[str, Tally]:
    """The campaign over all cases, or over those whose names begin so."""
    chosen = [case for case in cases() if not only or case.name.startswith(tuple(only))]
    counts = shared(chosen, kills) if not only else {case.name: max(1, kills // len(chosen)) for case in chosen}
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory(prefix="kills-") as place:
        root, work = Path(place) / "sources", Path(place) / "work"
        root.mkdir()
        maker = Case("sources", "", lambda root, folder: sources(root), lambda folder: {}, 0)
        measured(maker, root, work)  # in a process of its own: this one must have no threads
        wholes: dict[str, tuple[dict[str, Any], float]] = {}
        for case in chosen:
            if not counts[case.name]:
                continue
            like = next((other for other in cases() if other.name == case.like), case)
            if like.name not in wholes:
                wholes[like.name] = measured(like, root, work)
            whole, seconds = wholes[like.name]
            tally = tallies[case.name] = campaign(case, counts[case.name], seed, whole, seconds, root, work)
            if told:
                sys.stdout.write(
                    f"{case.name:<24} {tally.survived:>3} of {tally.tried:>3} kills survived, "
                    f"a run of {seconds:.1f} s\n"
                )
                sys.stdout.writelines(f"    {fault}\n" for fault in tally.faults)
                sys.stdout.flush()
    return tallies


def write(tallies: dict[str, Tally], seed: int, path: Path) -> None:
    """The rows of all cases, over those that are there."""
    from pointvae.version import __version__

    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    verbs = {case.name: case.verb for case in cases()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for name, tally in tallies.items():
            counts = [tally.tried, tally.survived, f"{tally.seconds:.1f}"]
            rows.writerow([verbs[name], name, *counts, seed, __version__, commit])


def table() -> str:
    """The table of docs/faults.md, made from the rows."""
    with RESULTS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = ["| verb | cases | kills | survived |", "|---|---|---|---|"]
    for verb in dict.fromkeys(row["verb"] for row in rows):
        of = [row for row in rows if row["verb"] == verb]
        tried, survived = (sum(int(row[name]) for row in of) for name in ("kills_tried", "kills_survived"))
        lines.append(f"| `{verb}` | {len(of)} | {tried} | {survived} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="over train and prepare; the others get theirs beside")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="beginnings of the names of cases")
    parser.add_argument("--write", type=Path, nargs="?", const=RESULTS, help="write the rows, to results/faults.csv")
    parser.add_argument("--table", action="store_true", help="print the table of docs/faults.md and do nothing else")
    chosen = parser.parse_args()
    if chosen.table:
        sys.stdout.write(table() + "\n")
        return 0
    began = time.monotonic()
    warm()
    tallies = run(chosen.kills, chosen.seed, chosen.only)
    verbs = {case.name: case.verb for case in cases()}
    for verb in dict.fromkeys(verbs[name] for name in tallies):
        of = [tally for name, tally in tallies.items() if verbs[name] == verb]
        sys.stdout.write(
            f"{verb:<10} {sum(t.survived for t in of):>4} of {sum(t.tried for t in of):>4} kills survived\n"
        )
    tried, survived = (sum(getattr(t, name) for t in tallies.values()) for name in ("tried", "survived"))
    sys.stdout.write(f"{survived} of {tried} kills survived, seed {chosen.seed}, {time.monotonic() - began:.0f} s\n")
    if chosen.write is not None:
        write(tallies, chosen.seed, chosen.write)
    return int(survived < tried or any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
