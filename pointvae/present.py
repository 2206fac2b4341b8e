"""Results for people, on stderr: a table where there is one, plain lines otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def present(verb: str, result: Mapping[str, Any]) -> None:
    """Show a verb's result."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if verb == "inspect":
        console.print(_splits(result))
    elif verb == "probe":
        console.print(accuracy_table([{**result, **probe} for probe in result.get("probes", [result])]))
    elif verb == "demo":
        console.print(accuracy_table(result["rows"]))
    for name, value in result.items():
        if verb == "probe" and name not in ("protocol", "points", "n_train", "n_test", "seed"):
            continue
        if isinstance(value, float):
            console.print(f"{name}: {value:.5g}", markup=False)
        elif isinstance(value, str | int):
            console.print(f"{name}: {value}", markup=False)
    for hint in result.get("hints", ()):
        console.print(f"hint: {hint}", markup=False)


def _splits(result: Mapping[str, Any]) -> Table:
    """Shapes of each class and split."""
    table = Table(title="shapes")
    table.add_column("class")
    splits = result["splits"]
    for split in splits:
        table.add_column(split, justify="right")
    for name in result["classes"]:
        table.add_row(name, *[str(s["classes"].get(name, 0)) for s in splits.values()])
    table.add_row("all", *[str(s["shapes"]) for s in splits.values()], style="bold")
    return table


def accuracy_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Linear-SVM accuracy of frozen features in percent, with 95 % intervals, beside the untrained encoder."""
    table = Table(title="linear SVM on frozen features: accuracy in %, with its 95 % interval")
    for name in ("run", "feature", "rotation"):
        table.add_column(name, no_wrap=True)
    for name in ("trained", "untrained"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cells = [str(row["run"]), str(row["feature"]).replace("_", " "), str(row["rotation"])]
        for prefix in ("", "untrained_"):
            low, high = row[f"{prefix}accuracy_interval"]
            cells.append(f"{100 * row[f'{prefix}accuracy']:.1f} ({100 * low:.1f}, {100 * high:.1f})")
        table.add_row(*cells)
    return table
