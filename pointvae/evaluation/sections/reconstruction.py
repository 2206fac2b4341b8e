"""The report's table of reconstruction measures, each beside what another sample of the same shape gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pointvae.evaluation.report_tables import html_table
from pointvae.evaluation.results import Evaluation

PART = "reconstruction"
FIRST = ("cd_l2_mean", "cd_l1_half", "f_score_0.05", "f_score_0.1", "dcd_a100", "emd_l1_mean")
WORDS = {
    "cd_l2_mean": "Chamfer: squares, both ways added",
    "cd_l2_half": "Chamfer: squares, mean of both ways",
    "cd_l2_sum": "Chamfer: squares, summed over points",
    "cd_l1_half": "Chamfer: lengths, mean of both ways",
    "cd_l1_max": "Chamfer: lengths, the longer way",
    "emd_l1_mean": "earth mover's, lengths",
    "emd_l2_mean": "earth mover's, squares",
}

Column = tuple[str, Mapping[str, Any]]


def section(runs: Sequence[Evaluation]) -> str:
    """The measures of every run: a row for each measure, columns for each run and for the floor."""
    missing = [run for run in runs if "measures" not in run.metrics.get(PART, {})]
    if missing:
        why = missing[0].metrics.get(PART, {}).get("left_out", "this evaluation has none")
        return f'<p class="empty">No reconstruction measures: {escape(str(why))}</p>'
    columns = _columns(runs)
    names = list(runs[0].metrics[PART]["measures"])
    first = [name for name in names if name in FIRST] or names
    others = [name for name in names if name not in first]
    more = f"<details><summary>Other conventions</summary>{_table(columns, others)}</details>" if others else ""
    return _words(runs[0].metrics[PART]) + _table(columns, first) + more


def _columns(runs: Sequence[Evaluation]) -> list[Column]:
    """Each run's figures, those at the floor's number of points, and the floor, once if all share it."""
    whole: list[Column] = []
    fewer: list[Column] = []
    floors: list[Column] = []
    for run in runs:
        part, name = run.metrics[PART], f"{escape(run.name)},<br>" if len(runs) > 1 else ""
        whole.append((f"{name}{_counts(part)}", part["measures"]))
        if floor := part.get("floor"):
            if _counts(floor) != _counts(part):
                fewer.append((f"{name}at {_counts(floor)}", floor["reconstruction"]))
            floors.append((f"{name}another sample,<br>{_counts(floor)}", floor["same_shape"]))
    if len(floors) == len(runs) and all(floor == floors[0][1] for _, floor in floors):
        floors = [(f"another sample,<br>{_counts(runs[0].metrics[PART]['floor'])}", floors[0][1])]
    return [*whole, *fewer, *floors]


def _table(columns: Sequence[Column], names: Sequence[str]) -> str:
    head = ["measure", *(title for title, _ in columns)]
    rows = [[_label(name), *(_cell(figures.get(name)) for _, figures in columns)] for name in names]
    return html_table(head, rows, figures=range(1, len(head)))


def _words(part: Mapping[str, Any]) -> str:
    words = (
        f"<p>How far decoded shapes lie from the {part['n_shapes']:,} shapes they were made from, at so many points "
        "of each: mean ± standard error over the shapes. Arrows point to better.</p>"
    )
    if "floor" in part:
        words += (
            "<p>No measure can reach its best value: two samples of one surface never coincide. “Another sample” is "
            "what a second sample of the same shape gets. Set it beside the reconstruction at the same number of "
            "points: where the two are alike, nothing is left to gain at that number.</p>"
        )
    if part["emd_shapes"]:
        words += (
            f'<p class="note">Earth mover\'s distance: {part["emd_shapes"]} shapes, at most {part["emd_points"]} '
            "points of each. Lengths are in radii of the unit sphere. Compare only at equal numbers of points.</p>"
        )
    return words


def _counts(part: Mapping[str, Any]) -> str:
    """Points of the shape, after those of what is compared with it where they differ."""
    points, made = part["points"], part["made_points"]
    return f"{points:,} points" if points == made else f"{made:,} to {points:,} points"


def _label(name: str) -> str:
    if name.startswith("f_score_"):
        words, arrow = f"F-score within {name.removeprefix('f_score_')}", "↑"
    elif name.startswith("dcd_a"):
        words, arrow = f"density-aware Chamfer, α = {name.removeprefix('dcd_a')}", "↓"
    else:
        words, arrow = WORDS.get(name, name), "↓"
    return (
        f'<span style="white-space: nowrap"><code>{escape(name)}</code> {arrow}</span><br>'
        f"<small>{escape(words)}</small>"
    )


def _cell(value: Mapping[str, float] | None) -> str:
    return "–" if value is None else f"{value['mean']:.4g}<br><small>± {value['standard_error']:.2g}</small>"
