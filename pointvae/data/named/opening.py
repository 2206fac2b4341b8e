"""A named set as a source, valid as long as what it lies in is open."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pointvae.data.named.acquire import HOW, Acquired, acquire
from pointvae.data.named.cache import scratch_room
from pointvae.data.named.release import Member, Release, open_release
from pointvae.data.named.sets import NamedSet
from pointvae.data.source import Source, SourceOptions
from pointvae.errors import InputError


@contextlib.contextmanager
def open_named(named: NamedSet, options: SourceOptions) -> Iterator[Source]:
    """The plan of a named set, acquired as ``options`` say, valid inside the ``with`` block.

    The plan depends on the names and sizes of the release's files alone, not on where they lie.

    Raises:
        InputError: it cannot be had, or is not laid out as that set is.
    """
    acquired = acquire(named, from_archive=options.from_archive, offline=options.offline, progress=options.progress)
    with open_release(acquired.path, scratch_room()) as release:
        source = named.read(named, _with_split_list(release, acquired.path), options)
        if len(source.classes) > named.classes:
            raise InputError(
                f"{named.name}: what was given has {len(source.classes)} classes, {named.name} has {named.classes}; "
                "is it another set?"
            )
        yield dataclasses.replace(source, up=named.up, origin=_origin(named, acquired, source))


def _with_split_list(release: Release, path: Path) -> Release:
    """The release, with the list of the official split that lies beside its archive, if it has none itself."""
    beside = path.parent / "all.csv"
    if path.is_dir() or not beside.is_file() or any(name.endswith("all.csv") for name in release):
        return release
    return {**release, "all.csv": Member(beside, None, beside.stat().st_size)}


def _origin(named: NamedSet, acquired: Acquired, source: Source) -> dict[str, Any]:
    """What the card tells of where the shapes come from; nothing of it is a path of the machine."""
    return {
        "title": named.title,
        "homepage": named.homepage,
        "citation": named.citation,
        "research_only": named.research_only,
        "archive": named.archive.file if acquired.sha256 else None,
        "sha256": acquired.sha256,
        "checksum": HOW[acquired.how],
        "notes": _notes(named, source),
    }


def _notes(named: NamedSet, source: Source) -> list[str]:
    notes = []
    if "test_fraction" in source.options:
        notes.append(
            "the official split, all.csv, was not there, so train and test were drawn by the seed: figures on them "
            "cannot be compared with others'"
        )
    counts = Counter(item.split for item in source.items)
    expected: Mapping[str, int] = named.splits
    for split, count in expected.items():
        if counts[split] != count:
            notes.append(f"{split}: {counts[split]:,} shapes, the release has {count:,}")
    if len(source.classes) < named.classes:
        notes.append(f"{len(source.classes)} of the release's {named.classes} classes")
    return notes
