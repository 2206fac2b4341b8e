"""`inspect`: what is in a dataset folder, or in a folder of raw files, before anything is trained on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data import shards
from pointvae.data.card import MANIFEST, is_dataset
from pointvae.data.checks import find_duplicates, guess_up
from pointvae.data.dataset import load_dataset
from pointvae.data.isolation import Limits
from pointvae.data.parallel import progress_bar
from pointvae.data.picture import draw_shapes
from pointvae.data.rows import Made, Settings, rows_in_order
from pointvae.data.source import SourceOptions
from pointvae.data.sources import open_source
from pointvae.engines import Serial, open_engine
from pointvae.errors import InputError

RAW_POINTS = 1024
"""Points to which raw shapes are sampled when they are looked at."""

PICTURE_CLASSES, PICTURE_SHAPES = 10, 6
"""How many classes, and how many shapes of each, the picture shows."""


@dataclass
class Found:
    """The shapes of one split that could be read: points [n, N, 3], labels [n], and a digest of each source shape."""

    points: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64] | None
    names: list[str]
    digests: list[str]


def inspect(
    path: str | Path, picture: str | Path | None = None, progress: bool = False, jobs: int = 1
) -> dict[str, Any]:
    """Count and check the shapes of a dataset folder, or of anything that `prepare` takes.

    Args:
        path: a dataset folder, or a folder, archive or file of arrays of raw shapes.
        picture: a .png to write, a few shapes of each class.
        progress: show a progress bar on stderr.
        jobs: processes for reading raw files.

    Returns:
        kind, classes, splits (shapes, classes, points, extents, radius), duplicates, broken, empty, non_finite, up,
        up_looks, checksums, hints.

    Raises:
        InputError: nothing is there, a shard is cut short, or no file can be read.
    """
    place = Path(path)
    if picture is not None and Path(picture).suffix.lower() != ".png":
        raise InputError(f"--picture {picture}: must end in .png")
    if place.is_dir() and (is_dataset(place) or (place / MANIFEST).is_file()):
        facts, classes, splits = _inspect_dataset(place, progress)
    else:
        facts, classes, splits = _inspect_raw(path, jobs, progress)
    report: dict[str, Any] = {"path": str(path), **facts, "classes": classes}
    report["shapes"] = sum(len(found.names) for found in splits.values())
    report["splits"] = {name: _describe(found, classes) for name, found in splits.items()}
    report["duplicates"] = find_duplicates({name: (found.names, found.digests) for name, found in splits.items()})
    clouds = [found.points for found in splits.values() if len(found.points)]
    report["up_looks"] = guess_up(np.concatenate(clouds)) if clouds else None
    report["hints"] = _hints(report)
    if picture is not None:
        _draw(report, splits, Path(picture))
        report["picture"] = str(picture)
    return report


def _inspect_dataset(place: Path, progress: bool) -> tuple[dict[str, Any], list[str], dict[str, Found]]:
    dataset = load_dataset(place)
    card = dataset.card["pointvae"]
    damaged = []
    digests: dict[str, list[str]] = {}
    with progress_bar(progress, "checking", len(card["shards"])) as advance:
        for shard in card["shards"]:
            if shards.sha256(place / shard["file"]) != shard["sha256"]:
                damaged.append(shard["file"])
            listed = shards.read_digests(place / shard["file"])
            if len(listed) != shard["rows"]:
                raise shards.damaged(place / shard["file"], "its notes are missing")
            digests.setdefault(shard["split"], []).extend(listed)
            advance()
    splits = {}
    for name in dataset.splits:
        shapes = dataset[name]
        splits[name] = Found(shapes.points, shapes.labels, shapes.names, digests[name])
    facts = {
        "kind": "dataset",
        "source": card["source"],
        "points": dataset.points,
        "normalize": card["normalize"],
        "up": card["up"],
        "source_up": card["source_up"],
        "licence": card["licence"],
        "checksums": {"checked": len(card["shards"]), "damaged": damaged},
        "left_out": card["skipped"],
        "broken": [],
        "empty": 0,
        "non_finite": 0,
    }
    return facts, dataset.classes, splits


def _inspect_raw(path: str | Path, jobs: int, progress: bool) -> tuple[dict[str, Any], list[str], dict[str, Found]]:
    with open_source(path, SourceOptions(test_fraction=0)) as source:
        drawn = "test_fraction" in source.options
        counts = sorted(number for _, count in source.clouds if (number := count()) is not None)
        fewest = min((number for number in counts if number > 1), default=RAW_POINTS)
        settings = Settings(min(fewest, RAW_POINTS), "z", "none", 0, normals=False, dtype="float32")
        rows: dict[str, list[tuple[Made, int | None, str]]] = {}
        broken = list(source.skipped)
        limits = Limits() if source.isolated else None
        with open_engine("local", jobs) as engine, progress_bar(progress, "reading", len(source.items)) as advance:
            used = engine if source.parallel else Serial()
            for item, row in zip(source.items, rows_in_order(source.items, settings, used, limits), strict=True):
                advance()
                if isinstance(row, Made):
                    split = "unsplit" if drawn else item.split
                    rows.setdefault(split, []).append((row, item.label, item.name))
                else:
                    broken.append({"file": item.name, "why": row})
    if not rows:
        raise InputError(f"{source.name}: no shape can be read; {broken[0]['file']}: {broken[0]['why']}")
    splits = {
        name: Found(
            np.stack([row.points for row, _, _ in found]),
            np.array([label for _, label, _ in found], np.int64) if source.classes else None,
            [shape for _, _, shape in found],
            [row.digest for row, _, _ in found],
        )
        for name, found in rows.items()
    }
    reasons = [row["why"] for row in broken]
    facts = {
        "kind": source.kind,
        "source": source.name,
        "points": {"least": counts[0], "most": counts[-1]} if counts else None,
        "normalize": None,
        "up": None,
        "licence": source.licence,
        "checksums": None,
        "left_out": [],
        "broken": broken,
        "empty": sum("empty" in why or "holds no" in why for why in reasons),
        "non_finite": sum("NaN" in why for why in reasons),
    }
    return facts, source.classes, splits


def _describe(found: Found, classes: Sequence[str]) -> dict[str, Any]:
    low, high = found.points.min(axis=1), found.points.max(axis=1)
    extents = np.median(high - low, axis=0)
    radius = np.linalg.norm(found.points, axis=-1).max(axis=1)
    counts: dict[str, int] = {}
    if found.labels is not None:
        totals = np.bincount(found.labels, minlength=len(classes))
        counts = {name: int(total) for name, total in zip(classes, totals, strict=True)}
    return {
        "shapes": len(found.names),
        "classes": counts,
        "median_extents": [float(f"{extent:.4g}") for extent in extents],
        "radius": [float(f"{value:.4g}") for value in (radius.min(), radius.max())],
    }


def _hints(report: dict[str, Any]) -> list[str]:
    hints = []
    looks = report["up_looks"]
    if looks and looks["share"] >= 0.5 and report["shapes"] >= 10:
        if report["up"] is None and looks["axis"] == "y":
            hints.append("the shapes look y up: prepare them with --up y")
        elif report["up"] == "z" and looks["axis"] != "z":
            hints.append(f"the shapes look {looks['axis']} up: was another --up meant when they were prepared?")
    if report["duplicates"]["across_splits"]:
        hints.append(f"{report['duplicates']['across_splits']} shapes stand in more than one split")
    if report["broken"]:
        hints.append(f"{len(report['broken'])} files cannot be used")
    if report["checksums"] and report["checksums"]["damaged"]:
        hints.append("shards have changed since they were written: run the same `pointvae prepare` again")
    return hints


def _draw(report: dict[str, Any], splits: dict[str, Found], path: Path) -> None:
    points = [cloud for found in splits.values() for cloud in found.points]
    labels = [label for found in splits.values() for label in (found.labels if found.labels is not None else ())]
    turn = report["up"] is None and any("y up" in hint for hint in report["hints"])
    if turn:
        points = [np.stack([cloud[:, 0], -cloud[:, 2], cloud[:, 1]], axis=1) for cloud in points]
    rows: dict[str, list[npt.NDArray[Any]]] = {}
    if labels:
        present = np.unique(labels)
        shown = present[np.unique(np.linspace(0, len(present) - 1, PICTURE_CLASSES).round().astype(int))]
        for label in shown:
            members = np.flatnonzero(np.array(labels) == label)
            rows[report["classes"][label]] = [points[i] for i in _spread(members)]
    else:
        rows = {"": [points[i] for i in _spread(np.arange(len(points)))]}
    counts = " + ".join(f"{len(found.names)} {name}" for name, found in splits.items())
    shown_of = f", {len(rows)} of {len(report['classes'])} classes" if len(rows) < len(report["classes"]) else ""
    draw_shapes(rows, f"{report['source']}: {counts} shapes{shown_of}", path)


def _spread(members: npt.NDArray[np.int64]) -> list[int]:
    chosen = np.unique(np.linspace(0, len(members) - 1, PICTURE_SHAPES).round().astype(int))
    return [int(index) for index in members[chosen]]
