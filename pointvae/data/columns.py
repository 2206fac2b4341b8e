"""Clouds in a column of Parquet or Arrow files, read a row group at a time: the set may be larger than memory."""

from __future__ import annotations

import functools
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pointvae.data.readers import read_file
from pointvae.data.sampling import Geometry
from pointvae.errors import InputError
from pointvae.refusals import near

POINTS = ("points", "point_cloud", "pointcloud", "pos", "xyz", "coords", "coordinates", "cloud")
"""What columns of clouds are called; the first that is there is taken."""

KEPT = 4
"""Row groups that a process holds at a time."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of several files, one after the other; small, so that it travels to workers.

    Attributes:
        files: the files.
        pieces: file and row group of each piece; Arrow files are one piece each, mapped and never copied.
        starts: the number of rows before each piece, and of all [pieces + 1].
    """

    files: tuple[str, ...]
    pieces: tuple[tuple[int, int], ...]
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def schema(self) -> pa.Schema:
        """The columns, by the first file."""
        return _schema(self.files[0])

    def piece(self, index: int, column: str) -> pa.ChunkedArray:
        """One column of a piece."""
        file, group = self.pieces[index]
        return _piece(self.files[file], group, column)

    def whole(self, column: str) -> pa.ChunkedArray:
        """One column of all rows, for what is small: labels, names, splits."""
        parts = [_piece.__wrapped__(self.files[file], group, column) for file, group in self.pieces]
        chunks = [chunk for part in parts for chunk in part.cast(parts[0].type).chunks]
        return pa.chunked_array(chunks, parts[0].type if parts else pa.null())

    def value(self, row: int, column: str) -> pa.Array:
        """One value, as an array of one."""
        index = int(np.searchsorted(self.starts, row, side="right")) - 1
        part = self.piece(index, column).slice(row - int(self.starts[index]), 1)
        return next(chunk for chunk in part.chunks if len(chunk))


def open_rows(files: list[Path]) -> Rows:
    """The rows of files, which must have the same columns.

    Raises:
        InputError: a file is damaged, or lacks a column that the first one has.
    """
    pieces, counts = [], []
    names: list[str] | None = None
    for index, file in enumerate(files):
        try:
            schema = _schema(str(file))
            if file.suffix.lower() == ".parquet":
                facts = pq.read_metadata(file)
                found = [(group, facts.row_group(group).num_rows) for group in range(facts.num_row_groups)]
            else:
                found = [(0, _arrow(str(file)).num_rows)]
        except (OSError, pa.ArrowException) as error:
            why = str(error).splitlines()[0][:120]
            raise InputError(f"{file}: damaged or not {file.suffix} ({why}); fetch or write it anew") from error
        names = schema.names if names is None else names
        if set(names) != set(schema.names):
            odd = min(set(names) ^ set(schema.names))
            raise InputError(f"{file}: has other columns than {files[0].name}: {odd}; prepare them one by one")
        pieces += [(index, group) for group, rows in found if rows]
        counts += [rows for _, rows in found if rows]
    starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
    return Rows(tuple(map(str, files)), tuple(pieces), starts)


def find_points(rows: Rows, where: str, asked: str | None) -> str:
    """The column of clouds: the one asked for, one with a usual name, or the only one of [n, 3] numbers or of meshes.

    Raises:
        InputError: there is none, or it is not clear which.
    """
    kinds = {name: kind_of(rows.schema().field(name).type) for name in rows.schema().names}
    there = ", ".join(f"{name} ({kind or rows.schema().field(name).type})" for name, kind in kinds.items())
    if asked is not None:
        if asked not in kinds:
            raise InputError(
                f"--points_column {asked}: {where} has no such column (it has {there}){near(asked, kinds)}"
            )
        chosen = [asked]
    else:
        lower = {name.lower(): name for name in reversed(kinds)}
        named = [lower[name] for name in POINTS if name in lower]
        clouds = [name for name in kinds if kinds[name] == "cloud" and _width(rows, name) == 3]
        chosen = named[:1] or clouds or [name for name in kinds if kinds[name] == "file"]
    if len(chosen) > 1:
        raise InputError(f"{where}: columns {', '.join(chosen)} may all be clouds; choose with --points_column")
    if not chosen:
        raise InputError(f"{where}: no column holds clouds, lists [n, 3] of numbers; it has {there}")
    if kinds[chosen[0]] not in ("cloud", "file"):
        kind = kinds[chosen[0]] or rows.schema().field(chosen[0]).type
        raise InputError(
            f"{where}: column {chosen[0]} is {kind}, not clouds, whose rows are lists [n, 3] of numbers; "
            "reshape it, or choose another with --points_column"
        )
    return chosen[0]


def kind_of(kind: pa.DataType) -> str | None:
    """``cloud`` [n, k], ``flat numbers`` [n], ``file`` (bytes and path), or None."""
    kind = _storage(kind)
    if _is_list(kind):
        inner = _storage(kind.value_type)
        if _is_list(inner) and _is_number(_storage(inner.value_type)):
            return "cloud"
        if pa.types.is_struct(inner) and all(_has_number(inner, axis) for axis in "xyz"):
            return "cloud"
        return "flat numbers" if _is_number(inner) else None
    if pa.types.is_struct(kind) and {"bytes", "path"} <= {field.name for field in kind}:
        return "file"
    return None


