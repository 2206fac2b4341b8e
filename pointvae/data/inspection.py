"""`inspect`: what is in a dataset folder, or in a folder of raw files, before anything is trained on it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data import shards
from pointvae.data.card import MANIFEST, is_dataset
from pointvae.data.checks import find_duplicates, guess_up, up_votes
from pointvae.data.dataset import load_dataset, read_shards
from pointvae.data.isolation import Limits, shared
from pointvae.data.layouts import HUB
from pointvae.data.picture import draw_shapes
from pointvae.data.rows import Made, Settings, make_rows, rows_in_order
from pointvae.data.source import Source, SourceOptions
from pointvae.data.sources import open_source
from pointvae.engines import Serial, open_engine
from pointvae.errors import InputError
from pointvae.places import here, place
from pointvae.progress import progress_bar

RAW_POINTS = 1024
"""Points to which raw shapes are sampled when they are looked at."""

SHARD = Limits()
"""What reading one shard of a dataset folder may cost."""

PICTURE_CLASSES, PICTURE_SHAPES = 10, 6
"""How many classes, and how many shapes of each, the picture shows."""


Clouds = npt.NDArray[np.float32]


@dataclass
class Found:
    """What is kept of the shapes of one split, a few bytes each, however many points they have.

    Attributes:
        names: the name of each shape [n].
        digests: what each was made from, as a digest [n].
        labels: the class of each [n]; empty where there are no classes.
        extents: the size of each along every axis, pieces of [n, 3].
        radii: the largest distance from the origin of each, pieces of [n].
        up: for how many of them each axis looks like the one that points up [3].
    """

    names: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    extents: list[Clouds] = field(default_factory=list)
    radii: list[Clouds] = field(default_factory=list)
    up: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))

    def add(self, points: Clouds, names: list[str], digests: list[str], labels: list[int]) -> None:
        """Look at some more clouds [n, N, 3]."""
        self.names += names
        self.digests += digests
        self.labels += labels
        self.extents.append(points.max(axis=1) - points.min(axis=1))
        self.radii.append(np.linalg.norm(points, axis=-1).max(axis=1))
        self.up += up_votes(points)


Pick = Callable[[str, list[int]], "list[Clouds]"]
"""Gives the clouds [N, 3] of a split at some places."""


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
    where = Path(path) if str(path).startswith(HUB) else place(path)  # what the Hub has is no folder
    if picture is not None and Path(picture).suffix.lower() != ".png":
        raise InputError(f"--picture {picture}: must end in .png")
    dataset = where.is_dir() and (is_dataset(where) or (where / MANIFEST).is_file())
    with _open_dataset(where, progress) if dataset else _open_raw(path, jobs, progress) as (facts, splits, pick):
        classes = facts["classes"]
        report: dict[str, Any] = {"path": str(path), **facts}
        report["shapes"] = sum(len(found.names) for found in splits.values())
        report["splits"] = {name: _describe(found, classes) for name, found in splits.items()}
        report["duplicates"] = find_duplicates({name: (found.names, found.digests) for name, found in splits.items()})
        report["up_looks"] = guess_up(np.sum([found.up for found in splits.values()], axis=0))
        report["hints"] = _hints(report)
        if picture is not None:
            _draw(report, splits, pick, Path(picture))
            report["picture"] = str(picture)
    return report


@contextlib.contextmanager
def _open_dataset(where: Path, progress: bool) -> Iterator[tuple[dict[str, Any], dict[str, Found], Pick]]:
    dataset = load_dataset(where)
    card = dataset.card["pointvae"]
    damaged = []
    splits = {name: Found() for name in dataset.splits}
    listed = [dataset.shards(name) for name in dataset.splits]
    pieces = {file: (some, shard) for some in listed for shard, file in enumerate(some.files)}
    with progress_bar(progress, "checking", len(card["shards"])) as advance:
        for row in card["shards"]:
            if not _is_as_written(where / row["file"], row["sha256"]):
                damaged.append(row["file"])
            digests = shards.read_digests(where / row["file"])
            if len(digests) != row["rows"]:
                raise shards.damaged(where / row["file"], "its notes are missing")
            if row["rows"]:
                some, shard = pieces[row["file"]]
                shapes = read_shards(some.only(shard), card)
                labels = [] if shapes.labels is None else shapes.labels.tolist()
                splits[row["split"]].add(shapes.points, shapes.names, digests, labels)
            advance()
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
        "classes": dataset.classes,
    }

    def pick(split: str, places: list[int]) -> list[Clouds]:
        order = np.argsort(places)
        clouds = dataset.shards(split).take(np.array(places, np.int64)[order])
        return [clouds[rank] for rank in np.argsort(order)]

    yield facts, splits, pick


def _is_as_written(path: Path, checksum: str) -> bool:
    """Whether a shard has its checksum; it is read in a process apart first, since a stranger may have made it.

    Raises:
        InputError: it is damaged, or ended its reader.
    """
    with here(path) as file:
        why = shared(SHARD).rehearse(functools.partial(shards.rehearse, file.absolute()))
        if why:
            told = why.split("; ")[0]  # the rest names options that `inspect` has not
            raise InputError(f"{path}: the shard {told}; do not use this dataset, or make it anew from its source")
        return shards.sha256(file) == checksum


@contextlib.contextmanager
def _open_raw(path: str | Path, jobs: int, progress: bool) -> Iterator[tuple[dict[str, Any], dict[str, Found], Pick]]:
    with open_source(path, SourceOptions(test_fraction=0)) as source:
        drawn = "test_fraction" in source.options
        counts = sorted(number for _, count in source.clouds if (number := count()) is not None)
        fewest = min((number for number in counts if number > 1), default=RAW_POINTS)
        settings = Settings(min(fewest, RAW_POINTS), "z", "none", 0, normals=False, dtype="float32")
        splits: dict[str, Found] = {}
        items: dict[str, list[int]] = {}
        broken = list(source.skipped)
        limits = Limits() if source.isolated else None
        with open_engine("local", jobs) as engine, progress_bar(progress, "reading", len(source.items)) as advance:
            used = engine if source.parallel else Serial()
            for index, row in enumerate(rows_in_order(source.items, settings, used, limits)):
                advance()
                item = source.items[index]
                if isinstance(row, Made):
                    split = "unsplit" if drawn else item.split
                    labels = [item.label] if source.classes and item.label is not None else []
                    splits.setdefault(split, Found()).add(row.points[None], [item.name], [row.digest], labels)
                    items.setdefault(split, []).append(index)
                else:
                    broken.append({"file": item.name, "why": row})
        if not splits:
            raise InputError(f"{source.name}: no shape can be read; {broken[0]['file']}: {broken[0]['why']}")

        def pick(split: str, places: list[int]) -> list[Clouds]:
            chosen = [source.items[items[split][where]] for where in places]
            return [row.points for row in make_rows(chosen, settings, limits) if isinstance(row, Made)]

        yield _raw_facts(source, counts, broken), splits, pick


def _raw_facts(source: Source, counts: list[int], broken: list[dict[str, str]]) -> dict[str, Any]:
    reasons = [row["why"] for row in broken]
    return {
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
        "classes": source.classes,
    }


def _describe(found: Found, classes: Sequence[str]) -> dict[str, Any]:
    extents, radius = np.median(np.concatenate(found.extents), axis=0), np.concatenate(found.radii)
    counts: dict[str, int] = {}
    if found.labels:
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
        several = len(report["broken"]) > 1
        hints.append(f"{len(report['broken'])} {'files' if several else 'file'} cannot be used")
    if report["checksums"] and report["checksums"]["damaged"]:
        hints.append("shards have changed since they were written: run the same `pointvae prepare` again")
    return hints


def _draw(report: dict[str, Any], splits: dict[str, Found], pick: Pick, path: Path) -> None:
    places = [(split, place) for split, found in splits.items() for place in range(len(found.names))]
    labels = np.array([label for found in splits.values() for label in found.labels])
    turn = report["up"] is None and any("y up" in hint for hint in report["hints"])

    def clouds(members: list[int]) -> list[npt.NDArray[Any]]:
        chosen = [places[member] for member in members]
        found = [cloud for split in splits for cloud in pick(split, [place for own, place in chosen if own == split])]
        return [np.stack([c[:, 0], -c[:, 2], c[:, 1]], axis=1) for c in found] if turn else list(found)

    rows: dict[str, list[npt.NDArray[Any]]] = {}
    if len(labels):
        present = np.unique(labels)
        shown = present[np.unique(np.linspace(0, len(present) - 1, PICTURE_CLASSES).round().astype(int))]
        for label in shown:
            rows[report["classes"][label]] = clouds(_spread(np.flatnonzero(labels == label)))
    else:
        rows = {"": clouds(_spread(np.arange(len(places))))}
    counts = " + ".join(f"{len(found.names)} {name}" for name, found in splits.items())
    shown_of = f", {len(rows)} of {len(report['classes'])} classes" if len(rows) < len(report["classes"]) else ""
    draw_shapes(rows, f"{report['source']}: {counts} shapes{shown_of}", path)


def _spread(members: npt.NDArray[np.int64]) -> list[int]:
    chosen = np.unique(np.linspace(0, len(members) - 1, PICTURE_SHAPES).round().astype(int))
    return [int(index) for index in members[chosen]]
