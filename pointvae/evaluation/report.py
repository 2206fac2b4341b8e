"""``report.html``: one file that holds everything, asks no server for anything, and reads without a script."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from pointvae.errors import visible
from pointvae.evaluation import report_figures as figures
from pointvae.evaluation import report_tables as tables
from pointvae.evaluation.comparison import compare_evaluations
from pointvae.evaluation.probing import linear_probe
from pointvae.evaluation.probing.registry import LINEAR_SVM
from pointvae.evaluation.results import METRICS, Evaluation
from pointvae.evaluation.sections import (
    attacks,
    clustering,
    comparison,
    corruptions,
    findings,
    generation,
    latents,
    probes,
    reconstruction,
    retrieval,
    sensitivity,
)
from pointvae.version import __version__
from pointvae.writing import write_text

REPORT = "report.html"

Runs = Sequence[Evaluation]


def write_report(runs: Runs, path: str | Path, *, title: str | None = None) -> None:
    """Write the report of one run, or of several on the same dataset side by side.

    Args:
        runs: their evaluations.
        path: the file; written whole or not at all.
        title: the heading; the names of runs and dataset when absent.
    """
    write_text(Path(path), report_html(runs, title))


def report_html(runs: Runs, title: str | None = None, compared: Mapping[str, Any] | None = None) -> str:
    """The report as a string.

    Args:
        runs: the evaluations.
        title: the heading; the names of runs and dataset when absent.
        compared: what `compare_evaluations` gives of several runs; made here when absent.
    """
    dataset = runs[0].metrics["dataset"]["name"]
    title = title or f"{', '.join(run.name for run in runs)} on {dataset}"
    sections = [(key, name, draw(runs)) for key, name, draw, needs in SECTIONS if _made(runs, needs)]
    if len(runs) > 1:
        sections.insert(
            1,
            ("comparison", "What distinguishes the runs", comparison.section(compared or compare_evaluations(runs))),
        )
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="h-{key}"><h2 id="h-{key}">{name}</h2>{content}</section>'
        for key, name, content in sections
    )
    assets = files("pointvae.evaluation")
    return visible(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{assets.joinpath('report.css').read_text(encoding='utf-8')}</style>"
        f'</head><body><header><h1>{escape(title)}</h1><p class="lead">Point-cloud variational auto-encoders, '
        f"evaluated by pointvae {escape(__version__)}.</p></header>"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav><main>{body}</main>'
        f'<footer class="note">Made by <code>pointvae evaluate</code>. This file needs no other.</footer>'
        f"<script>\n{assets.joinpath('report.js').read_text(encoding='utf-8')}</script></body></html>\n"
    )


def _made(runs: Runs, parts: Sequence[str]) -> bool:
    """Whether one of the parts was asked for in all runs; a section of no part always is."""
    return not parts or any(all(part in run.metrics for run in runs) for part in parts)


def _left_out(runs: Runs, part: str) -> str | None:
    """Why a part is missing in a run, as HTML; None where it is there in all."""
    for run in runs:
        reason = run.metrics[part].get("left_out")
        if reason:
            return f'<p class="empty">Left out: {escape(reason)}.</p>'
    return None


def _summary(runs: Runs) -> str:
    quick = " This was a quick evaluation on a part of the shapes." if runs[0].metrics["quick"] else ""
    told = findings.section(runs[0]) if len(runs) == 1 else ""
    return (
        tables.summary_table(runs)
        + told
        + (
            '<p class="note">Accuracy: a linear SVM on the posterior mean, test split. Error: mean squared nearest '
            "distances, both ways added, in unit-sphere lengths squared. Gap: KL between the posteriors of a shape "
            f"transformed (every heading about the up axis, scale 0.8 to 1.25, jitter 0.01) and as it is.{quick}</p>"
        )
    )


def _trained(runs: Runs) -> str:
    return tables.facts_table(runs) + tables.dataset_table(runs[0])


def _linear_probes(runs: Runs) -> str:
    missing = _left_out(runs, "probes")
    if missing:
        return missing
    details = "".join(
        f"<h3>{escape(run.name)}, aligned, posterior mean</h3>{figures.confusion(run)}"
        f"<details><summary>Accuracy by class</summary>{tables.class_table(run)}</details>"
        for run in runs
    )
    first = next(iter(runs[0].metrics["probes"]["rotations"].values()))
    intro = (
        "<p>How well can classes be read off the frozen latent by a plane for each class? And still, if shapes are "
        "turned: z/z turns all about the up axis, SO(3)/SO(3) freely; z/SO(3) turns training shapes about the "
        "up axis and test shapes freely, so only what does not change under rotation helps.</p>"
        f'<p class="note">{first["n_train"]:,} training and {first["n_test"]:,} test shapes, {first["points"]} '
        "points each; filled: trained, hollow: untrained; bars: 95 % bootstrap intervals over the test shapes.</p>"
    )
    return intro + figures.probe_chart(runs) + tables.probe_table(runs) + details


def _reconstructions(runs: Runs) -> str:
    parts = [reconstruction.section(runs)] if _made(runs, ("reconstruction",)) else []
    if _made(runs, ("pictures",)):
        parts.append(figures.reconstructions(runs, [run.gallery for run in runs]))
        for run in runs:
            parts.append(f"<h3>Worst of {run.metrics['n_shapes']:,} shapes: {escape(run.name)}</h3>")
            parts.append(figures.reconstructions([run], [run.worst]))
    return "".join(parts)


def _samples(runs: Runs) -> str:
    parts = [_each(figures.samples)(runs)] if _made(runs, ("pictures",)) else []
    if _made(runs, ("generation",)):
        parts.append(generation.section(runs))
    return "".join(parts)


def _neighbours(runs: Runs) -> str:
    parts = [
        part.section(runs)
        for part, name in ((retrieval, "retrieval"), (clustering, "clustering"))
        if _made(runs, (name,))
    ]
    return "".join(parts)


def _each(draw: Callable[[Evaluation], str]) -> Callable[[Runs], str]:
    def all_of(runs: Runs) -> str:
        if len(runs) == 1:
            return draw(runs[0])
        return "".join(f"<h3>{escape(run.name)}</h3>{draw(run)}" for run in runs)

    return all_of


def _protocol(runs: Runs) -> str:
    head, *steps = re.split(r"\n\d\. ", inspect.cleandoc(linear_probe.__doc__ or ""))
    items = "".join(f"<li>{escape(' '.join(step.split()))}</li>" for step in steps)
    m = runs[0].metrics
    title = " ".join(head.replace("``", "").split())
    software = ", ".join(f"{name} {number}" for name, number in m["software"].items())
    took = "; ".join(f"{run.name} {run.metrics['seconds']['all'] / 60:.1f} minutes" for run in runs)
    return (
        f"<p>{escape(title)} (<code>{LINEAR_SVM.identifier}</code>)</p><ol>{items}</ol>"
        '<p class="note">The untrained model has the same architecture and seed, and is measured in the same way. '
        f"Seed of subsets, rotations, folds and intervals: {m['seed']}. Every figure stands in "
        f"<code>{METRICS}</code> with its protocol and settings; batch size and threads change none. pointvae "
        f"{escape(m['version'])}; {escape(software)}. It took: {escape(took)}.</p>"
    )


SECTIONS: tuple[tuple[str, str, Callable[[Runs], str], tuple[str, ...]], ...] = (
    ("summary", "At a glance", _summary, ()),
    ("trained", "What was trained", _trained, ()),
    ("probes", "Linear probes", _linear_probes, ("probes",)),
    ("protocols", "Other probes, fewer labels", probes.section, ("probe_protocols",)),
    ("sensitivity", "How accuracy and code change with the shape", sensitivity.section, ("sensitivity",)),
    ("neighbours", "Neighbours and clusters", _neighbours, ("retrieval", "clustering")),
    ("curves", "Training", figures.curves, ()),
    ("latents", "What the latents carry", latents.section, ("latents", "information", "likelihood", "drift")),
    ("map", "Latent map", _each(figures.latent_map), ("pictures",)),
    ("reconstructions", "Reconstructions", _reconstructions, ("reconstruction", "pictures")),
    ("samples", "Samples from the prior", _samples, ("generation", "pictures")),
    ("between", "From one shape to another", _each(figures.interpolation), ("pictures",)),
    ("corruptions", "Corruptions", corruptions.section, ("corruptions",)),
    ("attacks", "Attacks", attacks.section, ("attacks",)),
    ("how", "How the figures came about", _protocol, ()),
)
