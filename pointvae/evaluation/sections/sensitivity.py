"""The report's section on changes of a known size: accuracy, consistency gap and the way of the codes against it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from pointvae.evaluation.report_tables import FEATURE_WORDS, html_table, percent
from pointvae.evaluation.results import Evaluation
from pointvae.visualization.charts import Series, legend, line_chart, number

PART = "sensitivity"
FEATURE = "posterior_mean"
UNTRAINED = 5  # the colour of untrained models throughout the report

Figures = dict[str, Any]
Reader = Callable[[Figures], Sequence[float | None]]


def section(runs: Sequence[Evaluation]) -> str:
    """The section of some runs as HTML."""
    measured = [run for run in runs if "changes" in run.metrics.get(PART, {})]
    if not measured:
        reason = runs[0].metrics.get(PART, {}).get("left_out", "this evaluation did not measure them") if runs else ""
        return f'<p class="empty">No changes of a known size: {escape(str(reason))}.</p>'
    changes: Figures = measured[0].metrics[PART]["changes"]
    keys = [Series(name, [], [], colour, dashed) for name, colour, dashed, _ in _subjects(measured)]
    return (
        _lead(measured[0])
        + legend(keys)
        + "".join(_panels(measured, name) for name in changes)
        + "".join(_table(run, name=run.name if len(measured) > 1 else "") for run in measured)
    )


def _lead(run: Evaluation) -> str:
    facts = run.metrics[PART]
    return (
        f"<p>How much of a change does the frozen encoder bear? {facts['n_shapes']:,} of {facts['of_shapes']:,} test "
        f"shapes of {facts['points']:,} points are changed by a known amount.</p>"
        "<p><em>Accuracy</em>: a linear SVM, fitted to the posterior means of unchanged training shapes, reads the "
        "changed ones; level lines are good. <em>Consistency gap</em>: how far the posterior of the changed shape is "
        "from that of the shape itself; low is good, but it is measured in widths of each run's own posterior. "
        "<em>Way</em>: how far the posterior mean goes, where 100 % is as far as from one shape to another; it "
        "compares runs, also with their untrained twins. (An untrained twin gives all shapes nearly one code, so its "
        "gap is near 0 whatever comes; it is in the table only.)</p>"
    )


def _subjects(runs: Sequence[Evaluation]) -> list[tuple[str, int, bool, tuple[Evaluation, str]]]:
    """Name, colour and dash of every line, with where its figures stand; untrained twins that agree come once."""
    lines = [(run.name, colour % UNTRAINED, False, (run, "trained")) for colour, run in enumerate(runs)]
    twins = [(colour, run) for colour, run in enumerate(runs) if _has(run, "untrained")]
    told = [[change["untrained"] for change in run.metrics[PART]["changes"].values()] for _, run in twins]
    if twins and all(each == told[0] for each in told):
        return [*lines, ("untrained", UNTRAINED, True, (twins[0][1], "untrained"))]
    return [*lines, *((f"untrained {run.name}", c % UNTRAINED, True, (run, "untrained")) for c, run in twins)]


def _has(run: Evaluation, subject: str) -> bool:
    return all(subject in change for change in run.metrics[PART]["changes"].values())


def _panels(runs: Sequence[Evaluation], name: str) -> str:
    """The charts of one change."""
    change = runs[0].metrics[PART]["changes"][name]
    words, drawn = change["words"], ""
    charts: list[tuple[str, str, Reader, bool]] = [
        (
            "Accuracy",
            "%",
            lambda own: [100 * value for value in own.get("accuracy", {}).get(FEATURE, [])],
            True,
        ),
        ("Consistency gap", "nats", lambda own: own["gap"], False),
        ("Way", "% of that between shapes", lambda own: [_share(value) for value in own["way_share"]], True),
    ]
    for title, unit, read, twin in charts:
        lines = []
        for label, colour, dashed, (run, subject) in _subjects(runs):
            if name not in run.metrics[PART]["changes"] or (dashed and not twin):
                continue
            own = run.metrics[PART]["changes"][name]
            pairs = [(x, y) for x, y in zip(own["sizes"], read(own[subject]), strict=False) if y is not None]
            if pairs:
                lines.append(Series(label, [x for x, _ in pairs], [y for _, y in pairs], colour, dashed))
        if lines:
            chart = line_chart(
                lines,
                title=f"{title} of shapes {words}, {unit}",
                x_label=change["unit"],
                y_label=f"{title.lower()}, {unit}",
                whole=change["nothing"] == 0 and max(change["sizes"]) > 10,
                log_x=name == "points",
            )
            drawn += f"<figure>{chart}</figure>"
    heading = f"{words[0].upper()}{words[1:]}"
    still = f"unchanged: {number(change['nothing'])}"
    return f'<h3>{escape(heading)} <small>{escape(still)}</small></h3><div class="panels">{drawn}</div>'


def _share(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _table(run: Evaluation, *, name: str) -> str:
    """Every figure of a run, folded away."""
    changes = run.metrics[PART]["changes"]
    subjects = [subject for subject in ("trained", "untrained") if _has(run, subject)]
    features = list(next(iter(changes.values()))["trained"].get("accuracy", {}))
    columns = [(subject, feature) for feature in features for subject in subjects]
    head = ["change", "size"]
    head += [f"{FEATURE_WORDS[feature]}, {subject}, %" for subject, feature in columns]
    head += [f"{what}, {subject}" for what in ("gap, nats", "way, %") for subject in subjects]
    rows = []
    for key, change in changes.items():
        for at, size in enumerate(change["sizes"]):
            row = [escape(key), number(size)]
            for subject, feature in columns:
                low, high = change[subject]["accuracy_interval"][feature][at]
                share = change[subject]["accuracy"][feature][at]
                row.append(f"{percent(share)} <small>{percent(low)} to {percent(high)}</small>")
            for subject in subjects:
                gap, error = change[subject]["gap"][at], change[subject]["gap_standard_error"][at]
                row.append(f"{gap:.3g} <small>± {error:.2g}</small>")
            for subject in subjects:
                share = change[subject]["way_share"][at]
                row.append("–" if share is None else percent(share))
            rows.append(row)
    caption = "Accuracies with 95 % intervals over shapes; gaps with standard errors."
    table = html_table(head, rows, caption=caption, figures=range(1, len(head)))
    of = f" of {escape(name)}" if name else ""
    return f"<details><summary>Every figure{of}</summary>{table}</details>"
