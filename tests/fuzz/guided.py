"""Coverage-guided fuzzing of the readers in plain Python, by atheris: ``python -m tests.fuzz.guided --seconds 300``.

Its inputs grow towards code that none has reached; what the plain part reads of one, trimesh must read too. A reader
is done after so many inputs or seconds, or at the first input that breaks a property, which is kept in a folder. A
line is printed for each reader; ``--write`` puts rows into results/fuzz.csv. The same seed gives the same inputs; how
many of them fit into a time is the machine's affair.
"""

import argparse
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.campaign import RESULTS, ROOT, Tally, write

READERS = ("off", "obj", "ply", "stl")
"""Those with a part in plain Python, which is guided; what that leaves is read by trimesh, in a process apart."""

STATE = struct.Struct("<2Q")
"""What the process that guides keeps in a file: inputs that the plain part read, and those that it left."""


def guide(suffix: str, runs: int, seconds: int, seed: int, keep: Path) -> Tally:
    """Let the inputs of a reader grow.

    Args:
        suffix: the reader.
        runs: how many at most; -1 for any number.
        seconds: how long at most; 0 for any time.
        seed: of the inputs.
        keep: where an input that breaks a property is put.

    Raises:
        RuntimeError: atheris did not come to its end.
    """
    keep.mkdir(parents=True, exist_ok=True)
    tally, begun = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-guided-") as folder:
        state = Path(folder) / "state"
        state.write_bytes(bytes(STATE.size))
        numbers = map(str, (runs, seconds, seed))
        command = [sys.executable, "-m", "tests.fuzz.guiding", suffix, *numbers, str(state), f"{keep}/{suffix}--"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
        said = done.stderr.decode(errors="replace")
        tally.accepted, tally.refused = STATE.unpack(state.read_bytes())
    kept = re.search(r"Test unit written to (\S+)", said)
    if done.returncode and kept:
        why = re.findall(r"Uncaught Python exception: ===\n(.*)|==\d+== ?(ERROR: .*)", said)
        tally.findings.append({"number": Path(kept[1]).name, "what": "".join(why[0] if why else ""), "ended": True})
    elif done.returncode or "Done " not in said:
        raise RuntimeError(f"{suffix}: the fuzzer failed:\n{said[-3000:]}")
    tally.inputs, tally.seconds = tally.accepted + tally.refused + len(tally.findings), time.monotonic() - begun
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=READERS, choices=READERS)
    parser.add_argument("--inputs", type=int, default=-1, help="to each reader, at most")
    parser.add_argument("--seconds", type=int, default=300, help="for each reader, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "fuzz", help="a folder for findings")
    parser.add_argument("--write", type=Path, nargs="?", const=RESULTS, help="write the rows, to results/fuzz.csv")
    chosen = parser.parse_args()
    tallies: dict[str, Tally] = {}
    for suffix in chosen.only:
        tally = guide(suffix, chosen.inputs, chosen.seconds, chosen.seed, chosen.keep.resolve())
        tallies[f"{suffix} (guided)"] = tally
        sys.stdout.write(
            f"{suffix:<4} {tally.inputs:>9,} guided inputs: {tally.accepted:>7,} read, {tally.refused:>9,} left, "
            f"{len(tally.findings)} findings, {tally.seconds:6.1f} s\n"
        )
        sys.stdout.writelines(f"    {found['number']}: {found['what']}\n" for found in tally.findings)
        sys.stdout.flush()
    if chosen.write is not None:
        write(tallies, chosen.seed, chosen.write)
    return int(any(tally.findings for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
