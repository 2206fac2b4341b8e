"""Tables of small facts, read whole: .csv, .tsv, .json, .jsonl and .parquet, as columns."""

from __future__ import annotations

import csv
import functools
import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointvae.data.isolation import Limits, shared
from pointvae.errors import InputError
from pointvae.places import here


@dataclass(frozen=True)
class Table:
    """The columns of a table, one value of each a row, and the files it was read from."""

    name: str
    columns: dict[str, list[Any]]
    files: tuple[Path, ...]

    def rows(self) -> int:
        """How many rows it has."""
        return max(map(len, self.columns.values()), default=0)


def read_table(name: str, files: tuple[Path, ...]) -> Table:
    """A table by its name and files, as `find_table` gives them.

    Raises:
        InputError: it is damaged, or of a form that is not known.
    """
    columns: dict[str, list[Any]] = {}
    count = 0
    for file in files:
        try:
            with here(file) as copy:
                found = _read(copy)
        except InputError:
            raise
        except (OSError, EOFError, ValueError, csv.Error, RecursionError) as error:
            raise InputError(f"{file}: cannot be read ({str(error).splitlines()[0]}); mend or remove it") from error
        more = len(next(iter(found.values()), ()))
        for column in dict.fromkeys([*columns, *found]):  # a file may lack what another has
            columns.setdefault(column, [None] * count).extend(found.get(column, [None] * more))
        count += more
    if not columns:
        raise InputError(f"{files[0]}: has no rows; mend or remove it")
    return Table(name, columns, files)


def word(value: Any) -> str | None:
    """A class or a split as text; the first of several; None where there is none."""
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    if isinstance(value, Mapping):
        value = value.get("name")
    if value is None or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def _read(file: Path) -> dict[str, list[Any]]:
    name = file.name.lower()
    if name.endswith((".csv", ".tsv")):
        return _read_csv(file, "\t" if name.endswith(".tsv") else None)
    if name.endswith(".parquet"):
        why = shared(Limits()).rehearse(functools.partial(_rehearse, file.absolute()))
        if why:
            raise InputError(f"{file}: {why.partition(';')[0]}; mend or remove it")
        return _read_parquet(file)
    with gzip.open(file, "rt", encoding="utf-8") if name.endswith(".gz") else file.open(encoding="utf-8-sig") as text:
        if name.endswith(".jsonl"):
            return _columns(json.loads(line) for line in text if line.strip())
        content = json.load(text)
    if isinstance(content, list):
        return _columns(content)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{file}: is neither a list of records nor names with records; mend or remove it")
    if all(isinstance(value, dict) for value in content.values()):  # uid -> record
        return _columns({"uid": uid, **record} for uid, record in content.items())
    if all(isinstance(value, list) for value in content.values()):  # category -> uids
        return _columns({"uid": uid, "category": name} for name, uids in content.items() for uid in uids)
    return _columns({"uid": uid, "label": label} for uid, label in content.items())


def _rehearse(file: Path) -> None:
    _read_parquet(file)


def _read_parquet(file: Path) -> dict[str, list[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file, partitioning=None)
        return {column: table[column].to_pylist() for column in table.column_names}
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(f"{file}: damaged or not .parquet ({why}); mend or remove it") from error


def _read_csv(file: Path, delimiter: str | None) -> dict[str, list[Any]]:
    with file.open(encoding="utf-8-sig", newline="") as text:
        if delimiter is None:
            head = text.readline()
            delimiter = ";" if head.count(";") > head.count(",") else ","
            text.seek(0)
        rows = csv.DictReader(text, delimiter=delimiter)
        columns: dict[str, list[Any]] = {name: [] for name in rows.fieldnames or ()}
        for row in rows:
            for name, values in columns.items():
                values.append(row[name])
    return columns


def _columns(records: Iterable[Any]) -> dict[str, list[Any]]:
    """Records as columns; what a record lacks is None."""
    columns: dict[str, list[Any]] = {}
    for count, record in enumerate(records):
        if not isinstance(record, dict):
            raise ValueError(f"row {count + 1} is no record of names and values")
        for name, value in record.items():
            columns.setdefault(name, [None] * count).append(value)
        for values in columns.values():
            if len(values) == count:
                values.append(None)
    return columns
