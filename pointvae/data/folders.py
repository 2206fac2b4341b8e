"""A folder of files as a source: which file is which class and which split, read off the names of its folders."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pointvae.data.clouds import count_points
from pointvae.data.metadata import Assigned, by_table, sorted_classes
from pointvae.data.readers import CLOUDS, READERS, read_file
from pointvae.data.sampling import Geometry
from pointvae.data.source import (
    MESH_POINTS,
    SPLITS,
    Item,
    ListedItems,
    Source,
    SourceOptions,
    draw_split,
    fingerprint,
)
from pointvae.errors import InputError
from pointvae.places import here, is_remote

SPLIT_FOLDERS = {
    "train": "train",
    "test": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: its name within the source, and the class and split that its folders say, if any."""

    name: str
    category: str | None
    split: str | None


def open_folder(root: Path, name: str, options: SourceOptions, wrapped: bool = False) -> Source:
    """The shapes in a folder, where the class is the folder.

    Understood are CLASS/FILE, CLASS/train|test/FILE, train|test/CLASS/FILE, and the same without classes; deeper
    folders beneath a class belong to it. A table in the folder, such as metadata.csv, takes the place of all that.
    Where there is no split, one is drawn.

    Args:
        root: the folder.
        name: what to call it.
        options: for the split that is drawn where there is none.
        wrapped: whether one folder around everything is only a wrapper, as it is in most archives.

    Raises:
        InputError: no file can be read, or some classes are split and others not.
    """
    files = list_shapes(root)
    if not files:
        raise InputError(f"{name}: no shapes in this folder; suffixes that are read: {', '.join(READERS)}")
    tabled = by_table(root, [file for file in files if _speakable(file) == file], options, wrapped)
    if tabled is not None:
        base = tabled[0]
        top = "" if base == root else f"{base.name}/"
        files = [file[len(top) :] for file in files if file.startswith(top)]
        entries, skipped = _entries(tabled[1]), list(tabled[1].skipped)
    else:
        base, files = _unwrap(root, files, wrapped)
        entries, skipped = arrange(name, [file for file in files if _speakable(file) == file])
    skipped += [
        {"file": _speakable(file), "why": "its name is not UTF-8; rename it"}
        for file in files
        if _speakable(file) != file
    ]
    if not entries:
        raise InputError(f"{name}: no shape can be used; {skipped[0]['file']}: {skipped[0]['why']}")
    named = {entry.category for entry in entries if entry.category is not None}
    classes = sorted(named) if tabled is None else sorted_classes(named)
    index = {category: label for label, category in enumerate(classes)}
    labels = np.array([index[entry.category] for entry in entries if entry.category is not None], np.int32)
    drawn = entries[0].split is None
    if drawn:
        splits = draw_split([entry.name for entry in entries], labels if classes else None, classes, options)
    else:
        splits = [entry.split or "train" for entry in entries]
    return Source(
        name=name,
        kind="folder",
        classes=classes,
        items=_items(base, [entry.name for entry in entries], splits, labels if classes else None),
        fingerprint=fingerprint(_sizes(base, files)),
        points=MESH_POINTS,
        parallel=True,
        skipped=skipped,
        options={
            **({} if tabled is None else tabled[1].options),
            **({"test_fraction": options.test_fraction} if drawn else {}),
        },
        clouds=[
            (entry.name, functools.partial(count_points, base / entry.name))
            for entry in entries
            if os.path.splitext(entry.name)[1].lower() in CLOUDS and not is_remote(base)
        ],
        isolated=True,
    )


def _entries(assigned: Assigned) -> list[Entry]:
    """Files with the class and split of a table; where it gives no split, that of train/ and test/ folders."""
    tops = [file.split("/", 1)[0] for file in assigned.files]
    splits = assigned.splits
    if splits is None and set(tops) <= SPLIT_FOLDERS.keys():
        splits = [SPLIT_FOLDERS[top] for top in tops]
    return [
        Entry(file, assigned.classes[row] if assigned.classes else None, splits[row] if splits else None)
        for row, file in enumerate(assigned.files)
    ]


def _items(base: Path, listed: list[str], splits: list[str], labels: npt.NDArray[np.int32] | None) -> Sequence[Item]:
    """The files as items; the names are kept by Arrow, at a byte a letter."""
    names = pa.array(listed)
    root = base if is_remote(base) else base.absolute()  # workers have working directories of their own
    codes = np.fromiter((SPLITS.index(split) for split in splits), np.int8, len(splits))

    def name(place: int) -> str:
        return str(names[place].as_py())

    return ListedItems(len(listed), name, lambda place: FileReader(root / name(place)), codes, labels)


