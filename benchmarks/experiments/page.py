"""What docs/experiments.md shows of results/experiments.csv.

python benchmarks/experiments/page.py           print the tables
python benchmarks/experiments/page.py --write   put them into docs/experiments.md, between their comments
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from blocks import fill
from pointvae.evaluation.significance import over_seeds
from questions import TABLES, Table
from runs import ROOT, read_rows

RESULTS = ROOT / "results" / "experiments.csv"
PAGE = ROOT / "docs" / "experiments.md"
BUDGET = "cpu-hour"
NOT_YET = "*Not run yet.*"

ACCURACIES = {
    "mean, aligned": ("mean_none", 100, 1),
    "mean, turned": ("mean_z", 100, 1),
    "encoder, aligned": ("encoder_none", 100, 1),
    "encoder, turned": ("encoder_z", 100, 1),
}
HARM = {
    "mean, corrupted": ("mean_corrupted", 100, 1),
    "encoder, corrupted": ("encoder_corrupted", 100, 1),
    "mean, attacked": ("mean_attacked", 100, 1),
    "mean, noise": ("mean_noised", 100, 1),
}
LATENTS = {
    "gap": ("consistency_gap", 1, 1),
    "active": ("active_units", 1, 0),
    "mean s": ("posterior_std", 1, 2),
    "KL": ("kl", 1, 1),
    "bound": ("bound", 1, 3),
    "CD": ("cd_l2_mean", 1, 4),
}
Columns = dict[str, tuple[str, float, int]]


def rows_of(budget: str = BUDGET, results: Path = RESULTS) -> dict[tuple[str, str], dict[str, str]]:
    """The rows of a budget, by cell and seed; of a row made twice the first."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in read_rows(results):
        if row["budget"] == budget:
            found.setdefault((row["cell"], row["seed"]), row)
    return found


def figure(values: Sequence[float], digits: int, sign: str = "") -> str:
    """Mean ± standard deviation over seeds."""
    if not values:
        return "-"
    told = over_seeds(values)
    spread = told["standard_deviation"]
    return f"{told['mean']:{sign}.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def table_of(table: Table, columns: Columns, budget: str = BUDGET) -> str:
    """One line for each cell as Markdown, the untrained encoder first."""
    rows = rows_of(budget)
    lines = [f"| training | {' | '.join(columns)} | seeds |", "|---" * (len(columns) + 2) + "|"]
    for cell in ("untrained", *table.cells):
        mine = [row for (name, _), row in rows.items() if name == cell]
        cells = [
            figure([factor * float(row[name]) for row in mine if row[name]], digits)
            for name, factor, digits in columns.values()
        ]
        lines.append(f"| {cell} | {' | '.join(cells)} | {len(mine)} |")
    return "\n".join(lines)


def differences(pair: tuple[str, str], column: str, budget: str = BUDGET) -> list[float]:
    """A cell minus its control, seed by seed, in points."""
    rows = rows_of(budget)
    cell, control = pair
    seeds = sorted({s for c, s in rows if c == cell} & {s for c, s in rows if c == control}, key=int)
    both = [(rows[cell, seed][column], rows[control, seed][column]) for seed in seeds]
    return [100 * (float(a) - float(b)) for a, b in both if a and b]


def verdict(values: Sequence[float], matters: float) -> str:
    """What the rule laid down on the page says of some differences."""
    if len(values) < 3:
        return "too few seeds"
    low, high = over_seeds(values)["interval"]
    if low > 0 and sum(values) / len(values) >= matters:
        return "better"
    if high < 0 and -sum(values) / len(values) >= matters:
        return "worse"
    return "no difference that matters" if -matters < low and high < matters else "open"


def interval(values: Sequence[float]) -> str:
    """The 95 % interval of the mean of some differences."""
    if len(values) < 2:
        return "-"
    low, high = over_seeds(values)["interval"]
    return f"{low:+.1f} to {high:+.1f}"


def paired_of(table: Table, budget: str = BUDGET) -> str:
    """Each cell against its control as Markdown."""
    lines = [
        f"| training minus control | {' | '.join(ACCURACIES)} | 95 % interval of the judged | verdict |",
        "|---" * (len(ACCURACIES) + 3) + "|",
    ]
    for pair in table.pairs:
        told = [figure(differences(pair, name, budget), 1, "+") for name, _, _ in ACCURACIES.values()]
        judged = differences(pair, table.judged, budget)
        lines.append(
            f"| {pair[0]} - {pair[1]} | {' | '.join(told)} | {interval(judged)} | {verdict(judged, table.matters)} |"
        )
    if table.name == "bases":
        pooled = [
            [d for pair in cr_pairs() for d in differences(pair, name, budget)] for name, _, _ in ACCURACIES.values()
        ]
        judged = [d for pair in cr_pairs() for d in differences(pair, table.judged, budget)]
        told = [figure(values, 1, "+") for values in pooled]
        lines.append(
            f"| all four, cr - aug | {' | '.join(told)} | {interval(judged)} | {verdict(judged, table.matters)} |"
        )
    return "\n".join(lines)


def cr_pairs() -> list[tuple[str, str]]:
    """CR against augmentation on every base."""
    return [pair for pair in TABLES["bases"].pairs if pair[0].endswith("+cr") and pair[1].endswith("+aug")]


def begun(table: Table, budget: str = BUDGET) -> bool:
    """Whether one of the table's own trainings has a row: those that it shares with no other."""
    shared = {cell for other in TABLES.values() if other is not table for cell in other.cells}
    own = {cell for cell in table.cells if cell not in shared} or set(table.cells)
    return any(cell in own for cell, _ in rows_of(budget))


def _made(table: Table, maker: Callable[[Table], str]) -> str:
    return maker(table) if begun(table) else NOT_YET


def _accuracies(table: Table) -> str:
    return table_of(table, ACCURACIES | (HARM if table.harm else {}))


def _latents(table: Table) -> str:
    return table_of(table, LATENTS)


BLOCKS: dict[str, Callable[[], str]] = {
    f"experiments-{name}{more}": partial(_made, table, maker)
    for name, table in TABLES.items()
    for more, maker in (("", _accuracies), ("-paired", paired_of), ("-latents", _latents))
}
"""What stands in docs/experiments.md, by name."""


def main() -> None:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into docs/experiments.md")
    if parser.parse_args().write:
        fill(PAGE, BLOCKS)
    else:
        sys.stdout.write("\n\n".join(f"{name}\n\n{make()}" for name, make in BLOCKS.items()) + "\n")


if __name__ == "__main__":
    main()
