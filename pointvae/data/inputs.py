"""`read_input`: whatever a user points at, as clouds that a trained model takes."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointvae.data.card import MANIFEST, is_dataset, read_card
from pointvae.data.dataset import Shapes, load_dataset
from pointvae.data.isolation import Limits
from pointvae.data.parallel import progress_bar
from pointvae.data.readers import READERS, read_file
from pointvae.data.rows import Made, Settings, rows_in_order
from pointvae.data.sampling import Normalize, Up, normalize_points, shape_rng, thin_index, to_cloud
from pointvae.data.source import Item, Source, SourceOptions, check_counts
from pointvae.data.sources import open_source
from pointvae.engines import Serial, open_engine
from pointvae.errors import InputError

logger = logging.getLogger(__name__)


def read_input(
    path: str | Path,
    *,
    points: int | None,
    seed: int = 0,
    up: Up = "z",
    normalize: Normalize = "sphere",
    split: str | None = None,
    jobs: int = 1,
    progress: bool = False,
) -> Shapes:
    """Clouds of ``points`` points, z up and normalised, of anything that holds shapes.

    A file in a folder that cannot be used is left out, with a warning in the log; a single file that cannot be used
    is an error. Clouds with more points than asked for are thinned, each with its own seed.

    Args:
        path: a dataset folder, a mesh, a cloud, a folder or an archive of them, an .npz or an .h5.
        points: points per shape; None for what `prepare` would take.
        seed: seed of the sampling and thinning.
        up: the up axis of raw shapes; a dataset folder is z up already.
        normalize: as in `prepare`; a dataset folder is normalised anew only if its card says otherwise.
        split: only this split; all of them by default.
        jobs: processes for reading raw files.
        progress: show a progress bar on stderr.

    Returns:
        `Shapes` with points [n, points, 3].

    Raises:
        InputError: nothing is there, the file is at fault, or a cloud holds fewer points than asked for.
    """
    place = Path(path)
    if points is not None and points < 2:
        raise InputError(f"--points {points}: must be 2 or more")
    if place.is_file() and place.suffix.lower() in READERS:
        return _read_single(place, points, seed, up, normalize)
    if place.is_dir() and (is_dataset(place) or (place / MANIFEST).is_file()):
        if up != "z":
            raise InputError(f"{place}: a dataset folder is z up already; leave out --up {up}")
        return _read_dataset(place, points, seed, normalize, split)
    with open_source(place, SourceOptions(seed=seed, test_fraction=0)) as source:
        count = source.points if points is None else points
        check_counts(source, count, told=points is not None)
        settings = Settings(count, up, normalize, seed, normals=False, dtype="float32")
        return _read_source(source, settings, split, jobs, progress)


def _read_single(place: Path, points: int | None, seed: int, up: Up, normalize: Normalize) -> Shapes:
    try:
        geometry = read_file(place)
        count = points or 2048
        if points is None and geometry.faces is None:
            count = len(geometry.vertices)
        cloud, _ = to_cloud(geometry, points=count, up=up, normalize=normalize, rng=shape_rng(seed, place.name))
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    return Shapes(cloud[None], None, [place.name], [])


def _read_dataset(place: Path, points: int | None, seed: int, normalize: Normalize, split: str | None) -> Shapes:
    facts = read_card(place)["pointvae"]
    dataset = load_dataset(place)
    splits = dataset.splits if split is None else [split]
    shapes = join([dataset[name] for name in splits])
    count = dataset.points if points is None else points
    if count > dataset.points:
        raise InputError(
            f"{place}: its clouds hold {dataset.points} points, fewer than the {count} asked for; "
            f"use --points {dataset.points} or fewer, or prepare it anew with --points {count}"
        )
    clouds, normals = shapes.points, shapes.normals
    if count < dataset.points:
        rngs = (shape_rng(seed, name) for name in shapes.names)
        chosen = np.stack([thin_index(dataset.points, count, rng) for rng in rngs])[..., None]
        clouds = np.take_along_axis(clouds, chosen, axis=1)
        normals = None if normals is None else np.take_along_axis(normals, chosen, axis=1)
    if facts["normalize"] != normalize and normalize != "none":
        clouds = np.stack([normalize_points(cloud, normalize) for cloud in clouds])
    return dataclasses.replace(shapes, points=clouds, normals=normals)


def _read_source(source: Source, settings: Settings, split: str | None, jobs: int, progress: bool) -> Shapes:
    items = [item for item in source.items if split in (None, item.split)]
    if not items:
        there = ", ".join(dict.fromkeys(item.split for item in source.items)) or "no shapes"
        raise InputError(f"{source.name}: has no split {split!r}; it has {there}")
    for skipped in source.skipped:
        logger.warning("left out %s: %s", skipped["file"], skipped["why"])
    made: list[Made] = []
    kept: list[Item] = []
    reasons: list[str] = []
    limits = Limits() if source.isolated else None
    with open_engine("local", jobs) as engine, progress_bar(progress, "reading", len(items)) as advance:
        rows = rows_in_order(items, settings, engine if source.parallel else Serial(), limits)
        for item, row in zip(items, rows, strict=True):
            advance()
            if isinstance(row, Made):
                made.append(row)
                kept.append(item)
            else:
                reasons.append(f"{item.name}: {row}")
                logger.warning("left out %s", reasons[-1])
    if not made:
        raise InputError(f"{source.name}: no shape can be used ({len(reasons)} left out); {reasons[0]}")
    labels = np.array([item.label for item in kept], np.int64) if source.classes else None
    points = np.stack([row.points for row in made])
    return Shapes(points, labels, [item.name for item in kept], source.classes)


def join(parts: Sequence[Shapes]) -> Shapes:
    """The shapes of several splits of one dataset, one after the other."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    labels = [part.labels for part in parts if part.labels is not None]
    normals = [part.normals for part in parts if part.normals is not None]
    factors = [part.factors for part in parts if part.factors is not None]
    return Shapes(
        np.concatenate([part.points for part in parts]),
        np.concatenate(labels) if labels else None,
        [name for part in parts for name in part.names],
        first.classes,
        np.concatenate(normals) if normals else None,
        [values for part in factors for values in part] if factors else None,
    )
