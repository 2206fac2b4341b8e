"""`prepare`: from any source of shapes to a dataset folder, the same bytes however it is run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from pointvae.data.building import Shard, Written, build, plan_shards, refused, shard_size_for
from pointvae.data.card import read_card
from pointvae.data.isolation import Limits
from pointvae.data.rows import Settings
from pointvae.data.sampling import Normalize, Up
from pointvae.data.source import SPLITS, Source, SourceOptions, check_counts
from pointvae.data.sources import open_source
from pointvae.data.target import check_target, finish, is_finished, remove, start
from pointvae.engines import Serial, open_engine
from pointvae.errors import InputError
from pointvae.places import place
from pointvae.progress import show
from pointvae.writing import sole_writer

FORMAT = 1
"""Raised when the same recipe would give other bytes."""


def prepare(
    source: Any,
    dataset: str | Path,
    *,
    up: Up | None = None,
    points: int | None = None,
    normalize: Normalize = "sphere",
    jobs: int = 1,
    seed: int = 0,
    normals: bool = False,
    test_fraction: float = 0.2,
    shapes_per_class: int = 100,
    dtype: str = "float32",
    shard_size: int | None = None,
    strict: bool = False,
    licence: str | None = None,
    from_archive: str | Path | None = None,
    offline: bool = False,
    label_column: str | None = None,
    split_column: str | None = None,
    points_column: str | None = None,
    engine: str = "local",
    timeout: float = 120.0,
    memory: float = 4.0,
    retries: int = 1,
    progress: bool = False,
) -> dict[str, Any]:
    """Turn a source of shapes into a dataset folder of point clouds, z up, that Hugging Face and Arrow also read.

    Each shape is sampled with a seed made from ``seed`` and its own name, so the bytes do not depend on ``jobs``, on
    the engine or on the order of files. A run that was stopped goes on with the shards that are missing when it is
    started again. Files are read in processes of their own: one that crashes its reader, hangs or swells is left out
    by name, and the rest goes on.

    Args:
        source: a named set, such as ``modelnet40`` or ``procedural``, see `pointvae datasets`; a folder (class =
            folder; train/ and test/ inside or outside the classes if present; or a table beside the shapes); a .zip,
            .tar or .tar.gz of such a folder; an .npz; an .h5 or a folder of them; Parquet or Arrow files, or what
            Hugging Face's ``save_to_disk`` wrote; ``hf://OWNER/NAME``. A folder may be an URL. In Python also
            `Shapes`, a PyG data set, a list of what `geometry_of` takes (arrays, meshes of trimesh and open3d, PyG's
            ``Data``), alone or in pairs with their labels, or a mapping of splits to them.
        dataset: the folder to write: a path, or an URL that fsspec writes to, such as ``s3://BUCKET/FOLDER``.
        up: the source's up axis, z unless given or known of a named set; y-up shapes are turned, since datasets are
            z up.
        points: points per shape; default 2,048 for meshes and files of clouds, and all that arrays hold.
        normalize: ``sphere`` (mean at the origin, largest norm 1), ``cube`` (box centred, half extent 1), ``none``.
        jobs: processes on this machine; -1 for one on each core.
        seed: seed of the sampling and of the split.
        normals: also store the normals of the faces that the points lie on.
        test_fraction: share of each class that becomes test where the source has no split of its own.
        shapes_per_class: how many shapes of each category ``procedural`` builds.
        dtype: ``float32`` or ``float16``, the type of the stored points.
        shard_size: shapes per Parquet file; by default so many that there are about 64 files, from 16 to 512.
        strict: fail at the first file that cannot be used, instead of leaving it out and saying so.
        licence: the licence of the shapes, for the card.
        from_archive: where a named set's archive, or the folder it was unpacked into, already lies.
        offline: download nothing.
        label_column: the column of classes, where a table or a Hugging Face data set has them.
        split_column: the column of splits, likewise.
        points_column: the column of clouds of a Hugging Face data set or of Parquet files.
        engine: ``local``, or a cluster: ``dask://HOST:PORT``, ``ray://HOST:PORT``, ``ray://auto``; its workers read
            the source and write the shards, so both must lie where all of them see it.
        timeout: seconds that reading and sampling one file may take.
        memory: GiB that it may take.
        retries: how many times more a file is tried that crashed or hung its reader.
        progress: show a progress bar and the files left out on stderr.

    Returns:
        What there is now: dataset, already_prepared, shapes, splits, classes, skipped, points, …, seconds.

    Raises:
        InputError: the source, an option or the folder is at fault; nothing is left behind.
    """
    started = time.perf_counter()
    folder = place(dataset)
    _check_options(up, points, normalize, seed, test_fraction, shapes_per_class, dtype, shard_size)
    limits = Limits(timeout, memory, retries)
    options = SourceOptions(seed, test_fraction, shapes_per_class, from_archive, offline, progress)
    options = replace(options, label_column=label_column, split_column=split_column, points_column=points_column)
    check_target(folder)
    with open_source(source, options) as opened:
        up = up or opened.up
        settings = Settings(opened.points if points is None else points, up, normalize, seed, normals, dtype)
        _check_plan(opened, settings, points, strict)
        size = shard_size or shard_size_for(len(opened.items))
        recipe = {
            "format": FORMAT,
            "source": opened.name,
            "fingerprint": opened.fingerprint,
            "points": settings.points,
            "up": up,
            "normalize": normalize,
            "seed": seed,
            "normals": normals,
            **opened.options,
            "dtype": dtype,
            "shard_size": size,
            "licence": licence or opened.licence,
        }
        plan = plan_shards(opened, size)
        if is_finished(folder, recipe):
            card = read_card(folder)["pointvae"]
            _remember(opened, dataset)
            if strict and card["skipped"]:
                raise refused(**card["skipped"][0])
            return _summary(folder, card, already=True, kept=len(plan), started=started)
        with open_engine(engine, jobs) as cluster:
            created = start(folder, recipe)
            with sole_writer(folder):
                try:
                    used = cluster if opened.parallel else Serial()  # arrays lie in this process
                    written = build(
                        folder, opened, plan, settings, used, limits=limits, strict=strict, progress=progress
                    )
                    facts = _facts(opened, plan, written, settings, recipe)
                except InputError:
                    remove(folder, (shard.file for shard in plan), created)
                    raise
                finish(folder, facts)
    _remember(opened, dataset)
    show(_lines(facts["skipped"]), progress)
    return _summary(folder, facts, already=False, kept=sum(shard.kept for shard in written), started=started)


def _remember(source: Source, dataset: str | Path) -> None:
    """Let `pointvae datasets` find what was prepared from a named set."""
    if source.origin is not None:
        from pointvae.data.named.cache import note_prepared

        note_prepared(source.name, dataset)


def _check_options(
    up: str | None,
    points: int | None,
    normalize: str,
    seed: int,
    test_fraction: float,
    shapes_per_class: int,
    dtype: str,
    shard_size: int | None,
) -> None:
    choices = {"up": (up, get_args(Up)), "normalize": (normalize, get_args(Normalize))}
    choices["dtype"] = (dtype, ("float32", "float16"))
    for name, (value, allowed) in choices.items():
        if value is not None and value not in allowed:
            raise InputError(f"--{name} {value}: not one of {', '.join(allowed)}")
    least = {"points": (points, 2), "seed": (seed, 0), "shapes_per_class": (shapes_per_class, 1)}
    least["shard_size"] = (shard_size, 1)
    for name, (number, low) in least.items():
        if number is not None and number < low:
            raise InputError(f"--{name} {number}: must be {low} or more")
    if not 0 <= test_fraction < 1:
        raise InputError(f"--test_fraction {test_fraction}: must be at least 0 and less than 1")


def _check_plan(source: Source, settings: Settings, asked: int | None, strict: bool) -> None:
    """Refuse a source without shapes, and clouds with fewer points than every shape is to have."""
    if not source.items:
        raise InputError(f"{source.name}: holds no shapes")
    if strict and source.skipped:
        raise refused(**source.skipped[0])
    if settings.normals and source.kind == "arrays":
        raise InputError(f"{source.name}: arrays of points have no faces to take normals from; leave out --normals")
    check_counts(source, settings.points, told=asked is not None)


def _lines(skipped: list[dict[str, str]], most: int = 30) -> Iterator[str]:
    """What was left out, for people; the card has all of it."""
    for row in skipped[:most]:
        yield f"left out {row['file']}: {row['why']}"
    if len(skipped) > most:
        yield f"... and {len(skipped) - most} more, all of them listed in the dataset's README.md"


def _facts(
    source: Source, plan: list[Shard], written: list[Written], settings: Settings, recipe: dict[str, Any]
) -> dict[str, Any]:
    """What the card records: nothing of it depends on the machine, the time or the number of workers."""
    splits: dict[str, dict[str, Any]] = {}
    rows = []
    skipped = list(source.skipped)
    for shard, made in zip(plan, written, strict=True):
        skipped += made.skipped
        split = splits.setdefault(shard.split, {"shapes": 0, "classes": dict.fromkeys(source.classes, 0)})
        split["shapes"] += made.rows
        for name, count in zip(source.classes, made.classes, strict=True):
            split["classes"][name] += count
        rows.append(
            {
                "file": shard.file,
                "split": shard.split,
                "rows": made.rows,
                "bytes": made.bytes,
                "sha256": made.sha256,
            }
        )
    if not sum(split["shapes"] for split in splits.values()):
        first = skipped[0]
        reason = f"{first['file']}: {first['why']}"
        raise InputError(f"{source.name}: no shape can be used ({len(skipped)} left out); {reason}")
    return {
        "classes": source.classes,
        "splits": {name: splits[name] for name in SPLITS if name in splits},
        "points": settings.points,
        "up": "z",
        "source_up": settings.up,
        "normalize": settings.normalize,
        "dtype": settings.dtype,
        "normals": settings.normals,
        "factors": source.factors,
        "source": source.name,
        **({"origin": source.origin} if source.origin else {}),
        "licence": recipe["licence"],
        "recipe": recipe,
        "shards": rows,
        "skipped": skipped,
    }


def _summary(folder: Path, facts: dict[str, Any], *, already: bool, kept: int, started: float) -> dict[str, Any]:
    names = ("splits", "classes", "points", "up", "source_up", "normalize", "dtype", "source", "licence", "skipped")
    return {
        "dataset": str(folder),
        "already_prepared": already,
        "shapes": sum(split["shapes"] for split in facts["splits"].values()),
        **{name: facts[name] for name in names},
        "seed": facts["recipe"]["seed"],
        **({"origin": facts["origin"], "hints": facts["origin"]["notes"]} if "origin" in facts else {}),
        "shards": len(facts["shards"]),
        "shards_kept": kept,
        "bytes": sum(shard["bytes"] for shard in facts["shards"]),
        "seconds": round(time.perf_counter() - started, 3),
    }
