"""What every source of shapes offers: items that can be loaded one by one, each with its class and its split."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.sampling import Geometry, Up
from pointvae.errors import InputError

SPLITS = ("train", "validation", "test")
"""Splits in the order in which they are written and shown."""

MESH_POINTS = 2048
"""Points per shape where the source does not say: meshes and files of clouds."""


@dataclass(frozen=True)
class Item:
    """One shape of a source, not yet loaded.

    Attributes:
        name: its name within the source, which also seeds its sampling.
        split: ``train``, ``validation`` or ``test``.
        label: index of its class, or None.
        load: reads or builds it; it must survive pickling where the source is ``parallel``.
    """

    name: str
    split: str
    label: int | None
    load: Callable[[], Geometry]


class ListedItems(Sequence[Item]):
    """Items in the order of their splits and names, made when asked for: a million of them take some megabytes.

    Args:
        count: how many there are.
        name: the name of the shape at a place of the source's own.
        load: what loads it.
        splits: the split of each, as an index into ``SPLITS`` [n].
        labels: the class of each [n], or None.
    """

    def __init__(
        self,
        count: int,
        name: Callable[[int], str],
        load: Callable[[int], Callable[[], Geometry]],
        splits: npt.NDArray[np.int8],
        labels: npt.NDArray[np.int32] | None,
    ) -> None:
        self._name, self._load = name, load
        width = max((len(name(place).encode()) for place in range(count)), default=1)
        names = np.fromiter((name(place).encode() for place in range(count)), f"S{width}", count)
        self._order = np.lexsort((names, splits)).astype(np.int32 if count < 2**31 else np.int64)
        self.splits: npt.NDArray[np.int8] = splits[self._order]
        self._labels = None if labels is None else labels[self._order]

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: Any) -> Any:
        """The item at a place, or those of a slice as a list."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = int(self._order[index])
        label = None if self._labels is None else int(self._labels[index])
        return Item(self._name(place), SPLITS[self.splits[index]], label, self._load(place))


def split_codes(items: Sequence[Item]) -> npt.NDArray[np.int8]:
    """The split of each item, as an index into ``SPLITS`` [n]."""
    if isinstance(items, ListedItems):
        return items.splits
    return np.array([SPLITS.index(item.split) for item in items], np.int8)


@dataclass(frozen=True)
class Source:
    """A plan of what is to be prepared, made before any shape is loaded.

    Attributes:
        name: what it is called in the card; never a path of the machine.
        kind: ``folder``, ``arrays`` or ``procedural``.
        classes: names of the classes; empty for unlabelled shapes.
        items: every shape, in a fixed order; for very many shapes they are `ListedItems`.
        fingerprint: changes when files are added, removed or change size.
        points: points per shape unless the user asks for another number.
        parallel: whether loading is work worth spreading over processes.
        isolated: whether loading reads files of other people's, which may crash, hang or swell a reader.
        skipped: files that were left out already, each with ``file`` and ``why``.
        options: the options that shaped this plan, recorded in the recipe.
        factors: whether the shapes carry the numbers they were built from.
        licence: what is known of the licence of the shapes.
        clouds: items whose number of points can be had cheaply, by a function that counts them.
        up: the up axis unless the user says another.
        origin: of a named set, what the card tells of it: homepage, citation, archive, sha256, ….
    """

    name: str
    kind: str
    classes: list[str]
    items: Sequence[Item]
    fingerprint: str
    points: int
    parallel: bool
    skipped: list[dict[str, str]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    factors: bool = False
    licence: str = "unknown"
    clouds: Sequence[tuple[str, Callable[[], int | None]]] = ()
    up: Up = "z"
    origin: dict[str, Any] | None = None
    isolated: bool = False


@dataclass(frozen=True)
class SourceOptions:
    """The options of `prepare` that decide which shapes there are and where they go.

    Attributes:
        seed: of the split and of procedural shapes.
        test_fraction: share of each class for test, where there is no split.
        shapes_per_class: of the procedural set.
        from_archive: where a named set already lies, packed or unpacked.
        offline: download nothing.
        progress: tell the person who waits what is going on.
        label_column: the column of classes of a table; one with a usual name if None.
        split_column: the column of splits of a table.
        points_column: the column of clouds of a table.
    """

    seed: int = 0
    test_fraction: float = 0.2
    shapes_per_class: int = 100
    from_archive: str | Path | None = None
    offline: bool = False
    progress: bool = False
    label_column: str | None = None
    split_column: str | None = None
    points_column: str | None = None


def fingerprint(parts: Sequence[tuple[str, int]]) -> str:
    """A digest of names and sizes, whatever their order."""
    digest = hashlib.sha256()
    for name, size in sorted(parts):
        digest.update(f"{name}\0{size}\n".encode())
    return digest.hexdigest()[:32]


def draw_split(
    names: Sequence[str],
    labels: Sequence[int] | npt.NDArray[np.integer[Any]] | None,
    classes: Sequence[str],
    options: SourceOptions,
) -> list[str]:
    """``train`` or ``test`` for each shape: within each class, drawn by the seed and the shape's own name.

    Each class gives ``test_fraction`` of its shapes to test, rounded, at least one to each side; so the result does
    not depend on the order of the files.

    Raises:
        InputError: a class has one member, which cannot stand on both sides.
    """
    if options.test_fraction == 0:
        return ["train"] * len(names)
    splits = ["train"] * len(names)
    every = np.zeros(len(names), np.int64) if labels is None else np.asarray(labels)
    for label in np.unique(every).tolist():
        members = np.flatnonzero(every == label).tolist()
        if len(members) < 2:
            where = f"class {classes[label]!r} has" if labels is not None else "the source has"
            raise InputError(
                f"{where} one shape ({names[members[0]]}), which cannot be in both train and test; add shapes, "
                "remove the class, put the files in train/ and test/ folders, or use --test_fraction 0"
            )
        count = min(max(round(len(members) * options.test_fraction), 1), len(members) - 1)
        chosen = heapq.nsmallest(
            count, members, key=lambda position: (_rank(options.seed, names[position]), position)
        )
        for position in chosen:
            splits[position] = "test"
    return splits


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"split\0{seed}\0{name}".encode()).digest()


def check_counts(source: Source, points: int, *, told: bool) -> None:
    """Refuse clouds with fewer points than every shape is to have; single points are left to the sampler.

    Args:
        source: the plan.
        points: points per shape.
        told: whether the user asked for that number.

    Raises:
        InputError: how many clouds hold too few, and which one the fewest.
    """
    few: list[tuple[int, str]] = []
    for name, count in source.clouds:
        number = count()
        if number is not None and 1 < number < points:
            few.append((number, name))
    if few:
        smallest, name = min(few)
        wanted = f"{points}" if told else f"{points} (the {'largest' if source.kind == 'arrays' else 'default'})"
        raise InputError(
            f"{source.name}: mixed point counts: {len(few)} of {len(source.items)} shapes hold fewer points than "
            f"{wanted}, {name} only {smallest}; use --points {smallest}, or remove such shapes"
        )
