"""Every committed table of results as a page: its rows, and the command that makes them."""

from __future__ import annotations

import csv

from places import ROOT

RESULTS = ROOT / "results"


def names() -> list[str]:
    """The tables, by the names of their files."""
    return sorted(path.stem for path in RESULTS.glob("*.csv"))


def page(name: str) -> str:
    """A table as a page."""
    with (RESULTS / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    lines = [
        f"# results/{name}.csv",
        "",
        f"{len(rows)} rows, as committed. [Which command makes them](../results.md), and where they are read.",
        "",
        '<div class="rows" markdown>',
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    return "\n".join([*lines, *("| " + " | ".join(map(_cell, row)) + " |" for row in rows), "", "</div>"]) + "\n"


def _cell(value: str) -> str:
    """A value to be read: numbers to five digits, no bars."""
    try:
        return f"{float(value):.5g}" if "." in value and float(value) == float(value) else value
    except ValueError:
        return value.replace("|", "\\|")
