"""Rows of Parquet or Arrow files as a source: the columns of clouds, classes, names and splits, found by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pointvae.data.columns import Rows, count_rows_points, features, find_points, load_row, open_rows
from pointvae.data.isolation import Limits, shared
from pointvae.data.layouts import Tables
from pointvae.data.metadata import CLASSES, FILES, SPLIT_COLUMNS, SPLIT_NAMES, sorted_classes
from pointvae.data.sampling import Geometry
from pointvae.data.source import MESH_POINTS, SPLITS, ListedItems, Source, SourceOptions, draw_split, fingerprint
from pointvae.errors import InputError
from pointvae.refusals import near


def open_tables(tables: Tables, options: SourceOptions) -> Source:
    """The clouds in a column of files of rows, with labels, names and splits from other columns.

    They are opened in a process apart first, which a file that lies may end, hang or swell.

    Raises:
        InputError: a file is damaged, or a column is missing or not what it must be.
    """
    why = shared(Limits()).rehearse(functools.partial(_rehearse, tables, options))
    if why:
        raise InputError(f"{tables.name}: {why.partition(';')[0]}; fetch or write it anew")
    return _open(tables, options)


def _rehearse(tables: Tables, options: SourceOptions) -> None:
    """Open them, and turn whatever Arrow raises for damage into a refusal."""
    try:
        _open(tables, options)
    except (InputError, MemoryError):
        raise
    except Exception as error:
        why = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{tables.name}: damaged, or of no kind that is read ({why}); write it anew") from error


def _open(tables: Tables, options: SourceOptions) -> Source:
    files = [file for some in tables.splits.values() for file in some]
    rows = open_rows(files)
    if not len(rows):
        raise InputError(f"{tables.name}: holds no rows")
    points = find_points(rows, tables.name, options.points_column)
    label = _pick(rows, tables.name, options.label_column, "label_column", CLASSES, points)
    split = _pick(rows, tables.name, options.split_column, "split_column", SPLIT_COLUMNS, points)
    labels, classes = (None, []) if label is None else _labels(rows, tables.name, label)
    raw = _raw_splits(rows, tables) if split is None else _text(rows, split)
    known = {name: SPLIT_NAMES.get(name.lower()) for name in dict.fromkeys(raw)}
    drawn = len(known) < 2
    keep = np.ones(len(rows), bool) if drawn else np.array([known[name] is not None for name in raw])
    skipped = [
        {"file": f"split {name}", "why": f"none of train, validation, test: {raw.count(name)} rows"}
        for name, split_name in known.items()
        if split_name is None and not drawn
    ]
    if labels is not None and (labels[keep] < 0).any():
        bad = np.flatnonzero(keep & (labels < 0))
        skipped.append({"file": f"{len(bad)} rows", "why": f"have no {label}, the first is row {bad[0]}"})
        keep &= labels >= 0
    places = np.flatnonzero(keep)
    if not len(places):
        raise InputError(f"{tables.name}: no row can be used; {skipped[0]['file']}: {skipped[0]['why']}")
    name = _namer(rows, raw, places, points)
    kept_labels = None if labels is None else labels[places].astype(np.int32)
    if drawn:
        parts: Sequence[str] = draw_split(_Names(name, len(places)), kept_labels, classes, options)
    else:
        parts = [str(known[raw[place]]) for place in places]
    counts = count_rows_points(rows, points)[places]
    uniform = bool(counts[0] > 0 and (counts == counts[0]).all())
    meshes = bool((counts < 0).any())
    codes = np.fromiter((SPLITS.index(part) for part in parts), np.int8, len(places))
    asked = {"points_column": points, "label_column": label, "split_column": split}
    return Source(
        name=tables.name,
        kind="arrays" if uniform else "folder",
        classes=classes,
        items=_RowItems(name, functools.partial(_loader, rows, points, places), codes, kept_labels),
        fingerprint=fingerprint([(file.relative_to(tables.root).as_posix(), file.stat().st_size) for file in files]),
        points=int(counts[0]) if uniform else MESH_POINTS,
        parallel=True,
        skipped=skipped,
        options={**tables.options, **asked, **({"test_fraction": options.test_fraction} if drawn else {})},
        clouds=[] if meshes else _Counts(name, counts),
        isolated=True,
    )


class _RowItems(ListedItems):
    """Items in the order of their splits and rows, not names: neighbours then lie in the same row group."""

    def __init__(
        self,
        name: Callable[[int], str],
        load: Callable[[int], Callable[[], Geometry]],
        splits: npt.NDArray[np.int8],
        labels: npt.NDArray[np.int32] | None,
    ) -> None:
        self._name, self._load = name, load
        self._order = np.argsort(splits, kind="stable")
        self.splits = splits[self._order]
        self._labels = None if labels is None else labels[self._order]


class _Names(Sequence[str]):
    """The names of rows, made when asked for."""

    def __init__(self, name: Callable[[int], str], count: int) -> None:
        self._name, self._count = name, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        return self._name(int(place))


class _Counts(Sequence[tuple[str, Callable[[], "int | None"]]]):
    """The name of each row, and what tells the number of its points."""

    def __init__(self, name: Callable[[int], str], counts: npt.NDArray[np.int64]) -> None:
        self._name, self._counts = name, counts

    def __len__(self) -> int:
        return len(self._counts)

    def __getitem__(self, place: Any) -> Any:
        if not 0 <= place < len(self._counts):
            raise IndexError(place)
        return self._name(place), functools.partial(int, self._counts[place])


def _loader(rows: Rows, points: str, places: npt.NDArray[np.int64], place: int) -> Callable[[], Geometry]:
    return functools.partial(load_row, rows, points, int(places[place]))


def _pick(rows: Rows, where: str, asked: str | None, option: str, usual: Sequence[str], points: str) -> str | None:
    names = rows.schema().names
    if asked is None:
        lower = {name.lower(): name for name in reversed(names) if name != points}
        found = next((lower[name] for name in usual if name in lower), None)
        return None if found is None or not _is_plain(rows, found) else found
    if asked not in names:
        there = ", ".join(names)
        raise InputError(f"--{option} {asked}: {where} has no such column (it has {there}){near(asked, names)}")
    if not _is_plain(rows, asked):
        raise InputError(
            f"--{option} {asked}: is {rows.schema().field(asked).type}; it must be text or whole numbers"
        )
    return asked


def _is_plain(rows: Rows, column: str) -> bool:
    import pyarrow as pa

    kind = rows.schema().field(column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean)
    return any(test(kind) for test in tests)


def _labels(rows: Rows, where: str, column: str) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The class of each row [n], -1 where it has none, and the names of the classes."""
    note = features(rows).get(column)
    names = note.get("names") if isinstance(note, dict) and note.get("_type") == "ClassLabel" else None
    if names:
        labels = pc.fill_null(rows.whole(column), -1).to_numpy().astype(np.int64)
        if labels.max() >= len(names):
            raise InputError(f"{where}: a label is {labels.max()}, but {column} names only {len(names)} classes")
        return labels, [str(name) for name in names]
    words = _text(rows, column)
    classes = sorted_classes({word for word in words if word and word != "-1"})
    index = {name: label for label, name in enumerate(classes)}
    return np.array([index.get(word, -1) for word in words], np.int64), classes