@dataclass(frozen=True, slots=True)
class FileReader:
    """Reads the mesh or the cloud in a file, which may lie in a store."""

    path: Path

    def __call__(self) -> Geometry:
        """The shape."""
        with here(self.path) as file:
            return read_file(file)

    @contextlib.contextmanager
    def nearby(self) -> Iterator[Callable[[], Geometry]]:
        """What reads it from this machine's disk: who fetches files has keys that who reads them need not have."""
        with here(self.path) as file:
            yield functools.partial(read_file, file)


def _sizes(base: Path, files: list[str]) -> list[tuple[str, int]]:
    if is_remote(base):
        sizes = {name: int(facts["size"]) for name, facts in _remote_files(base).items()}
        return [(file, sizes[file]) for file in files]
    return [(_speakable(file), os.stat(os.path.join(base, file)).st_size) for file in files]


def list_shapes(root: Path) -> list[str]:
    """The files beneath a folder whose suffix is read, as sorted relative names; hidden ones are passed over."""
    if is_remote(root):
        return sorted(name for name in _remote_files(root) if _is_shape(name))
    names = []
    for folder, _, files in os.walk(root, followlinks=False):
        inside = Path(folder).relative_to(root).as_posix()
        for file in files:
            name = file if inside == "." else f"{inside}/{file}"
            if _is_shape(name) and os.path.isfile(os.path.join(folder, file)):
                names.append(name)
    return sorted(names)


def _is_shape(name: str) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/"))
    return not hidden and os.path.splitext(name)[1].lower() in READERS


def _remote_files(root: Path) -> dict[str, dict[str, Any]]:
    """The files beneath a remote folder by their relative names, from one listing."""
    where = cast(Any, root)
    found = where.fs.find(where.path, detail=True)
    top = where.path.rstrip("/") + "/"
    return {path.removeprefix(top): facts for path, facts in found.items()}


def arrange(source: str, files: Sequence[str]) -> tuple[list[Entry], list[dict[str, str]]]:
    """The class and split of each file by its folders, and the files that stand where neither can be told.

    Raises:
        InputError: some classes have train/ and test/ folders and others have not.
    """
    tops = {file.split("/", 1)[0] for file in files if "/" in file}
    if not tops:
        return [Entry(file, None, None) for file in files], []
    outer = tops <= SPLIT_FOLDERS.keys()
    entries: list[Entry] = []
    outside: list[str] = []
    for file in files:
        folders = [sys.intern(folder) for folder in file.split("/")[:-1]]
        if not folders:
            outside.append(file)
        elif outer:
            entries.append(Entry(file, folders[1] if len(folders) > 1 else None, SPLIT_FOLDERS[folders[0]]))
        else:
            split = SPLIT_FOLDERS.get(folders[1]) if len(folders) > 1 else None
            entries.append(Entry(file, folders[0], split))
    if outer and any(entry.category for entry in entries):
        outside += [entry.name for entry in entries if entry.category is None]
        entries = [entry for entry in entries if entry.category is not None]
    if not outer:
        split_classes = {entry.category for entry in entries if entry.split}
        unsplit = sorted(str(entry.category) for entry in entries if entry.category not in split_classes)
        if split_classes and unsplit:
            raise InputError(
                f"{source}: class {min(map(str, split_classes))} has train/ and test/ folders, class {unsplit[0]} "
                "has not; give every class both, or none"
            )
        if split_classes:
            outside += [entry.name for entry in entries if entry.split is None]
            entries = [entry for entry in entries if entry.split is not None]
    skipped = [
        {"file": file, "why": "stands outside the folders of classes and splits"}
        for file in sorted(outside)
        if not file.lower().endswith(".txt")
    ]
    return entries, skipped


def _speakable(name: str) -> str:
    """A file name as text that can be stored, with bytes that are not UTF-8 spelt out."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _unwrap(root: Path, files: list[str], wrapped: bool) -> tuple[Path, list[str]]:
    """Step into a folder that holds everything and is neither a class nor a split."""
    listed = [file for file in files if not (file.lower().endswith(".txt") and "/" not in file)]
    top, *_ = listed[0].split("/", 1) if listed else [""]
    if top in SPLIT_FOLDERS or any(file.count("/") < 2 or not file.startswith(f"{top}/") for file in listed):
        return root, files
    if all(file.split("/", 2)[1] in SPLIT_FOLDERS for file in listed):
        sure = all(file.count("/") > 2 for file in listed)
    else:
        sure = wrapped or all(file.count("/") > 2 and file.split("/", 3)[2] in SPLIT_FOLDERS for file in listed)
    if not listed or not sure:
        return root, files
    inside = [file[len(top) + 1 :] for file in files if file.startswith(f"{top}/")]
    return _unwrap(root / top, inside, wrapped)
