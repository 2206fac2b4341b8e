"""The report's section on retrieval: a table, and a few queries with what each of them found."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from pointvae.evaluation.report_tables import FEATURE_WORDS, html_table, percent
from pointvae.evaluation.results import Evaluation, Floats
from pointvae.visualization.clouds import cloud_svg

PART = "retrieval"
SIDES = {"aligned": "as they are", "turned": "turned about up"}


def section(runs: Sequence[Evaluation]) -> str:
    """The section of some runs as HTML."""
    measured = [run for run in runs if "aligned" in run.metrics.get(PART, {})]
    if not measured:
        reason = runs[0].metrics.get(PART, {}).get("left_out", "this evaluation did not retrieve") if runs else ""
        return f'<p class="empty">No retrieval: {escape(str(reason))}.</p>'
    return _lead(measured[0]) + _table(measured) + _pictures(measured)


def _lead(run: Evaluation) -> str:
    facts = run.metrics[PART]
    alone = facts["left_out_classes"]
    left_out = f" Classes with a single shape ask nothing: {escape(', '.join(alone))}." if alone else ""
    return (
        f"<p>Does a shape find its like? Each of {facts['queries']:,} test shapes ranks the {facts['gallery']:,} "
        "others by the cosine similarity of standardised features. Average precision is 100 % when all shapes of its "
        "class come first; mAP is its mean over the shapes. Queries turned about up, each by its own angle, search "
        f"the same shapes as they are.{left_out}</p>"
    )


def _table(runs: Sequence[Evaluation]) -> str:
    head = ["queries", "feature", "run", "encoder", "mAP", "by class", "top 1"]
    head += ["one of 5", "of 10", "Euclidean"]
    rows = []
    for side, words in SIDES.items():
        for feature, feature_words in FEATURE_WORDS.items():
            for run in runs:
                for subject, own in run.metrics[PART].get(side, {}).items():
                    row = [words, feature_words, escape(run.name), escape(subject)]
                    rows.append(row + _cells(own[feature], subject))
    chance = runs[0].metrics[PART]
    lot, first = percent(chance["chance_map"]), percent(chance["chance_precision"])
    rows.append(["by lot", "–", "–", "–", lot, "–", first, "–", first, lot])
    if len(runs) == 1:
        head, rows = [*head[:2], *head[3:]], [[*row[:2], *row[3:]] for row in rows]
    caption = (
        "Per cent. By class: mAP, every class counting alike. Top 1: the first is right; one of 5: any of the first "
        "five is; of 10: the share of the first ten that are. Euclidean: mAP by Euclidean distance."
    )
    return html_table(head, rows, kind="probes", caption=caption, figures=range(len(head) - 6, len(head)))


def _cells(scores: dict[str, Any], subject: str) -> list[str]:
    own = scores["cosine"]
    low, high = own["map_interval"]
    told = f"<strong>{percent(own['map'])}</strong>" if subject == "trained" else percent(own["map"])
    return [
        f"{told} <small>{percent(low)} to {percent(high)}</small>",
        percent(own["map_class_mean"]),
        percent(own["hit"]["1"]),
        percent(own["hit"]["5"]),
        percent(own["precision"]["10"]),
        percent(scores["euclidean"]["map"]),
    ]


def _pictures(runs: Sequence[Evaluation]) -> str:
    """For each run the same queries, each with its nearest."""
    told = (
        '<p class="note">Queries drawn by lot over the classes, each with what stands nearest by the posterior mean, '
        "nearest first. ✓ in a solid frame: of the query's class; ✗ in a dashed frame: of the class named.</p>"
    )
    for run in runs:
        if f"{PART}/query_clouds" not in run.arrays:
            continue
        queries, others = run.arrays[f"{PART}/query_clouds"], run.arrays[f"{PART}/neighbour_clouds"]
        tiles = "".join(
            _query(query, queries[row], others[row]) for row, query in enumerate(run.metrics[PART]["shown"])
        )
        heading = f"<h3>{escape(run.name)}</h3>" if len(runs) > 1 else ""
        told += f'{heading}<div class="gallery" style="--tile:460px">{tiles}</div>'
    return told


def _query(query: dict[str, Any], cloud: Floats, others: Floats) -> str:
    name = query["name"]
    drawn = cloud_svg(cloud, f"query: {name}").replace("cloud", "cloud given", 1)
    cells = [_cell(drawn, "query", f"<strong>{escape(name)}</strong>", "2px solid transparent")]
    for place, (near, near_cloud) in enumerate(zip(query["nearest"], others, strict=True), 1):
        right = near["right"]
        verdict = "right" if right else f"wrong: {near['class']}"
        drawn = cloud_svg(near_cloud, f"number {place} for {name}: {near['name']}, {verdict}")
        frame = "2px solid var(--right)" if right else "2px dashed var(--wrong)"
        cells.append(_cell(drawn, f"{'✓' if right else '✗'} {near['class']}", escape(near["name"]), frame))
    right = sum(near["right"] for near in query["nearest"])
    caption = f"{name}, {query['class']}: {right} of the {len(query['nearest'])} nearest are right"
    grid = "display:grid;grid-template-columns:repeat(auto-fit,minmax(70px,1fr));gap:0.3rem"
    told = f"<figcaption>{escape(caption)}</figcaption>"
    return f'<figure class="tile"><div style="{grid}">{"".join(cells)}</div>{told}</figure>'


def _cell(drawn: str, mark: str, name: str, frame: str) -> str:
    return (
        f'<div style="border:{frame};border-radius:6px;overflow-wrap:anywhere">{drawn}'
        f'<div class="role">{escape(mark)}<br>{name}</div></div>'
    )
