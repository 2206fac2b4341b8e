"""All campaigns in one table, made from their rows: ``python -m tests.faults.summary``.

With ``--of FOLDER`` rows of that folder stand in for those of results/, where it has any: `make test-faults` shows
what it has just found, beside the last soak. ``--page`` puts the table of results/ into docs/faults.md.
"""

import argparse
import csv
import sys
from pathlib import Path

from tests.faults.kills import RESULTS as KILLS
from tests.faults.kills import ROOT

PAGE = ROOT / "docs" / "faults.md"
RESULTS = KILLS.parent
GUIDED = " (guided)"
HEAD = ["campaign", "tried", "came through", "refused by name", "contained", "open"]


def read(name: str, folder: Path) -> list[dict[str, str]]:
    """The rows of a campaign, of results/ where the folder has none."""
    path = folder / name if (folder / name).is_file() else RESULTS / name
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def kills(folder: Path) -> list[list[str]]:
    """A line for each verb that was killed: it came through where the end was the same, byte for byte."""
    rows, lines = read("faults.csv", folder), []
    for verb in dict.fromkeys(row["verb"] for row in rows):
        of = [row for row in rows if row["verb"] == verb]
        tried, survived = (sum(int(row[name]) for row in of) for name in ("kills_tried", "kills_survived"))
        lines.append([f"kill -9 of `{verb}`", f"{tried:,} kills", f"{survived:,}", "", "", f"{tried - survived:,}"])
    return lines


def files(folder: Path) -> list[list[str]]:
    """Mutated and guided files: one came through where it was read, to finite numbers."""
    rows = read("fuzz.csv", folder)
    names = ("inputs", "accepted", "refused", "contained", "findings_open")

    def sums(of: list[dict[str, str]]) -> list[str]:
        return [f"{sum(int(row[name]) for row in of):,}" for name in names]

    mutated = [row for row in rows if not row["reader"].endswith(GUIDED)]
    guided = [row for row in rows if row["reader"].endswith(GUIDED)]
    inputs, *counts = sums(mutated)
    lines = [[f"mutated files, {len(mutated)} readers", f"{inputs} files", *counts]]
    if guided:  # what these readers leave is not refused yet: trimesh reads it
        inputs, came, left, _, found = sums(guided)
        lines.append(
            [f"guided files, {len(guided)} plain readers", f"{inputs} files, {left} left", came, "", "", found]
        )
    return lines


def soak() -> list[str]:
    """The last soak: its rounds came through where nothing grew."""
    from soak import faults, last

    rows = last()
    rounds, grown = int(rows[-1]["round"]), len(faults(rows))
    told = f"{rounds:,} rounds in {rows[-1]['minutes']:.0f} minutes"
    return ["soak", told, f"{0 if grown else rounds:,}", "", "", f"{grown:,}"]


def table(folder: Path = RESULTS) -> str:
    """The summary in Markdown."""
    lines = [HEAD, *kills(folder), *files(folder), soak()]
    made = [f"| {' | '.join(cell or '–' for cell in line)} |" for line in lines]
    return "\n".join([made[0], "|---" * len(HEAD) + "|", *made[1:]])


BLOCKS = {"faults": table}
"""What docs/faults.md shows of it."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sys.path.insert(0, str(ROOT / "benchmarks"))  # for `soak` and `blocks`
    parser.add_argument("--of", type=Path, default=RESULTS, help="a folder of rows")
    parser.add_argument("--page", action="store_true", help="write docs/faults.md")
    chosen = parser.parse_args()
    if chosen.page:
        from blocks import fill

        fill(PAGE, BLOCKS)
    for name in ("faults.csv", "fuzz.csv", "soak.csv"):
        here = name != "soak.csv" and (chosen.of / name).is_file()
        sys.stdout.write(f"rows: {(chosen.of if here else RESULTS) / name}\n")
    sys.stdout.write(f"{table(chosen.of)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
