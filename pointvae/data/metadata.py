"""A table beside a folder of shapes that says the class and the split of each: metadata.csv, or Objaverse's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pointvae.data.shards import sha256
from pointvae.data.source import SourceOptions
from pointvae.data.tables import Table, read_table, word
from pointvae.errors import InputError
from pointvae.refusals import near

logger = logging.getLogger(__name__)

TABLES = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.json", "metadata.json.gz", "metadata.parquet")
LVIS = ("lvis-annotations.json.gz", "lvis-annotations.json")
RECORDS = ("object-annotations.json.gz", "annotations.json.gz", "annotations.json")
"""Objaverse's files: category -> uids, and uid -> record; its records also lie as ``metadata/000-000.json.gz``."""

TABLE_ENDS = (*TABLES, *LVIS, *RECORDS, ".json.gz")
"""How the names of all these files end, for what unpacks archives."""

FILES = ("file_name", "file", "filename", "path", "file_path", "local_path", "uid", "uuid", "id", "model_id", "name")
CLASSES = ("label", "class", "category", "class_name", "category_name", "label_name", "categories", "labels")
SPLIT_COLUMNS = ("split", "subset", "partition")
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""What tables, folders and data sets call the splits."""

LISTED = 100
"""Files without a row that are named one by one; of more the rest is counted."""


@dataclass(frozen=True)
class Assigned:
    """What a table says of files: for each that stays its class and split (None where the table has none).

    Attributes:
        files: the names of the files that stay.
        classes: the class of each; None where the table has no classes.
        splits: the split of each; None where the table has none.
        skipped: what was left out, each with ``file`` and ``why``.
        options: what the recipe records: the table, its checksum, the columns that were read.
    """

    files: list[str]
    classes: list[str] | None
    splits: list[str] | None
    skipped: list[dict[str, str]]
    options: dict[str, Any]


def find_table(folder: Path, records: bool = False) -> tuple[str, tuple[Path, ...]] | None:
    """The table of a folder: its name and its files; ``records`` passes over Objaverse's list of categories.

    Raises:
        InputError: there are several, so that it is not clear which one is meant.
    """
    found = [folder / name for name in TABLES if (folder / name).is_file()]
    if len(found) > 1:
        raise InputError(f"{folder}: has both {found[0].name} and {found[1].name}; keep one of them")
    if found:
        return found[0].name, (found[0],)
    for name in (*(() if records else LVIS), *RECORDS):
        if (folder / name).is_file():
            return name, (folder / name,)
    parts = sorted((folder / "metadata").glob("???-???.json.gz"))
    return ("metadata", tuple(parts)) if parts else None


def by_table(root: Path, files: list[str], options: SourceOptions, wrapped: bool) -> tuple[Path, Assigned] | None:
    """What a table in the folder, or in the one folder of an archive, says of the files; None where there is none.

    Raises:
        InputError: a column is asked for and there is no table, or the table cannot be used.
    """
    tops = {file.split("/", 1)[0] for file in files if "/" in file}
    for base in (root, root / min(tops)) if wrapped and len(tops) == 1 else (root,):
        found = find_table(base, records=options.label_column is not None)
        if found is None:
            continue
        if base != root:
            top = f"{base.name}/"
            files = [file[len(top) :] for file in files if file.startswith(top)]
        assigned = assign(read_table(*found), files, options.label_column, options.split_column)
        return base, assigned
    for option, value in (("label_column", options.label_column), ("split_column", options.split_column)):
        if value is not None:
            raise InputError(f"--{option} {value}: {root} has no table; put one beside the files, as {TABLES[0]}")
    return None


def assign(table: Table, files: Sequence[str], label_column: str | None, split_column: str | None) -> Assigned:
    """Match the rows of a table with files by path, name, stem or folder, and read the class and split of each.

    Args:
        table: the table.
        files: relative names of files.
        label_column: the column of classes; one of the usual names if None.
        split_column: the column of splits; one of the usual names if None.

    Raises:
        InputError: no column names the files, or a column that was asked for is not there.
    """
    where = table.files[0]
    key, places = _key_column(table, files)
    label = _column(table, label_column, "label_column", CLASSES, key)
    split = _column(table, split_column, "split_column", SPLIT_COLUMNS, key)
    if label is None:
        there = ", ".join(table.columns)
        logger.info("%s: no column of classes (it has %s); choose one with --label_column", table.name, there)
    skipped: list[dict[str, str]] = []
    kept: dict[str, tuple[str | None, str | None]] = {}
    faults: dict[str, str] = {}
    missing = [value for value, file in zip(table.columns[key], places, strict=True) if file is None]
    for row, file in enumerate(places):
        if file is None:
            continue
        named = None if label is None else word(table.columns[label][row])
        part = None if split is None else word(table.columns[split][row])
        if label is not None and named is None:
            faults[file] = f"{table.name} has no {label} for it"
        elif split is not None and (part or "").lower() not in SPLIT_NAMES:
            faults[file] = f"{table.name} gives its split as {part!r}, which is none of train, validation, test"
        elif kept.setdefault(file, (named, part)) != (named, part):
            faults[file] = f"{table.name} has several rows for it, which differ"
    if missing:
        why = f"{len(missing)} of its {table.rows()} rows name no file that is here, first {str(missing[0])[:80]!r}"
        skipped.append({"file": table.name, "why": why})
    seen = {file for file in places if file is not None}
    lost = [file for file in files if file not in seen]
    skipped += [{"file": file, "why": f"{table.name} has no row for it"} for file in lost[:LISTED]]
    if len(lost) > LISTED:
        more = f"{len(lost) - LISTED} more files"
        skipped.append({"file": more, "why": f"{table.name} has no row for them"})
    skipped += [{"file": file, "why": why} for file, why in sorted(faults.items())]
    stay = [file for file in files if file in kept and file not in faults]
    if not stay:
        raise InputError(f"{where}: no file can be used; {skipped[0]['file']}: {skipped[0]['why']}")
    return Assigned(
        stay,
        None if label is None else [str(kept[file][0]) for file in stay],
        None if split is None else [SPLIT_NAMES[str(kept[file][1]).lower()] for file in stay],
        skipped,
        {
            "table": {"file": table.name, "sha256": [sha256(file) for file in table.files]},
            "file_column": key,
            "label_column": label,
            "split_column": split,
        },
    )


def sorted_classes(names: Iterable[str]) -> list[str]:
    """Class names in order: numbers by their size, words by their letters."""
    unique = set(names)
    if all(name.lstrip("-").isdecimal() for name in unique):
        return sorted(unique, key=int)
    return sorted(unique)


def _column(table: Table, asked: str | None, option: str, usual: Sequence[str], key: str) -> str | None:
    if asked is not None:
        if asked not in table.columns:
            there = ", ".join(table.columns)
            hint = near(asked, table.columns)
            raise InputError(f"--{option} {asked}: {table.files[0]} has no such column (it has {there}){hint}")
        return asked
    lower = {column.lower(): column for column in reversed(table.columns) if column != key}
    return next((lower[name] for name in usual if name in lower), None)


def _key_column(table: Table, files: Sequence[str]) -> tuple[str, list[str | None]]:
    """The column whose values name most files, and the file that each of them names."""
    known = _Names(files)
    best: tuple[str, list[str | None]] | None = None
    most = 0
    usual = {name: rank for rank, name in enumerate(FILES)}
    for column in sorted(table.columns, key=lambda name: usual.get(name.lower(), len(usual))):
        places = [known.find(value) if isinstance(value, str | int) else None for value in table.columns[column]]
        count = len({place for place in places if place is not None})
        if count > most:
            best, most = (column, places), count
        if 2 * most >= min(len(files), table.rows()):
            break
    if best is None:
        raise InputError(
            f"{table.files[0]}: no column names the files here (it has {', '.join(table.columns)}); give it a column "
            "file_name with paths, file names or names without suffix, or move it away to take classes from folders"
        )
    return best


class _Names:
    """Which file a text means: by its path, its name, its name without suffix, or the folder it alone lies in."""

    def __init__(self, files: Sequence[str]) -> None:
        self._tables: list[dict[str, str | None]] = []
        spellings: tuple[Callable[[PurePosixPath], str], ...] = (
            str,
            lambda path: str(path.with_suffix("")),
            lambda path: path.name,
            lambda path: path.stem,
            lambda path: path.parent.name,
        )
        for spell in spellings:
            table: dict[str, str | None] = {}
            for file in files:
                text = spell(PurePosixPath(file))
                table[text] = None if text in table else file
            self._tables.append(table)

    def find(self, value: str | int) -> str | None:
        text = str(value).strip().replace("\\", "/").removeprefix("./")
        if not text:
            return None
        last = text.rsplit("/", 1)[-1]
        for table, wanted in zip(self._tables, (text, text, last, last, last), strict=True):
            if wanted in table:
                return table[wanted]
        return None
