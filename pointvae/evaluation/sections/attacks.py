"""The report's section on attacks: curves over the radius, signs that the attack works, pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pointvae.evaluation.report_tables import html_table, percent
from pointvae.evaluation.results import Evaluation
from pointvae.visualization.attacked import attacked_svg, shade_legend
from pointvae.visualization.charts import Series, legend, line_chart
from pointvae.visualization.clouds import Frame, cloud_svg

PART = "attacks"
UNTRAINED = 5  # the colour of untrained models throughout the report
NORM_WORDS = {"linf": "L-inf: each coordinate within the radius", "l2": "L2: root mean square way within the radius"}
NORM_NAMES = {"linf": "L-inf", "l2": "L2"}
GOAL_WORDS = {"margin": "margin of the head", "kl": "KL of the posterior", "w2": "W2² of the posterior"}
GOAL_NAMES = {"margin": "margin", "kl": "KL", "w2": "W2²"}
CHECK_WORDS = {
    "rises_with_steps": "What is maximised rises with the steps",
    "rises_with_radius": "It rises with the radius",
    "beats_noise": "The attack beats random moves of the same size",
    "beats_search_without_gradients": "A search without gradients finds nothing stronger",
    "beats_transfer": "Moves made against the untrained encoder are no stronger",
    "unbounded_succeeds": "Without a bound hardly a shape stays right (accuracy before, after)",
}


def section(runs: Sequence[Evaluation]) -> str:
    """The section of some runs as HTML."""
    shown = [run for run in runs if "subjects" in run.metrics.get(PART, {})]
    if not shown:
        reason = runs[0].metrics.get(PART, {}).get("left_out", "this evaluation did not measure it") if runs else ""
        return f'<p class="empty">No attacks: {escape(str(reason))}.</p>'
    return (
        _lead(shown)
        + _curves(shown)
        + _table(shown)
        + "".join(_checks(run, many=len(shown) > 1) for run in shown)
        + "".join(_pictures(run) for run in shown[:1])
    )


def _lead(runs: Sequence[Evaluation]) -> str:
    facts = runs[0].metrics[PART]
    head = " and the frozen linear SVM above it" if facts["labelled"] else ""
    return (
        f"<p>How little must the points move for the code to become another? An attacker who knows the encoder{head} "
        f"moves the points of {facts['n_shapes']} test shapes within a radius, by {facts['steps']} steps of "
        f"projected gradient from {facts['restarts']} random start{'s' * (facts['restarts'] != 1)}; each shape's "
        "best move counts. Radii are in parts of the unit sphere's radius, which a shape fills. Solid lines "
        "that fall late are good; dashed lines are random moves of the same size, which harm far less: surviving "
        "those says little.</p>"
    )


def _curves(runs: Sequence[Evaluation]) -> str:
    facts = runs[0].metrics[PART]
    lines = _accuracy(runs, facts["norms"][0]) if _by_labels(facts) else _shift(runs, facts["norms"][0])
    panels = ""
    if _by_labels(facts):
        for norm in facts["norms"]:
            chart = line_chart(
                _accuracy(runs, norm),
                title=f"Adversarial accuracy by radius, {NORM_NAMES[norm]}",
                x_label="radius",
                y_label="shapes still right, %",
                whole=False,
            )
            panels += f"<figure><h3>Accuracy under attack <small>{NORM_WORDS[norm]}</small></h3>{chart}</figure>"
    if "kl" in facts["goals"]:
        for norm in facts["norms"]:
            chart = line_chart(
                _shift(runs, norm),
                title=f"Shift of the posterior by radius, {NORM_NAMES[norm]}",
                x_label="radius",
                y_label="KL to the posterior before, nats",
                log=True,
                whole=False,
            )
            words = f"{NORM_WORDS[norm]}; log scale"
            panels += f"<figure><h3>Shift of the posterior <small>{words}</small></h3>{chart}</figure>"
    return f'{legend(lines)}<div class="panels">{panels}</div>'


def _by_labels(facts: Mapping[str, Any]) -> bool:
    return bool(facts["labelled"]) and "margin" in facts["goals"]


def _accuracy(runs: Sequence[Evaluation], norm: str) -> list[Series]:
    """Adversarial accuracy under the labelled attack, and under noise."""
    lines = []
    for number, run in enumerate(runs):
        for name in run.metrics[PART]["subjects"]:
            if name == "trained" or number == 0:
                told = run.name if name == "trained" else "untrained"
                colour = number if name == "trained" else UNTRAINED
                lines += _pair(run.metrics[PART], name, norm, "margin", "accuracy", told, colour, 100.0)
    return lines


def _shift(runs: Sequence[Evaluation], norm: str) -> list[Series]:
    lines = []
    for number, run in enumerate(runs):
        lines += _pair(run.metrics[PART], "trained", norm, "kl", "kl", run.name, number, 1.0)
    return lines


def _pair(
    facts: Mapping[str, Any], name: str, norm: str, goal: str, figure: str, told: str, colour: int, scale: float
) -> list[Series]:
    """A figure by radius under an attack and under noise; the accuracy starts at the clean one."""
    subject = facts["subjects"][name]
    rows = subject.get(norm, {}).get(goal, [])
    start = [0.0] if figure == "accuracy" else []
    x = [*start, *(row["radius"] for row in rows)]
    clean = [scale * subject["clean"][figure] for _ in start]
    return [
        Series(f"{told}, attacked", x, [*clean, *(scale * row[figure] for row in rows)], colour),
        Series(f"{told}, random moves", x, [*clean, *(scale * row["noise"][figure] for row in rows)], colour, True),
    ]


def _table(runs: Sequence[Evaluation]) -> str:
    """Every norm and goal at the middle radius, a row each."""
    rows = []
    for run in runs:
        facts = run.metrics[PART]
        clean = facts["subjects"]["trained"]["clean"]
        for norm in facts["norms"]:
            for goal in facts["goals"]:
                row, beside = (_middle(facts, name, norm, goal) for name in ("trained", "untrained"))
                assert row is not None
                title = f"{NORM_NAMES[norm]}, {GOAL_NAMES[goal]}"
                rows.append([f"{escape(run.name)}: {title}" if len(runs) > 1 else title])
                if facts["labelled"]:
                    low, high = row["accuracy_interval"]
                    interval = f"<small>{percent(low)} to {percent(high)}</small>"
                    rows[-1] += [
                        f"<strong>{percent(row['accuracy'])}</strong> {interval}",
                        percent(row["noise"]["accuracy"]),
                        percent(beside["accuracy"]) if beside else "–",
                    ]
                rows[-1] += [
                    f"{row['kl']:.3g} <small>noise {row['noise']['kl']:.2g}</small>",
                    f"{row['way_in_spreads']:.2f}",
                    f"{beside['way_in_spreads']:.2f}" if beside else "–",
                    f"{_error(row)} <small>before {_error(clean)}</small>",
                ]
    facts = runs[0].metrics[PART]
    accuracies = ["accuracy, %", "random moves, %", "untrained, %"] if facts["labelled"] else []
    head = ["attack", *accuracies, "KL, nats", "way, spreads", "untrained", "reconstruction error"]
    before = "" if not facts["labelled"] else "; before, " + ", ".join(
        f"{escape(name)} {percent(run.metrics[PART]['subjects'][subject]['clean']['accuracy'])} %"
        for run in runs
        for subject, name in (("trained", run.name), ("untrained", f"{run.name} untrained"))
        if subject in run.metrics[PART]["subjects"]
    )  # fmt: skip
    caption = (
        f"At radius {facts['shown']['radius']:g}{before}. Accuracy: shapes that are right before and after. Way: how "
        "far the posterior mean goes, by the spread of all shapes' means, so that models compare. Error: cd_l2_mean "
        "between what the attacked code decodes to and the shape before the attack."
    )
    table = html_table(head, rows, kind="attacks", figures=range(1, len(head)))
    return f'{table}<p class="note">{caption}</p>'


def _middle(facts: Mapping[str, Any], name: str, norm: str, goal: str) -> dict[str, Any] | None:
    rows = facts["subjects"].get(name, {}).get(norm, {}).get(goal, [])
    return next((row for row in rows if row["radius"] == facts["shown"]["radius"]), None)


def _checks(run: Evaluation, *, many: bool) -> str:
    """Whether the attack works: a line for each check, with its figures in every norm and goal."""
    items = ""
    for name, words in CHECK_WORDS.items():
        rows = [row for row in run.metrics[PART]["checks"] if row["check"] == name]
        if rows:
            passed = sum(row["passed"] for row in rows)
            mark = '<strong class="good">✓ holds</strong>' if passed == len(rows) else (
                f'<strong class="bad">✗ fails in {len(rows) - passed} of {len(rows)}</strong>'
            )  # fmt: skip
            told = "; ".join(_told(row) for row in rows)
            items += f"<li>{mark} {words}. <small>{told}.</small></li>"
    title = f"Does the attack work on {escape(run.name)}?" if many else "Does the attack work?"
    return (
        f"<h3>{title}</h3><p>A robust encoder and a failing attack look alike in the curves. These signs tell them "
        f"apart; where one fails, take the curves for an upper bound on robustness.</p><ul>{items}</ul>"
    )


def _told(row: Mapping[str, Any]) -> str:
    failed = "" if row["passed"] else " (fails)"
    if row["check"] == "unbounded_succeeds":
        return f"{NORM_NAMES[row['norm']]} {percent(row['weaker'])} % to {percent(row['stronger'])} %{failed}"
    return f"{NORM_NAMES[row['norm']]} {GOAL_NAMES[row['goal']]} {row['weaker']:.3g} to {row['stronger']:.3g}{failed}"


def _pictures(run: Evaluation) -> str:
    facts, names = run.metrics[PART], [f"{PART}/shown"]
    shown = facts["shown"]
    names += [f"{PART}/shown_{norm}" for norm in facts["norms"]]
    if any(name not in run.arrays for name in names):
        return ""
    tiles = ""
    for index, name in enumerate(shown["names"]):
        original = run.arrays[f"{PART}/shown"][index]
        frame = Frame.of(original)
        parts = [
            _role(cloud_svg(original, f"{name}, as it is", frame), shown.get("before", ["as it is"] * 99)[index])
        ]
        for norm in facts["norms"]:
            after = shown.get(f"after_{norm}")
            label = f"{NORM_NAMES[norm]}: {after[index]}" if after else NORM_NAMES[norm]
            cloud = run.arrays[f"{PART}/shown_{norm}"][index]
            parts.append(_role(attacked_svg(original, cloud, shown["radius"], f"{name}, {label}", frame), label))
        pair = f'<div class="pair">{"".join(parts)}</div>'
        tiles += f'<figure class="tile">{pair}<figcaption>{escape(name)}</figcaption></figure>'
    width = 108 * (1 + len(facts["norms"]))
    what = "what the probe takes it for" if "before" in shown else "its norm"
    return (
        f"<h3>What an attacked shape looks like</h3><p>Some shapes of {escape(run.name)}, taken evenly and not for "
        f"their outcome: as they are, then moved within radius {shown['radius']:g} for the goal "
        f"{GOAL_WORDS[shown['goal']]}. Under each stands {what}.</p>{shade_legend()}"
        f'<div class="gallery" style="--tile:{width}px">{tiles}</div>'
    )


def _role(svg: str, label: str) -> str:
    return f'<div>{svg}<div class="role">{escape(label)}</div></div>'


def _error(row: Mapping[str, Any]) -> str:
    """The reconstruction error; a dash where clouds at infinity have none."""
    value = row["cd_l2_mean"]
    return "–" if value is None or not math.isfinite(value) else f"{value:.4f}"
