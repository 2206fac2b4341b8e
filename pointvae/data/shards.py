"""The Parquet shards of a dataset folder: their schema, written whole or not at all, and read back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pointvae.errors import InputError
from pointvae.places import here, open_arrow
from pointvae.writing import whole_file

SKIPPED_KEY = b"pointvae.skipped"
"""The metadata key under which a shard keeps the files that it had to leave out."""

DIGESTS_KEY = b"pointvae.digests"
"""The metadata key under which a shard keeps a digest of each shape as it was before sampling."""

WIDEST, LONGEST, SPARE = 64, 1 << 16, 1 << 24
"""Bytes that a shard may unpack to: of a point with its normal, of all the names of a shape, and beside those."""


@dataclass
class Rows:
    """The columns of one shard: points and normals [n, N, 3], labels [n]; absent columns are None."""

    points: npt.NDArray[Any]
    names: list[str]
    source: str
    labels: npt.NDArray[np.int64] | None = None
    normals: npt.NDArray[Any] | None = None
    factors: list[str] | None = None
    skipped: list[dict[str, str]] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)


def shard_name(split: str, index: int, count: int) -> str:
    """The file name of a shard, ``train-00000-of-00004.parquet``, as Hugging Face names them."""
    return f"{split}-{index:05d}-of-{count:05d}.parquet"


def _clouds(values: npt.NDArray[Any]) -> pa.Array:
    """An Arrow array of n lists of N lists of 3 numbers, all of fixed size, sharing the memory of [n, N, 3]."""
    _, points, columns = values.shape
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    inner = pa.FixedSizeListArray.from_arrays(flat, columns)
    return pa.FixedSizeListArray.from_arrays(inner, points)


def write_shard(path: Path, rows: Rows) -> tuple[int, str]:
    """Write one shard under a temporary name, then give it its own, so that it is whole wherever it is seen.

    The same rows give the same bytes.

    Returns:
        Its size in bytes and its SHA-256.
    """
    columns: dict[str, pa.Array] = {"points": _clouds(rows.points)}
    if rows.normals is not None:
        columns["normals"] = _clouds(rows.normals)
    if rows.labels is not None:
        columns["label"] = pa.array(rows.labels, pa.int64())
    columns["name"] = pa.array(rows.names, pa.string())
    columns["source"] = pa.array([rows.source] * len(rows.names), pa.string())
    if rows.factors is not None:
        columns["factors"] = pa.array(rows.factors, pa.string())
    table = pa.table(columns)
    notes = {SKIPPED_KEY: json.dumps(rows.skipped).encode(), DIGESTS_KEY: json.dumps(rows.digests).encode()}
    table = table.replace_schema_metadata(notes)
    options = {"compression": "zstd", "use_dictionary": ["label", "source"], "write_statistics": False}
    with whole_file(path) as temporary:
        with pq.ParquetWriter(temporary, table.schema, **options) as writer:
            if len(table):  # no row group rather than an empty one, which Hugging Face cannot read
                writer.write_table(table, row_group_size=len(table))
        return temporary.stat().st_size, sha256(temporary)


def read_shard(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The Arrow table of one shard.

    Raises:
        InputError: the file is absent, cut short or otherwise not Parquet.
    """
    try:
        with open_arrow(path) as source:
            return pq.read_table(source, columns=columns, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, str(error).splitlines()[0]) from error


def rehearse(path: Path) -> None:
    """Read all of a shard for its faults alone, as a process apart does of one that a stranger may have made.

    Raises:
        InputError: it is damaged, or says of itself what does not hold.
    """
    try:
        table = read_shard(path)
        table.validate(full=True)
        for name in ("name", "source", "factors"):
            if name in table.column_names:
                table[name].to_pylist()
        read_digests(path), read_skipped(path)
    except InputError as error:
        if isinstance(error.__cause__, MemoryError):  # as Arrow says it
            raise MemoryError from None
        raise
    except MemoryError:
        raise
    except (ValueError, TypeError, RecursionError, pa.ArrowException) as error:
        raise damaged(path, str(error).splitlines()[0][:200]) from error


