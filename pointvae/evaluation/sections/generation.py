"""The report's table of how good draws from the prior are, beside what real shapes get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pointvae.evaluation.report_tables import html_table
from pointvae.evaluation.results import Evaluation

PART = "generation"
MEASURES = {
    "mmd": ("MMD ↓", "from a real shape to the nearest sample", "0"),
    "cov": ("COV ↑", "share of real shapes nearest to some sample", "1"),
    "1_nna": ("1-NNA → 0.5", "how often sample and real are told apart", "0.5"),
    "jsd": ("JSD ↓", "how differently they fill space, bits", "0"),
}
DISTANCES = {"cd_l2_mean": "Chamfer", "emd_l1_mean": "earth mover's"}


def section(runs: Sequence[Evaluation]) -> str:
    """The measures of every run's samples, a row for each."""
    missing = [run for run in runs if "samples" not in run.metrics.get(PART, {})]
    if missing:
        why = missing[0].metrics.get(PART, {}).get("left_out", "this evaluation has no such figures")
        return f'<p class="empty">No measures of samples: {escape(str(why))}</p>'
    columns = _columns(runs)
    head = ["measure", *(title for title, _ in columns), "best"]
    rows = [
        [_label(name), *(_cell(figures.get(name)) for _, figures in columns), _words_of(name)[2]]
        for name in runs[0].metrics[PART]["samples"]
    ]
    return _words(runs[0].metrics[PART]) + html_table(head, rows, figures=range(1, len(head)))


def _columns(runs: Sequence[Evaluation]) -> list[tuple[str, Mapping[str, Any]]]:
    """The samples of each run, then the real shapes, once if all runs share them."""
    samples, real = [], []
    for run in runs:
        part, name = run.metrics[PART], f"{escape(run.name)},<br>" if len(runs) > 1 else ""
        samples.append((f"{name}samples", part["samples"]))
        if "real" in part:
            real.append((f"{name}real<br>shapes", part["real"]))
    if len(real) == len(runs) and all(figures == real[0][1] for _, figures in real):
        real = [("real<br>shapes", real[0][1])]
    return [*samples, *real]


def _words(part: Mapping[str, Any]) -> str:
    words = (
        f"<p>How good draws from the prior are: {part['shapes']:,} of them against as many real shapes that training "
        f"never saw, of {part['points']:,} points each. Value ± standard error; arrows point to better.</p>"
    )
    if "real" in part:
        words += (
            "<p>Beside them stand real shapes of the training split, scored as if they had been generated: what a "
            "generator can hope for. A 1-NNA below theirs would speak of copies.</p>"
        )
    return words + (
        f'<p class="note">Earth mover\'s distance: {part["emd_shapes"]} shapes, {part["emd_points"]} points of each. '
        "All these figures depend on the numbers of shapes and points: compare them only at equal ones.</p>"
    )


def _words_of(name: str) -> tuple[str, str, str]:
    """Its short name with its arrow, what it tells, and its best value."""
    for prefix, words in MEASURES.items():
        if name.startswith(prefix):
            return words
    return name, "", "–"


def _label(name: str) -> str:
    short, told, _ = _words_of(name)
    by = next((f", {escape(words)}" for key, words in DISTANCES.items() if name.endswith(key)), "")
    return f'<span style="white-space: nowrap">{escape(short)}{by}</span><br><small>{escape(told)}</small>'


def _cell(value: Mapping[str, float] | None) -> str:
    return "–" if value is None else f"{value['value']:.4g}<br><small>± {value['standard_error']:.2g}</small>"
