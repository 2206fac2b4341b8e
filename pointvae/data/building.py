"""The work of `prepare`: every shard of a plan that is not there yet, each made and written whole by one worker."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pointvae.data import shards
from pointvae.data.isolation import Limits
from pointvae.data.rows import Made, Settings, usable
from pointvae.data.source import SPLITS, Item, Source, split_codes
from pointvae.engines.base import Engine
from pointvae.errors import InputError
from pointvae.progress import progress_bar
from pointvae.version import __version__

SHARDS, SMALLEST, LARGEST = 64, 16, 512
"""Unless the user says otherwise a dataset has about so many shards, of at least and at most so many shapes."""


@dataclass(frozen=True, eq=False)
class Shard:
    """A shard of the plan: its file name, its split and the places of its shapes among the source's items."""

    file: str
    split: str
    places: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Task:
    """All that a worker, here or on another machine, needs to make one shard."""

    folder: Path
    file: str
    items: list[Item]
    settings: Settings
    limits: Limits | None
    source: str
    classes: int
    factors: bool
    version: str = __version__


@dataclass(frozen=True)
class Written:
    """What is to be known of a shard that is in the folder.

    Attributes:
        file: its name.
        rows: its shapes.
        bytes: its size.
        sha256: its checksum.
        classes: how many shapes of each class it holds.
        skipped: the files it had to leave out, each with ``file`` and ``why``.
        kept: whether it was there already.
    """

    file: str
    rows: int
    bytes: int
    sha256: str
    classes: list[int]
    skipped: list[dict[str, str]]
    kept: bool


def shard_size_for(shapes: int) -> int:
    """The shapes of a shard unless the user says: small sets spread over workers, large ones make large files."""
    return min(LARGEST, max(SMALLEST, -(-shapes // SHARDS)))


def plan_shards(source: Source, shard_size: int) -> list[Shard]:
    """Cut the items of each split into shards; files that fail later make a shard shorter, never renumber it."""
    codes = split_codes(source.items)
    plan = []
    for code, split in enumerate(SPLITS):
        places = np.flatnonzero(codes == code)
        count = -(-len(places) // shard_size)
        for index in range(count):
            chunk = places[index * shard_size : (index + 1) * shard_size]
            plan.append(Shard(shards.shard_name(split, index, count), split, chunk))
    return plan


def refused(file: str, why: str) -> InputError:
    """The error for a file that ``strict`` does not let pass."""
    return InputError(f"{file}: {why} (--strict: mend or remove the file)")


def build(
    folder: Path,
    source: Source,
    plan: list[Shard],
    settings: Settings,
    engine: Engine,
    *,
    limits: Limits | None,
    strict: bool,
    progress: bool,
) -> list[Written]:
    """Have every shard of the plan made that is not in the folder; say what is in each, in the plan's order.

    Raises:
        InputError: with ``strict``, a shard had to leave a file out; or the workers wrote where this process cannot
            see it.
    """
    found: dict[int, Written] = {}
    broken: list[int] = []

    def calls() -> Iterator[Callable[[], Written]]:
        for shard in plan:
            if broken:
                return  # those under way are waited for, so that nothing is written after the refusal
            items = [source.items[int(place)] for place in shard.places]
            task = Task(
                folder.absolute(),
                shard.file,
                items,
                settings,
                limits if source.isolated else None,
                source.name,
                len(source.classes),
                source.factors,
            )
            yield functools.partial(make_shard, task)

    total = sum(len(shard.places) for shard in plan)
    with progress_bar(progress, "preparing", total) as advance:
        for place, written in engine.run(calls()):
            found[place] = written
            if strict and written.skipped:
                broken.append(place)
            advance(len(plan[place].places))
    if broken:
        raise refused(**found[min(broken)].skipped[0])
    there = {path.name for path in folder.iterdir()}
    for written in found.values():
        if written.file not in there:
            raise InputError(
                f"{folder}: the workers wrote {written.file} where this machine does not see it; give a folder that "
                "all machines share, or an URL such as s3://BUCKET/FOLDER"
            )
    return [found[place] for place in range(len(plan))]


def make_shard(task: Task) -> Written:
    """Make one shard and write it whole, or look at it where it is there already.

    Raises:
        InputError: this worker has another version of pointvae than the one that made the plan.
    """
    if task.version != __version__:
        raise InputError(f"a worker has pointvae {__version__}, not {task.version}; install the same one everywhere")
    path = task.folder / task.file
    there = shards.look(path, task.classes)
    if there is not None:
        return Written(task.file, *there, kept=True)
    kept, made, skipped = usable(task.items, task.settings, task.limits)
    size, checksum = shards.write_shard(path, _rows(made, kept, skipped, task))
    labels = [item.label for item in kept if item.label is not None]
    return Written(
        task.file, len(kept), size, checksum, shards.count_classes(labels, task.classes), skipped, kept=False
    )


def _rows(made: list[Made], kept: list[Item], skipped: list[dict[str, str]], task: Task) -> shards.Rows:
    settings = task.settings
    empty = np.empty((0, settings.points, 3), settings.dtype)
    return shards.Rows(
        points=np.stack([row.points for row in made]) if made else empty,
        names=[item.name for item in kept],
        source=task.source,
        labels=np.array([item.label for item in kept], np.int64) if task.classes else None,
        normals=(np.stack([row.normals for row in made if row.normals is not None]) if made else empty)
        if settings.normals
        else None,
        factors=[row.factors for row in made] if task.factors else None,
        skipped=skipped,
        digests=[row.digest for row in made],
    )