def check_size(path: Path, rows: int, points: int) -> None:
    """Look into a shard's footer, before it is unpacked, whether it says that it holds more than its card does.

    The footer's facts of single columns are not asked for: on wrong ones Arrow ends the process.

    Args:
        path: the shard, on this machine.
        rows: how many shapes it must have.
        points: points of a shape.

    Raises:
        InputError: it has another number of shapes, or unpacks to far more bytes than so many shapes take.
    """
    try:
        facts = pq.read_metadata(path)
        groups = [facts.row_group(group) for group in range(facts.num_row_groups)]
        found, size = (sum(int(getattr(group, name)) for group in groups) for name in ("num_rows", "total_byte_size"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise damaged(path, str(error).splitlines()[0][:200]) from error
    for count in (found, int(facts.num_rows)):
        if count != rows:
            raise damaged(path, f"it has {count} shapes, not {rows}")
    if not 0 <= size <= SPARE + rows * (points * WIDEST + LONGEST):
        raise damaged(path, f"it unpacks to {size / 1e6:,.0f} MB, more than {rows} shapes of {points} points take")


def read_skipped(path: Path) -> list[dict[str, str]]:
    """The files that a shard had to leave out, each with ``file`` and ``why``."""
    skipped: list[dict[str, str]] = _read_note(path, SKIPPED_KEY)
    return skipped


def read_digests(path: Path) -> list[str]:
    """The digest of each shape of a shard: equal where the meshes or clouds in the source are equal."""
    digests: list[str] = _read_note(path, DIGESTS_KEY)
    return digests


def _read_note(path: Path, key: bytes) -> Any:
    try:
        with open_arrow(path) as source:
            metadata = pq.read_schema(source).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, str(error).splitlines()[0]) from error
    return json.loads(metadata.get(key, b"[]"))


def count_rows(path: Path) -> int:
    """The number of shapes in a shard, from its footer alone."""
    try:
        with open_arrow(path) as source:
            return int(pq.read_metadata(source).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, str(error).splitlines()[0]) from error


def look(path: Path, classes: int) -> tuple[int, int, str, list[int], list[dict[str, str]]] | None:
    """Rows, size, SHA-256, shapes of each class and files left out of a shard; None if it is absent or damaged."""
    if not path.is_file():
        return None
    try:
        with here(path) as file:
            labels = read_shard(file, ["label"])["label"].to_pylist() if classes else []
            size, checksum = file.stat().st_size, sha256(file)
            return count_rows(file), size, checksum, count_classes(labels, classes), read_skipped(file)
    except (InputError, KeyError, pa.ArrowException):
        return None


def count_classes(labels: list[int], classes: int) -> list[int]:
    """How many of the labels are 0, 1, … [classes]."""
    counts: list[int] = np.bincount(np.array(labels, np.int64), minlength=classes).tolist()
    return counts


def cloud_array(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The numpy array [n, N, 3] of a column of clouds, without a copy where Arrow holds it in one piece."""
    pieces: list[npt.NDArray[Any]] = []
    for chunk in column.chunks:
        points, columns = chunk.type.list_size, chunk.type.value_type.list_size
        flat = chunk.flatten().flatten().to_numpy(zero_copy_only=True)
        pieces.append(flat.reshape(len(chunk), points, columns))
    if len(pieces) > 1:
        return np.concatenate(pieces)
    return pieces[0] if pieces else np.empty((0, column.type.list_size, 3), np.float32)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def damaged(path: Path, why: str) -> InputError:
    """The error for a shard that cannot be read as it was written."""
    return InputError(
        f"{path}: the shard is damaged ({why}); run the same `pointvae prepare` again, it makes such shards anew"
    )
