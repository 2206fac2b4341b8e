"""Everything there is to know of a trained run on a dataset: figures as JSON, and what the report shows."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointvae.errors import InputError
from pointvae.evaluation.bench import Bench
from pointvae.evaluation.parts import PARTS
from pointvae.evaluation.results import Arrays, Evaluation, Part
from pointvae.evaluation.store import PartStore
from pointvae.evaluation.work import Work, one_thread
from pointvae.refusals import near

_log = logging.getLogger(__name__)


def evaluate(
    run: str | Path,
    dataset: str | Path,
    *,
    parts: Sequence[str] | None = None,
    quick: bool = False,
    full: bool = False,
    points: int | None = None,
    seed: int = 0,
    work: Work | None = None,
    scratch: Path | None = None,
) -> Evaluation:
    """Evaluate a run on a dataset's test split; its train split serves the probes alone.

    A part that the data or the model do not allow is left out, with the reason in ``left_out``.

    Args:
        run: the run folder.
        dataset: the dataset folder.
        parts: names of the parts; all when absent.
        quick: take at most 1,000 training and 500 test shapes, from every class in turn, and less of everything.
        full: take all test shapes for the corruptions.
        points: points of each shape that the model sees; those of the training run when absent.
        seed: what every random draw is made from.
        work: how much is done at a time; no figure depends on it.
        scratch: a folder where finished parts are kept, so that a killed evaluation goes on; removed by its owner.

    Raises:
        InputError: the run, the dataset or an option is at fault.
    """
    chosen = check_parts(parts)
    bench = Bench(run, dataset, points=points, seed=seed, quick=quick, full=full, work=work, scratch=scratch)
    subject = bench.describes
    store = None if scratch is None else PartStore(scratch, subject)
    figures: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    arrays: Arrays = {}
    with one_thread():
        for name in chosen:
            part, seconds[name] = _found_or_made(name, bench, store)
            figures[name] = part.figures
            arrays |= {f"{name}/{key}": value for key, value in part.arrays.items()}
    metrics = {
        **subject,
        "parameters": sum(weights.numel() for weights in bench.model.parameters()),
        **headline(figures),
        **figures,
        "seconds": {**seconds, "all": round(sum(seconds.values()), 1)},
    }
    return Evaluation(
        name=metrics["run"],
        metrics=metrics,
        config=bench.config,
        card=bench.data.card["pointvae"],
        classes=list(bench.data.classes),
        history=read_history(Path(run) / "metrics.csv"),
        arrays=arrays,
    )


def check_parts(parts: Sequence[str] | None) -> list[str]:
    """The chosen parts in their order.

    Raises:
        InputError: one is unknown, or none is named.
    """
    if parts is None:
        return list(PARTS)
    for name in parts:
        if name not in PARTS:
            raise InputError(f"--parts {name!r}: unknown{near(name, PARTS)}; choose from {', '.join(PARTS)}")
    if not parts:
        raise InputError(f"--parts: names none; choose from {', '.join(PARTS)}")
    return [name for name in PARTS if name in parts]


def headline(figures: dict[str, Any]) -> dict[str, float]:
    """The figures that stand at the top, from the parts that were made."""
    top: dict[str, float] = {}
    for turns, result in figures.get("probes", {}).get("rotations", {}).items():
        name = {"none": "", "z": "rotated_"}.get(turns)
        if name is not None:
            top |= {f"{prefix}{name}accuracy": result[f"{prefix}accuracy"] for prefix in ("", "untrained_")}
    if "measures" in figures.get("reconstruction", {}):
        top["cd_l2_mean"] = figures["reconstruction"]["measures"]["cd_l2_mean"]["mean"]
    for part, names in (
        ("consistency", ("consistency_gap",)),
        ("latents", ("latent_dim", "active_units", "kl", "posterior_std")),
    ):
        top |= {name: figures[part][name] for name in names if name in figures.get(part, {})}
    return top


def _found_or_made(name: str, bench: Bench, store: PartStore | None) -> tuple[Part, float]:
    found = None if store is None else store.load(name)
    if found is not None:
        return found
    started = time.monotonic()
    try:
        part = PARTS[name](bench)
    except InputError as error:
        part = Part({"left_out": str(error)})
    if "left_out" in part.figures:
        _log.info("%s: left out: %s", name, part.figures["left_out"])
    seconds = round(time.monotonic() - started, 2)
    if store is not None:
        store.keep(name, part, seconds)
    return part, seconds


def read_history(path: Path) -> list[dict[str, float]]:
    """Rows of a run's ``metrics.csv`` without their empty cells; none where there is no such file.

    Raises:
        InputError: a cell is no number.
    """
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        try:
            return [{k: float(v) for k, v in row.items() if k and v} for row in csv.DictReader(file)]
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: damaged ({error}); remove it to go on without curves") from None
