"""The report's section on the other probe protocols, with the curve over the share of labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from pointvae.evaluation.report_tables import FEATURE_WORDS, html_table, percent
from pointvae.evaluation.results import Evaluation
from pointvae.visualization.charts import Series, legend, line_chart

PART = "probe_protocols"
WORDS = {"logistic_c_cv": "logistic regression", "knn": "nearest neighbours"}
UNTRAINED = 5  # the colour of baselines


def section(runs: Sequence[Evaluation]) -> str:
    """The section of some runs as HTML."""
    measured = [run for run in runs if run.metrics.get(PART, {}).get("probes")]
    if not measured:
        reason = runs[0].metrics.get(PART, {}).get("left_out", "this evaluation has none") if runs else ""
        return f'<p class="empty">No further probes: {escape(str(reason))}.</p>'
    facts = measured[0].metrics[PART]
    lead = (
        "<p>Do the classes show only to the linear SVM above? Other readers of the same frozen features, on shapes "
        "as they are: a softer linear one, the vote of the nearest training shapes, and the SVM with few labels. "
        "<em>1 % of labels</em>: that share of each class's training shapes is labelled, one at least. <em>5-way "
        "10-shot</em>: five classes to tell apart, ten training shapes of each. Small: the 95 % interval, then what "
        "the untrained encoder reaches; green where the trained one is clearly better, red where it is worse.</p>"
    )
    note = (
        f'<p class="note">{facts["n_train"]:,} training and {facts["n_test"]:,} test shapes. Intervals are over test '
        "shapes; of few shots, over draws of classes. Everything is chosen on training shapes. Protocols: "
        + ", ".join(f"<code>{escape(name)}</code>" for name in dict.fromkeys(p["protocol"] for p in facts["probes"]))
        + ".</p>"
    )
    return lead + _table(measured) + _chart(measured) + note


def _table(runs: Sequence[Evaluation]) -> str:
    found = [dict(_rows(run)) for run in runs]
    rows = [
        [escape(f"{words}, {feature}"), *(_cell(rows_.get((words, feature))) for rows_ in found)]
        for words, feature in dict.fromkeys(key for rows_ in found for key in rows_)
    ]
    head = ["protocol, feature", *(escape(run.name) if len(runs) > 1 else "accuracy, %" for run in runs)]
    return html_table(head, rows, kind="protocols", figures=range(1, len(head)))


def _rows(run: Evaluation) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """The words of each protocol's setting and feature, and its figures."""
    for probe in run.metrics[PART]["probes"]:
        name = probe["protocol"].split("/")[0]
        for row in probe.get("settings", [probe]):
            if "ways" in row:
                words = f"{row['ways']}-way {row['shots']}-shot"
            elif "share" in row:
                words = f"{100 * row['share']:g} % of labels ({row['labels']:,})"
            else:
                words = WORDS.get(name, name)
            yield (words, FEATURE_WORDS[probe["feature"]]), row


def _cell(row: dict[str, Any] | None) -> str:
    if row is None or "left_out" in row:
        return "–" if row is None else f"<small>left out: {escape(row['left_out'])}</small>"
    low, high = row["accuracy_interval"]
    told = f"<strong>{percent(row['accuracy'])}</strong> <small>{percent(low)} to {percent(high)}</small>"
    if "untrained_accuracy" not in row:
        return told
    ends = row["gain_interval"]
    sign = "" if ends is None else "good" if ends[0] > 0 else "bad" if ends[1] < 0 else ""
    return f'{told}<br><small>untrained <span class="{sign}">{percent(row["untrained_accuracy"])}</span></small>'


def _chart(runs: Sequence[Evaluation]) -> str:
    """Accuracy against the share of labels."""
    series = []
    for number, run in enumerate(runs):
        rows = [row for (_, _), row in _rows(run) if "share" in row]
        shares = [100 * row["share"] for row in rows]
        series.append(Series(run.name, shares, [100 * row["accuracy"] for row in rows], number))
        if rows and "untrained_accuracy" in rows[0]:
            same = len(runs) == 1
            own = Series(
                "untrained" if same else f"untrained {run.name}",
                shares,
                [100 * row["untrained_accuracy"] for row in rows],
                UNTRAINED if same else number,
                dashed=True,
            )
            series.append(own)
    if not any(line.x for line in series):
        return ""
    chart = line_chart(
        series,
        title="Accuracy of the linear SVM by the share of training labels",
        x_label="training labels used, %",
        y_label="accuracy, %",
    )
    caption = "Linear SVM on the posterior mean; the figures stand in the table above."
    return f'{legend(series)}<figure class="wide">{chart}<figcaption>{caption}</figcaption></figure>'
