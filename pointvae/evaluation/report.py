"""``report.html``: one file that holds everything, asks no server for anything, and reads without a script."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from pointvae.errors import InputError
from pointvae.evaluation import linear_probe
from pointvae.evaluation import report_figures as figures
from pointvae.evaluation import report_tables as tables
from pointvae.evaluation.evaluate import evaluate
from pointvae.evaluation.results import Evaluation
from pointvae.version import __version__
from pointvae.writing import write_text

REPORT, METRICS = "report.html", "metrics.json"


def evaluate_run(
    run: str | Path,
    dataset: str | Path,
    *,
    out: str | Path | None = None,
    quick: bool = False,
    points: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Evaluate a run and write ``metrics.json`` and ``report.html``.

    Args:
        run: the run folder.
        dataset: the dataset folder.
        out: where the two files go; the run folder when absent.
        quick: take at most 1,000 training and 500 test shapes.
        points: points of each shape that the model sees; those of the training run when absent.
        batch_size: shapes a step.
        seed: what every random draw is made from.
        progress: show bars on stderr.

    Returns:
        The figures, with ``report``: the report's path.

    Raises:
        InputError: the run, the dataset, an option or ``out`` is at fault; nothing was written.
    """
    folder = _folder(out or run)
    made = evaluate(run, dataset, quick=quick, points=points, batch_size=batch_size, seed=seed, progress=progress)
    return _write(folder, [made], made.metrics)


def compare_runs(
    runs: Sequence[str | Path],
    dataset: str | Path,
    *,
    out: str | Path,
    title: str | None = None,
    quick: bool = False,
    points: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Evaluate several runs on one dataset and write one ``metrics.json`` and one ``report.html`` for all.

    Returns:
        ``runs``: the figures of each run, in order, and ``report``: the report's path. For the arguments and what is
        raised see `evaluate_run`.
    """
    if not runs:
        raise InputError("no run to compare: name at least one run folder")
    folder = _folder(out)
    made = [
        evaluate(run, dataset, quick=quick, points=points, batch_size=batch_size, seed=seed, progress=progress)
        for run in runs
    ]
    return _write(folder, made, {"runs": [each.metrics for each in made]}, title)


def write_report(runs: Sequence[Evaluation], path: str | Path, *, title: str | None = None) -> None:
    """Write the report of one run, or of several on the same dataset side by side.

    Args:
        runs: their evaluations.
        path: the file; written whole or not at all.
        title: the heading; the names of runs and dataset when absent.
    """
    write_text(Path(path), report_html(runs, title))


def report_html(runs: Sequence[Evaluation], title: str | None = None) -> str:
    """The report as a string."""
    dataset = runs[0].metrics["dataset"]["name"]
    title = title or f"{' and '.join(run.name for run in runs)} on {dataset}"
    sections = [
        ("summary", "At a glance", _summary(runs)),
        ("trained", "What was trained", tables.facts_table(runs) + tables.dataset_table(runs[0])),
        ("probes", "Linear probes", _probes(runs)),
        ("curves", "Training", figures.curves(runs)),
        ("latents", "What the latents carry", figures.latent_spectrum(runs) + tables.drift_table(runs)),
        ("reconstructions", "Reconstructions", _reconstructions(runs)),
        ("map", "Latent map", _each(runs, figures.latent_map)),
        ("samples", "Samples from the prior", _each(runs, figures.samples)),
        ("between", "From one shape to another", _each(runs, figures.interpolation)),
        ("how", "How the figures came about", _protocol(runs[0])),
    ]
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="h-{key}"><h2 id="h-{key}">{name}</h2>{content}</section>'
        for key, name, content in sections
    )
    assets = files("pointvae.evaluation")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{assets.joinpath('report.css').read_text(encoding='utf-8')}</style>"
        f'</head><body><header><h1>{escape(title)}</h1><p class="lead">Point-cloud variational auto-encoders, '
        f"evaluated by pointvae {escape(__version__)}.</p></header>"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav><main>{body}</main>'
        f'<footer class="note">Made by <code>pointvae evaluate</code>. This file needs no other.</footer>'
        f"<script>\n{assets.joinpath('report.js').read_text(encoding='utf-8')}</script></body></html>\n"
    )


def _summary(runs: Sequence[Evaluation]) -> str:
    quick = " This was a quick evaluation on a part of the shapes." if runs[0].metrics["quick"] else ""
    return tables.summary_table(runs) + (
        '<p class="note">Accuracy: a linear SVM on the posterior mean, test split. Error: mean squared nearest '
        "distances, both ways added, in unit-sphere lengths squared. Gap: KL between the posteriors of a shape "
        f"transformed ({escape(runs[0].metrics['consistency_transforms'])}) and as it is.{quick}</p>"
    )


def _probes(runs: Sequence[Evaluation]) -> str:
    missing = [run for run in runs if not run.metrics["probes"]]
    if missing:
        return f'<p class="empty">No probe: {escape(missing[0].metrics["probes_left_out"])}</p>'
    details = "".join(
        f"<h3>{escape(run.name)}, aligned, posterior mean</h3>{figures.confusion(run)}"
        f"<details><summary>Accuracy by class</summary>{tables.class_table(run)}</details>"
        for run in runs
    )
    first = next(iter(runs[0].metrics["probes"].values()))
    intro = (
        f'<p class="note">{first["n_train"]:,} training and {first["n_test"]:,} test shapes, {first["points"]} '
        "points each; filled: trained, hollow: untrained; bars: 95 % bootstrap intervals over the test shapes.</p>"
    )
    return intro + figures.probe_chart(runs) + tables.probe_table(runs) + details


def _reconstructions(runs: Sequence[Evaluation]) -> str:
    parts = [figures.reconstructions(runs, [run.gallery for run in runs])]
    for run in runs:
        parts.append(f"<h3>Worst of {run.metrics['n_shapes']:,} shapes: {escape(run.name)}</h3>")
        parts.append(figures.reconstructions([run], [run.worst]))
    return "".join(parts)


def _each(runs: Sequence[Evaluation], draw: Any) -> str:
    if len(runs) == 1:
        return str(draw(runs[0]))
    return "".join(f"<h3>{escape(run.name)}</h3>{draw(run)}" for run in runs)


def _protocol(run: Evaluation) -> str:
    head, *steps = re.split(r"\n\d\. ", inspect.cleandoc(linear_probe.__doc__ or ""))
    items = "".join(f"<li>{escape(' '.join(step.split()))}</li>" for step in steps)
    m = run.metrics
    title = " ".join(head.replace("``", "").split())
    return (
        f"<p>{escape(title)} (<code>{linear_probe.PROTOCOL}</code>)</p><ol>{items}</ol>"
        '<p class="note">Rotated: training and test shapes each stand under their own fixed rotation. The untrained '
        "model has the same architecture and seed, and is probed in the same way. Seed of subsets, rotations, folds "
        f"and intervals: {m['seed']}. The figures of the tables stand in <code>{METRICS}</code>.</p>"
    )


def _folder(place: str | Path) -> Path:
    folder = Path(place)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give a folder for {METRICS} and {REPORT}")
    return folder


def _write(
    folder: Path, made: Sequence[Evaluation], figures_: dict[str, Any], title: str | None = None
) -> dict[str, Any]:
    html = report_html(made, title)
    text = json.dumps(_finite(figures_), indent=2, allow_nan=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / METRICS, text)
    write_text(folder / REPORT, html)
    return {**figures_, "report": str(folder / REPORT)}


def _finite(value: Any) -> Any:
    """JSON has no NaN: None in its place."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
