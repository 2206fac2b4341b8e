"""Shapes that a user points at, read as a run was trained to see them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from pointvae.data.card import is_dataset
from pointvae.data.dataset import Shapes, load_dataset
from pointvae.data.inputs import Input, open_input, read_input
from pointvae.data.sampling import Up
from pointvae.evaluation.probes import default_points
from pointvae.places import place


def read_for_run(
    config: dict[str, Any],
    path: str | Path,
    *,
    points: int | None = None,
    up: Up | None = None,
    split: str | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Shapes:
    """A dataset folder, a mesh, a cloud, or a folder of them, prepared as the run's own data were.

    Args:
        config: the run's ``config.json``.
        path: what to read.
        points: points of each shape; those of the training run when absent, or all that a dataset has if fewer.
        up: the up axis of raw files; that of the run's own source when absent. Dataset folders are z up already.
        split: only this split of a dataset; all of them when absent.
        seed: of the sampling.
        progress: show a bar on stderr.

    Raises:
        InputError: nothing is there, or it cannot be used.
    """
    return read_input(path, **_as_trained(config, path, points, up), split=split, seed=seed, progress=progress)


def open_for_run(
    config: dict[str, Any],
    path: str | Path,
    *,
    points: int | None = None,
    up: Up | None = None,
    split: str | None = None,
    seed: int = 0,
) -> contextlib.AbstractContextManager[Input]:
    """What `read_for_run` reads, piece by piece; its arguments.

    Raises:
        InputError: nothing is there, or it cannot be used.
    """
    return open_input(path, **_as_trained(config, path, points, up), split=split, seed=seed)


def _as_trained(config: dict[str, Any], path: str | Path, points: int | None, up: Up | None) -> dict[str, Any]:
    preparation = config.get("preparation") or {}
    count = points if points is not None else config.get("points")
    if is_dataset(place(path)):
        preparation = {**preparation, "up": "z"}
        if points is None:
            count = default_points(config, load_dataset(path))
    up = up or preparation.get("up", "z")
    return {"points": count, "up": up, "normalize": preparation.get("normalize", "sphere")}
