"""Run folders in, ``metrics.json``, ``evaluation.npz`` and ``report.html`` out."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointvae.data.shards import sha256
from pointvae.errors import InputError
from pointvae.evaluation.bench import SUBJECT
from pointvae.evaluation.comparison import compare_evaluations
from pointvae.evaluation.evaluate import check_parts, evaluate, headline
from pointvae.evaluation.parts import PARTS
from pointvae.evaluation.report import REPORT, report_html
from pointvae.evaluation.results import Evaluation, load_evaluation, save_evaluation, to_json
from pointvae.evaluation.work import Work
from pointvae.hub import WEIGHTS, run_folder
from pointvae.writing import output_folder, write_text

COMPARISON = "comparison.json"
SCRATCH = ".evaluation"  # what a killed evaluation leaves behind, to go on from


def evaluate_run(
    run: str | Path,
    dataset: str | Path,
    *,
    out: str | Path | None = None,
    quick: bool = False,
    full: bool = False,
    parts: Sequence[str] | None = None,
    points: int | None = None,
    batch_size: int = 64,
    jobs: int = -1,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Evaluate a run and write ``metrics.json``, ``evaluation.npz`` and ``report.html``.

    Killed, it goes on with the next part when called again.

    Args:
        run: the run folder.
        dataset: the dataset folder.
        out: where the files go; the run folder when absent.
        quick: take at most 1,000 training and 500 test shapes, and less of everything.
        full: take all test shapes for the corruptions.
        parts: names of the parts; all when absent. Other parts that ``out`` holds already stay, if they are of the
            same run, data and settings.
        points: points of each shape that the model sees; those of the training run when absent.
        batch_size: shapes in the model's hands at a time; no figure depends on it.
        jobs: threads, -1 for one on every core; no figure depends on it.
        seed: what every random draw is made from.
        progress: show bars on stderr.

    Returns:
        The figures, with ``report``: the report's path.

    Raises:
        InputError: the run, the dataset, an option or ``out`` is at fault; nothing was written.
    """
    if out is None and run_folder(run) != Path(run):
        raise InputError(f"{run}: is no folder of yours to write to; evaluate it with --out FOLDER")
    folder = output_folder(run if out is None else out)
    scratch = folder / SCRATCH
    work = Work(batch_size, jobs, progress)
    made = evaluate(
        run, dataset, parts=parts, quick=quick, full=full, points=points, seed=seed, work=work, scratch=scratch
    )
    made = _with_earlier(made, folder)
    html = report_html([made])
    save_evaluation(made, folder)
    write_text(folder / REPORT, html)
    shutil.rmtree(scratch, ignore_errors=True)
    return {**made.metrics, "report": str(folder / REPORT)}


def _with_earlier(made: Evaluation, folder: Path) -> Evaluation:
    """An evaluation with the parts that the folder holds already, if these are of the same run, data and settings."""
    try:
        earlier = load_evaluation(folder)
    except InputError:
        return made
    same = all(earlier.metrics.get(key) == made.metrics[key] for key in SUBJECT)
    kept = [name for name in PARTS if name in earlier.metrics and name not in made.metrics] if same else []
    if not kept:
        return made
    figures = {
        name: (made if name in made.metrics else earlier).metrics[name]
        for name in PARTS
        if name in {*kept, *made.metrics}
    }
    seconds = {**earlier.metrics["seconds"], **made.metrics["seconds"]}
    seconds["all"] = round(sum(seconds[name] for name in figures), 1)
    facts = {key: made.metrics[key] for key in (*SUBJECT, "parameters")}
    arrays = {name: array for name, array in earlier.arrays.items() if name.split("/")[0] in kept}
    metrics = {**facts, **headline(figures), **figures, "seconds": seconds}
    return dataclasses.replace(made, metrics=metrics, arrays={**arrays, **made.arrays})


def compare_runs(
    runs: Sequence[str | Path],
    *,
    dataset: str | Path | None = None,
    out: str | Path | None = None,
    title: str | None = None,
    seed: int = 0,
    **settings: Any,
) -> dict[str, Any]:
    """Hold evaluated runs against the first one, shape by shape and over training seeds.

    Args:
        runs: run folders, or the folders that their evaluations were written to; the first is the baseline.
        dataset: evaluates the runs that have not been evaluated yet; they are refused when absent.
        out: a folder for ``comparison.json`` and one ``report.html`` of all runs side by side.
        title: the report's heading.
        seed: what the intervals' resamples are drawn from, and of the evaluations.
        settings: of `evaluate_run`, for the runs that are evaluated now.

    Returns:
        What `compare_evaluations` gives, with ``report`` where one was written.

    Raises:
        InputError: a run is not evaluated, two were not evaluated alike, or ``out`` is at fault.
    """
    if len(runs) < 2:
        raise InputError(f"{len(runs)} run to compare: name at least two run folders")
    folder = None if out is None else output_folder(out)
    check_parts(settings.get("parts"))
    made = [_evaluated(run, dataset, seed, settings) for run in runs]
    found = compare_evaluations(made, seed=seed)
    if folder is None:
        return found
    html = report_html(made, title, found)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / COMPARISON, to_json(found))
    write_text(folder / REPORT, html)
    return {**found, "report": str(folder / REPORT)}


def _load(run: str | Path) -> Evaluation:
    """A run's evaluation, refused if the run has been trained on since."""
    made, weights = load_evaluation(run), Path(run) / WEIGHTS
    if weights.is_file() and sha256(weights) != made.metrics["model_sha256"]:
        raise InputError(f"{run}: was evaluated with other weights than it has now; evaluate it again")
    return made


def _evaluated(run: str | Path, dataset: str | Path | None, seed: int, settings: dict[str, Any]) -> Evaluation:
    """A run's evaluation, made now if there is none and a dataset to make it on."""
    try:
        return _load(run)
    except InputError:
        if dataset is None:
            raise
    evaluate_run(run, dataset, seed=seed, **settings)
    return _load(run)
