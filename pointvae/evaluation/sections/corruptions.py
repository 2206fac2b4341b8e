"""The report's section on corruptions: accuracy against severity, every corruption's table, one shape under all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from pointvae.corruptions import CORRUPTIONS
from pointvae.evaluation.report_tables import FEATURE_WORDS, html_table, percent
from pointvae.evaluation.results import Evaluation
from pointvae.visualization.charts import Series, legend, line_chart
from pointvae.visualization.clouds import Frame, cloud_svg

PART = "corruptions"
FAMILY_WORDS = {"density": "Density", "noise": "Noise", "transformation": "Transformation"}
FEATURE = "posterior_mean"
UNTRAINED = 5  # the colour of untrained models throughout the report


def section(runs: Sequence[Evaluation]) -> str:
    """The section of some runs as HTML."""
    shown = [run for run in runs if "shift" in run.metrics.get(PART, {})]
    if not shown:
        reason = runs[0].metrics.get(PART, {}).get("left_out", "this evaluation did not measure them") if runs else ""
        return f'<p class="empty">No corruptions: {escape(str(reason))}.</p>'
    scored = [run for run in shown if FEATURE in run.metrics[PART].get("scores", {}).get("trained", {})]
    return (
        _lead(shown, labelled=bool(scored))
        + (_charts(scored) + _summary(scored) if scored else "")
        + "".join(_table(run, name=run.name if len(shown) > 1 else "") for run in shown)
        + next((_picture(run) for run in shown if f"{PART}/picture" in run.arrays), "")
    )


def _lead(runs: Sequence[Evaluation], *, labelled: bool) -> str:
    facts = runs[0].metrics[PART]
    asked = (
        "Does a linear SVM that was fitted to clean shapes still know the class when the shapes are worse"
        if labelled
        else "How far do the codes move when the shapes are worse"
    )
    good = "Lines that stay level" if labelled else "Light cells"
    return (
        f"<p>{asked}: partly unseen, noisy, bent? {facts['shapes']:,} test shapes of {facts['points']:,} points go "
        f"through the {len(CORRUPTIONS)} corruptions of ModelNet40-C, each at severities 1 (mild) to 5. Nothing is "
        f"fitted anew. {good} are good. Of occlusion and lidar the severity is the side from which the "
        "shape is seen (and the spacing of the lidar's rings), so these need not fall.</p>"
    )


def _charts(runs: Sequence[Evaluation]) -> str:
    panels, lines = "", _lines(runs, list(CORRUPTIONS))
    families = {"All 15": list(CORRUPTIONS)} | {
        FAMILY_WORDS[family]: names for family, names in runs[0].metrics[PART]["families"].items()
    }
    for title, names in families.items():
        drawn = line_chart(
            _lines(runs, names), title=f"Accuracy by severity, {title}", x_label="severity", y_label="accuracy, %"
        )
        panels += f"<figure><h3>{title}</h3>{drawn}</figure>"
    return (
        '<p class="note">Accuracy of the posterior mean by severity, 0 being clean. Each panel has its own scale.</p>'
        f'{legend(lines)}<div class="panels">{panels}</div>'
    )


def _lines(runs: Sequence[Evaluation], names: Sequence[str]) -> list[Series]:
    lines = []
    for number, run in enumerate(runs):
        scores = run.metrics[PART]["scores"]
        for subject, label in (("trained", run.name), ("untrained", f"untrained {run.name}")):
            if FEATURE not in scores.get(subject, {}):
                continue
            told = scores[subject][FEATURE]
            means = np.mean([told["accuracy"][name] for name in names], axis=0)
            y = [100 * value for value in (told["clean_accuracy"], *means.tolist())]
            plain = subject == "untrained" and len(runs) == 1
            lines.append(
                Series(
                    "untrained" if plain else label,
                    [0, *run.metrics[PART]["severities"]],
                    y,
                    UNTRAINED if plain else number,
                    subject == "untrained",
                )
            )
    return lines


def _summary(runs: Sequence[Evaluation]) -> str:
    rows = []
    for run in runs:
        scores = run.metrics[PART]["scores"]
        for feature in scores["trained"]:
            for subject in scores:
                told = scores[subject][feature]
                name = f"{escape(run.name)}, " if len(runs) > 1 else ""
                rows.append([f"{name}{escape(FEATURE_WORDS[feature])}", escape(subject), *_figures(told)])
    head = ["feature", "encoder", "clean, %", "mean error, %", "lost to clean, points", "mCE"]
    caption = (
        "Mean error: over all 75, with its standard error over shapes. mCE: errors of each corruption relative to "
        "the untrained encoder's, averaged; below 1 is better than untrained."
    )
    return f'<p class="note">{caption}</p>{html_table(head, rows, kind="probes", figures=range(2, 6))}'


def _figures(told: Mapping[str, Any]) -> list[str]:
    mce, error = told.get("mean_corruption_error"), 100 * told["mean_error_standard_error"]
    return [
        percent(told["clean_accuracy"]),
        f"<strong>{percent(told['mean_error'])}</strong> <small>± {error:.1f}</small>",
        f"{100 * told['degradation']:.1f}",
        "–" if mce is None else f"{mce:.3f}",
    ]


def _table(run: Evaluation, *, name: str) -> str:
    """A row for each corruption, a column for each severity, shaded by what was lost."""
    facts = run.metrics[PART]
    told = facts.get("scores", {}).get("trained", {}).get(FEATURE)
    if told is None and "trained" not in facts["shift"]:
        return ""
    untrained = facts.get("scores", {}).get("untrained", {}).get(FEATURE)
    head = ["corruption", *(str(severity) for severity in facts["severities"]), "mean"]
    head += ["untrained", "CE"] if told and untrained else []
    body = ""
    for family, names in facts["families"].items():
        title = f"<strong>{FAMILY_WORDS[family]}</strong>"
        body += f'<tr class="first"><th scope="row" colspan="{len(head)}">{title}</th></tr>'
        for corruption in names:
            cells = _scored(told, corruption) if told else _shifted(facts["shift"]["trained"], corruption)
            if told and untrained:
                ratio = told["corruption_error"][corruption]
                mean = percent(float(np.mean(untrained["accuracy"][corruption])))
                cells += f'<td class="figure">{mean}</td><td class="figure">'
                cells += f"{'–' if ratio is None else f'{ratio:.2f}'}</td>"
            body += f'<tr><th scope="row">{escape(CORRUPTIONS[corruption].label)}</th>{cells}</tr>'
    top = "".join(f'<th scope="col" class="{"figure" if at else ""}">{cell}</th>' for at, cell in enumerate(head))
    of = f" of {escape(name)}" if name else ""
    caption = (
        f"Accuracy{of} in %, posterior mean; clean {percent(told['clean_accuracy'])}. The darker, the more was lost. "
        "CE: error relative to the untrained encoder's."
        if told
        else f"Shift of the posterior mean{of}, in prior standard deviations (root mean square over dimensions); "
        f"different shapes lie {facts['shift']['trained']['spread']:.2f} about their mean. The darker, the further."
    )
    return (
        f'<p class="note">{caption}</p><div class="scroll"><table class="corruptions"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _scored(told: Mapping[str, Any], corruption: str) -> str:
    values, clean = told["accuracy"][corruption], told["clean_accuracy"]
    cells = "".join(_cell(percent(value), (clean - value) / max(clean, 1e-9)) for value in values)
    return f'{cells}<td class="figure"><strong>{percent(float(np.mean(values)))}</strong></td>'


def _shifted(shift: Mapping[str, Any], corruption: str) -> str:
    values = shift["by_corruption"][corruption]
    cells = "".join(_cell(f"{value:.2f}", value / max(shift["spread"], 1e-9)) for value in values)
    return f'{cells}<td class="figure"><strong>{float(np.mean(values)):.2f}</strong></td>'


def _cell(text: str, lost: float) -> str:
    """A cell whose ground tells the share that was lost, 0 to 1."""
    alpha = 0.65 * min(max(lost, 0.0), 1.0)
    return f'<td class="figure" style="padding-left:0.6rem;background:rgb(194 73 61/{alpha:.2f})">{text}</td>'


def _picture(run: Evaluation) -> str:
    """One shape clean and under every corruption at severity 3, all to one scale."""
    clean, clouds = run.arrays[f"{PART}/picture_clean"], run.arrays[f"{PART}/picture"]
    frame = Frame.of(clean)
    tiles = [_tile(cloud_svg(clean, "clean shape", frame), "clean", "given")]
    for name, cloud, count in zip(CORRUPTIONS, clouds, run.arrays[f"{PART}/picture_counts"], strict=True):
        label = CORRUPTIONS[name].label
        tiles.append(_tile(cloud_svg(cloud[: int(count)], f"{label} at severity 3", frame), label, ""))
    return (
        '<h3>One shape under all of them, severity 3</h3><div class="gallery" style="--tile:118px">'
        f"{''.join(tiles)}</div>"
    )


def _tile(svg: str, label: str, kind: str) -> str:
    drawn = svg.replace("cloud", f"cloud {kind}", 1) if kind else svg
    return f'<figure class="tile">{drawn}<figcaption>{escape(label)}</figcaption></figure>'
