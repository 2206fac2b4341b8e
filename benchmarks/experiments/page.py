"""What docs/experiments.md shows of results/experiments.csv.

python benchmarks/experiments/page.py           print the tables
python benchmarks/experiments/page.py --write   put them into docs/experiments.md, between their comments
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from pointvae.evaluation.significance import over_seeds
from runs import ROOT, read_rows
from tables import TABLES, Table

RESULTS = ROOT / "results" / "experiments.csv"
PAGE = ROOT / "docs" / "experiments.md"
BUDGET = "cpu-hour"
MARK = re.compile(r"(<!-- figures: (experiments-[\w-]+) -->\n).*?(<!-- end figures -->)", re.DOTALL)

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


def blocks() -> dict[str, str]:
    """What stands between the page's comments, by name."""
    made = {}
    for name, table in TABLES.items():
        made[f"experiments-{name}"] = table_of(table, ACCURACIES | (HARM if table.harm else {}))
        made[f"experiments-{name}-latents"] = table_of(table, LATENTS)
        made[f"experiments-{name}-paired"] = paired_of(table)
    return made


def filled(text: str, made: dict[str, str], names: Iterable[str] = ()) -> str:
    """A page with its blocks made anew."""
    return MARK.sub(lambda found: f"{found[1]}{made[found[2]]}\n{found[3]}", text)


def main() -> None:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="into docs/experiments.md")
    made = blocks()
    if parser.parse_args().write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")
    else:
        sys.stdout.write("\n\n".join(f"{name}\n\n{block}" for name, block in made.items()) + "\n")


if __name__ == "__main__":
    main()
