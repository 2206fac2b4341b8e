"""How the releases of ModelNet, ShapeNetPart and ScanObjectNN are laid out, each turned into a `Source`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Sequence

from pointvae.data.arrays import gather_h5
from pointvae.data.named.cache import scratch_room
from pointvae.data.named.release import Member, Release
from pointvae.data.named.sets import NamedSet
from pointvae.data.source import MESH_POINTS, SPLITS, Item, Source, SourceOptions, fingerprint
from pointvae.errors import InputError

SCANNED = (
    *("bag", "bin", "box", "cabinet", "chair", "desk", "display", "door", "shelf", "table"),
    *("bed", "pillow", "sink", "sofa", "toilet"),
)
"""ScanObjectNN's classes in the order of its labels (Uy et al., ICCV 2019; training_data/shape_names.txt)."""


def rooted(named: NamedSet, release: Release, pattern: str, like: str) -> dict[str, re.Match[str]]:
    """The members that a pattern fits, by their names beneath the one folder that holds them all.

    Raises:
        InputError: there is none, or two folders hold such members.
    """
    compiled = re.compile(rf"(?P<root>(?:.*/)?)(?P<name>{pattern})")
    found = [match for name in sorted(release) if (match := compiled.fullmatch(name))]
    roots = sorted({match["root"] for match in found})
    if not found:
        raise InputError(f"{named.name}: nothing in it is laid out as {like}; is this {named.archive.file}?")
    if len(roots) > 1:
        raise InputError(
            f"{named.name}: lies there more than once, in {roots[0] or '.'} and in {roots[1] or '.'}; give one folder"
        )
    return {match["name"]: match for match in found}


def read_modelnet(named: NamedSet, release: Release, options: SourceOptions) -> Source:
    """Meshes as CLASS/train|test/NAME.off, the official split."""
    found = rooted(named, release, r"(?P<c>[^/]+)/(?P<split>train|test)/[^/]+\.off", "CLASS/train/NAME.off")
    classes = sorted({match["c"] for match in found.values()})
    shapes = [(name, match["split"], match["c"], release[match.string]) for name, match in found.items()]
    return source_of(named, classes, shapes)


def read_resampled(named: NamedSet, release: Release, options: SourceOptions) -> Source:
    """Clouds of 10,000 points as CLASS/NAME.txt, split by modelnet40_train.txt and modelnet40_test.txt."""
    root = root_of(named, release, "modelnet40_shape_names.txt")
    classes = release[f"{root}modelnet40_shape_names.txt"].text().split()
    shapes, absent = [], []
    for split in ("train", "test"):
        for name in _list(named, release, f"{root}modelnet40_{split}.txt").split():
            category = name.rpartition("_")[0]
            file = f"{category}/{name}.txt"
            if f"{root}{file}" in release and category in classes:
                shapes.append((file, split, category, release[f"{root}{file}"]))
            else:
                absent.append(file)
    return source_of(named, classes, shapes, absent)


def read_parts(named: NamedSet, release: Release, options: SourceOptions) -> Source:
    """Clouds as SYNSET/NAME.txt, split by three lists of train_test_split/; the labels of parts are passed over."""
    root = root_of(named, release, "synsetoffset2category.txt")
    rows = [line.split() for line in release[f"{root}synsetoffset2category.txt"].text().splitlines() if line.strip()]
    names = {row[1]: row[0] for row in rows if len(row) == 2}
    shapes, absent = [], []
    for split, word in (("train", "train"), ("validation", "val"), ("test", "test")):
        listing = f"{root}train_test_split/shuffled_{word}_file_list.json"
        for entry in sorted(_entries(listing, _list(named, release, listing))):
            synset, _, name = entry.removeprefix("shape_data/").partition("/")
            file = f"{synset}/{name}.txt"
            if f"{root}{file}" in release and synset in names:
                shapes.append((file, split, names[synset], release[f"{root}{file}"]))
            else:
                absent.append(file)
    return source_of(named, list(names.values()), shapes, absent)


def read_hdf5(named: NamedSet, release: Release, options: SourceOptions) -> Source:
    """Arrays in ply_data_train0.h5, … and ply_data_test0.h5, …; classes in shape_names.txt."""
    found = rooted(named, release, r"ply_data_(train|test)\d+\.h5", "ply_data_train0.h5")
    root = next(iter(found.values()))["root"]
    classes = _list(named, release, f"{root}shape_names.txt").split()
    return _arrays(named, {name: release[match.string] for name, match in found.items()}, classes, options)


def read_scanobjectnn(folder: str, variant: str) -> Callable[[NamedSet, Release, SourceOptions], Source]:
    """The reader of one variant: FOLDER/training_objectdataset….h5 and test_objectdataset….h5."""

    def read(named: NamedSet, release: Release, options: SourceOptions) -> Source:
        pattern = rf"{folder}/(training|test)_objectdataset{variant}\.h5"
        found = rooted(named, release, pattern, f"{folder}/training_objectdataset{variant}.h5")
        files = {name: release[match.string] for name, match in found.items()}
        return _arrays(named, files, list(SCANNED), options)

    return read


def source_of(
    named: NamedSet,
    classes: Sequence[str],
    shapes: Sequence[tuple[str, str, str, Member]],
    absent: Sequence[str] = (),
    why: str = "is in the list of the split, but not in the archive",
) -> Source:
    """The plan of shapes that are files: the name, split, class and member of each."""
    index = {category: label for label, category in enumerate(classes)}
    items = [Item(name, split, index[category], member.load) for name, split, category, member in shapes]
    return Source(
        name=named.name,
        kind="folder",
        classes=list(classes),
        items=sorted(items, key=lambda item: (SPLITS.index(item.split), item.name)),
        fingerprint=fingerprint([(name, member.bytes) for name, _, _, member in shapes]),
        points=MESH_POINTS,
        parallel=True,
        skipped=[{"file": name, "why": why} for name in sorted(absent)],
        licence=named.licence,
        clouds=[(name, member.count) for name, _, _, member in shapes if name.endswith(".txt")],
        isolated=True,
    )


def root_of(named: NamedSet, release: Release, file: str) -> str:
    """The folder that holds a file that every copy of the release has."""
    return next(iter(rooted(named, release, re.escape(file), file).values()))["root"]


def _list(named: NamedSet, release: Release, name: str) -> str:
    if name not in release:
        raise InputError(f"{named.name}: {name} is missing from it; it is not whole, fetch or unpack it anew")
    return release[name].text()


def _entries(name: str, text: str) -> list[str]:
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise InputError(f"{name}: is damaged ({error}); fetch or unpack the release anew") from error
    return [str(entry) for entry in entries]


def _arrays(named: NamedSet, files: dict[str, Member], classes: list[str], options: SourceOptions) -> Source:
    """The plan of arrays, which are read at once; the files that are wanted leave the archive for as long."""
    with contextlib.ExitStack() as stack:
        paths = {name: stack.enter_context(files[name].file(scratch_room())) for name in sorted(files)}
        source = gather_h5(paths, named.name, classes, options)
    return dataclasses.replace(source, licence=named.licence)
