"""The report's section on clustering: k-means against the classes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pointvae.evaluation.report_tables import FEATURE_WORDS, html_table, percent
from pointvae.evaluation.results import Evaluation

PART = "clustering"
WORDS = {"nmi": "NMI, %", "ari": "ARI, %", "accuracy": "matched accuracy, %"}


def section(runs: Sequence[Evaluation]) -> str:
    """The section of some runs as HTML."""
    measured = [run for run in runs if "trained" in run.metrics.get(PART, {})]
    if not measured:
        reason = runs[0].metrics.get(PART, {}).get("left_out", "this evaluation did not cluster") if runs else ""
        return f'<p class="empty">No clusters: {escape(str(reason))}.</p>'
    facts = measured[0].metrics[PART]
    rows = []
    for feature in facts["trained"]:
        for run in measured:
            own = run.metrics[PART]
            for subject in ("trained", "untrained"):
                if subject not in own:
                    continue
                scores = own[subject][feature]
                told = [
                    f"{_strong(percent(scores[name]), subject)} <small>± {percent(scores[f'{name}_deviation'])}, "
                    f"shuffled {percent(scores[f'shuffled_{name}'])}</small>"
                    for name in WORDS
                ]
                rows.append([FEATURE_WORDS[feature], escape(run.name), subject, *told])
    head = ["feature", "run", "encoder", *WORDS.values()]
    if len(measured) == 1:
        head, rows = [head[0], *head[2:]], [[row[0], *row[2:]] for row in rows]
    lead = (
        "<p>Do the classes form heaps of their own, without any label? k-means sorts the test shapes into "
        f"{facts['clusters']} heaps by their features. NMI and ARI tell how well heaps and classes agree (100 % is "
        "perfect); matched accuracy gives each heap one class. <em>Shuffled</em> is what the same heaps score on "
        f"labels dealt at random: the zero to count from. Mean ± deviation over {facts['seeds']} starts.</p>"
    )
    return lead + html_table(head, rows, kind="probes", figures=range(len(head) - len(WORDS), len(head)))


def _strong(told: str, subject: str) -> str:
    return f"<strong>{told}</strong>" if subject == "trained" else told