def features(rows: Rows) -> dict[str, Any]:
    """What Hugging Face noted of the columns in the schema: names of classes among others."""
    try:
        note = json.loads((rows.schema().metadata or {}).get(b"huggingface", b"{}"))
        found = note["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def count_rows_points(rows: Rows, column: str) -> npt.NDArray[np.int64]:
    """The number of points of each row [n]: 0 for a missing cloud, -1 where only reading the mesh could tell."""
    import pyarrow.compute as pc

    kind = _storage(rows.schema().field(column).type)
    if not _is_list(kind):
        return np.full(len(rows), -1)
    if pa.types.is_fixed_size_list(kind):
        return np.full(len(rows), kind.list_size)
    counts: list[npt.NDArray[np.int64]] = []
    for index in range(len(rows.pieces)):
        for chunk in rows.piece(index, column).chunks:
            plain = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
            counts.append(pc.fill_null(pc.list_value_length(plain), 0).to_numpy(zero_copy_only=False))
    return np.concatenate([np.empty(0, np.int64), *counts]).astype(np.int64)


def load_row(rows: Rows, column: str, row: int) -> Geometry:
    """The cloud or the mesh in a row.

    Raises:
        InputError: there is none, its rows are not of equal length, or the mesh's bytes are damaged.
    """
    try:
        value = rows.value(row, column)
    except StopIteration as error:
        raise InputError("the row is not there: the file has changed since it was opened") from error
    if value.null_count:
        raise InputError("the row has no shape")
    if kind_of(value.type) == "file":
        return _load_file(value[0].as_py())
    return Geometry(_numbers(value))


def _numbers(value: pa.Array) -> npt.NDArray[np.float64]:
    inner = _plain(_plain(value).flatten())
    if len(inner) == 0:
        raise InputError("the cloud holds no points")
    if pa.types.is_struct(inner.type):
        columns = [inner.field(axis).to_numpy(zero_copy_only=False) for axis in "xyz"]
        return np.stack(columns, axis=1).astype(np.float64)
    if inner.null_count:
        raise InputError("the cloud has points that are null")
    flat = _plain(inner.flatten()).to_numpy(zero_copy_only=False)
    if pa.types.is_fixed_size_list(inner.type):
        width = inner.type.list_size
    else:
        lengths = inner.value_lengths().to_numpy()
        width = int(lengths[0])
        if (lengths != width).any():
            raise InputError("the cloud's points have different numbers of coordinates")
    if width < 3:
        raise InputError(f"the cloud's points have {width} coordinates; three are needed")
    return np.ascontiguousarray(flat.reshape(len(inner), width)[:, :3], dtype=np.float64)


def _load_file(held: dict[str, Any]) -> Geometry:
    data, suffix = held["bytes"], Path(held["path"] or "").suffix
    if not data:
        raise InputError("the row has no bytes, only a path, which is not opened; embed the files")
    if not suffix and data[:4] == b"glTF":
        suffix = ".glb"
    with tempfile.TemporaryDirectory(prefix="pointvae-") as folder:
        file = Path(folder) / f"shape{suffix}"
        file.write_bytes(data)
        return read_file(file)


def _width(rows: Rows, column: str) -> int | None:
    """The number of columns of the first cloud, None where there is none."""
    for index in range(len(rows.pieces)):
        for chunk in rows.piece(index, column).chunks:
            for value in (chunk.slice(row, 1) for row in range(len(chunk))):
                if value.null_count or len(inner := _plain(_plain(value).flatten())) == 0:
                    continue
                if pa.types.is_struct(inner.type):
                    return 3
                return inner.type.list_size if pa.types.is_fixed_size_list(inner.type) else len(inner[0])
    return None


def _plain(array: pa.Array) -> pa.Array:
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _has_number(kind: pa.StructType, name: str) -> bool:
    return kind.get_field_index(name) >= 0 and _is_number(kind.field(name).type)


def _schema(file: str) -> pa.Schema:
    return pq.read_schema(file) if file.lower().endswith(".parquet") else _arrow(file).schema


@functools.lru_cache(maxsize=64)
def _arrow(file: str) -> pa.Table:
    """An Arrow file or stream, mapped into memory."""
    source = pa.memory_map(file)
    try:
        table = pa.ipc.open_stream(source).read_all()
    except pa.ArrowInvalid:
        source.seek(0)
        table = pa.ipc.open_file(source).read_all()
    table.validate()  # a buffer shorter than its array says would be read beyond its end
    return table


@functools.lru_cache(maxsize=KEPT)
def _piece(file: str, group: int, column: str) -> pa.ChunkedArray:
    try:
        if file.lower().endswith(".parquet"):
            with pq.ParquetFile(file) as opened:
                return opened.read_row_group(group, columns=[column])[column]
        return _arrow(file)[column]
    except (OSError, pa.ArrowException) as error:
        why = str(error).splitlines()[0][:120]
        raise InputError(f"{Path(file).name}: column {column} is damaged ({why}); fetch or write it anew") from error