def _text(rows: Rows, column: str) -> list[str]:
    """A column as text; empty where there is nothing."""
    return ["" if value is None else str(value).strip() for value in rows.whole(column).to_pylist()]


def _raw_splits(rows: Rows, tables: Tables) -> list[str]:
    of_file = [split for split, files in tables.splits.items() for _ in files]
    counts = np.diff(rows.starts)
    raw: list[str] = []
    for (file, _), count in zip(rows.pieces, counts, strict=True):
        raw += [of_file[file]] * int(count)
    return raw


def _namer(rows: Rows, raw: list[str], places: npt.NDArray[np.int64], points: str) -> Callable[[int], str]:
    """The name of each row that stays: of a column that tells them apart, else split and number."""
    import pyarrow as pa

    lower = {name.lower(): name for name in reversed(rows.schema().names) if name != points}
    for usual in (*FILES, "names"):
        if usual not in lower or not _is_plain(rows, lower[usual]):
            continue
        column = rows.whole(lower[usual]).cast(pa.string()).take(pa.array(places))
        if column.null_count == 0 and pc.count_distinct(column).as_py() == len(column):
            return lambda place: str(column[place].as_py())
    first = {name: raw.index(name) for name in dict.fromkeys(raw)}
    return lambda place: f"{raw[places[place]]}_{int(places[place]) - first[raw[places[place]]]:06d}"
