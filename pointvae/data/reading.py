"""Columns of a split's shards, read on several threads; what a remote store drops is asked for again."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pointvae.data import shards
from pointvae.errors import InputError
from pointvae.places import is_remote, place

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 4
ATTEMPTS = 4
PAUSE = 0.5  # seconds before the second attempt; twice as long before each further one


@dataclass(frozen=True)
class SplitShards:
    """The shards of one split; it can travel to other processes.

    Attributes:
        folder: the dataset folder, or its URL.
        files: the shards' names.
        rows: the number of shapes in each.
        points: points of a shape.
        limit: the largest coordinate that who reads them takes.
    """

    folder: str | Path
    files: tuple[str, ...]
    rows: tuple[int, ...]
    points: int
    limit: float = math.inf

    def only(self, shard: int) -> SplitShards:
        """One of the shards alone."""
        return dataclasses.replace(self, files=(self.files[shard],), rows=(self.rows[shard],))

    def path(self, shard: int) -> Path:
        """Where a shard lies."""
        return place(self.folder) / self.files[shard]

    def read(self, shard: int, columns: list[str] | None = None) -> Any:
        """The Arrow table of one shard.

        Raises:
            InputError: it is absent or damaged, or its store does not answer.
        """
        path = self.path(shard)
        if not is_remote(path):  # a store would be asked once more for each shard
            shards.check_size(path, self.rows[shard], self.points)
        table = _patiently(path, lambda: shards.read_shard(path, columns))
        if len(table) != self.rows[shard]:
            raise shards.damaged(path, f"it has {len(table)} shapes, not {self.rows[shard]}")
        return table

    def clouds(self, shard: int, rows: slice | npt.NDArray[np.int64] | None = None) -> npt.NDArray[Any]:
        """The clouds of one shard, as they are stored [rows, N, 3]; those of ``rows`` are looked at for NaN.

        Raises:
            InputError: the shard is absent or damaged, or a cloud holds NaN or infinity.
        """
        return self.checked(shard, self.read(shard, ["points"]), rows)

    def checked(self, shard: int, table: Any, rows: slice | npt.NDArray[np.int64] | None = None) -> npt.NDArray[Any]:
        """The clouds of a shard's table, as `clouds` gives them."""
        try:
            clouds = shards.cloud_array(table["points"])
        except (KeyError, ValueError, AttributeError) as error:
            raise shards.damaged(self.path(shard), f"its columns are not those of the card: {error}") from error
        if clouds.shape[1:] != (self.points, 3):
            raise shards.damaged(self.path(shard), f"its clouds have {clouds.shape[1]} points, not {self.points}")
        chosen = slice(None) if rows is None else rows
        if not clouds[chosen].size:
            return clouds
        greatest = np.abs(clouds[chosen]).max(axis=(1, 2)).astype(np.float64)
        fine = np.isfinite(greatest) & (greatest <= self.limit)
        if not fine.all():
            bad = int(np.argmin(fine))
            name = self.read(shard, ["name"])["name"][int(np.arange(len(clouds))[chosen][bad])].as_py()
            if np.isfinite(greatest[bad]):
                raise InputError(f"{self.path(shard)}: shape {name!r} {beyond(greatest[bad], self.limit)}")
            raise shards.damaged(self.path(shard), f"shape {name} holds NaN or infinity")
        return clouds

    def labels(self) -> npt.NDArray[np.int64]:
        """The labels of the whole split [n], of which nothing else is read."""

        def column(shard: int) -> npt.NDArray[np.int64]:
            try:
                labels: npt.NDArray[np.int64] = self.read(shard, ["label"])["label"].to_numpy().astype(np.int64)
            except (KeyError, ValueError) as error:
                why = f"its columns are not those of the card: {error}"
                raise shards.damaged(self.path(shard), why) from error
            return labels

        columns = in_threads(column, range(len(self.files)))
        return np.concatenate([np.empty(0, np.int64), *columns])

    def names(self, rows: npt.NDArray[np.integer[Any]]) -> list[str]:
        """The names of the shapes at some rows of the split, sorted [k]."""
        offsets = np.concatenate([[0], np.cumsum(self.rows)])
        shards_of = np.searchsorted(offsets, rows, "right") - 1
        places = [(int(shard), int(row - offsets[shard])) for row, shard in zip(rows, shards_of, strict=True)]
        columns = {shard: self.read(shard, ["name"])["name"] for shard in sorted({shard for shard, _ in places})}
        return [columns[shard][row].as_py() for shard, row in places]

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The clouds at some rows of the split, sorted [k]; only the shards that hold them are read [k, N, 3]."""
        offsets = np.concatenate([[0], np.cumsum(self.rows)])
        cuts = np.searchsorted(rows, offsets)
        wanted = [shard for shard in range(len(self.files)) if cuts[shard] < cuts[shard + 1]]

        def some(shard: int) -> npt.NDArray[Any]:
            own = rows[cuts[shard] : cuts[shard + 1]] - offsets[shard]
            clouds: npt.NDArray[Any] = self.clouds(shard, own)[own]
            return clouds

        clouds = np.empty((len(rows), self.points, 3), np.float32)
        for shard, part in zip(wanted, in_threads(some, wanted), strict=True):
            clouds[cuts[shard] : cuts[shard + 1]] = part
        return clouds


def beyond(coordinate: float, limit: float) -> str:
    """What is wrong with a shape's largest coordinate, and how to mend it."""
    if not math.isfinite(coordinate):
        return "holds NaN or infinite coordinates; mend or remove it"
    return f"reaches {coordinate:.3g}, and models take coordinates to {limit:.3g}; prepare with --normalize sphere"


def _patiently(path: Path, read: Callable[[], Result]) -> Result:
    """What ``read`` gives; where a remote store fails, after some more attempts with pauses between them."""
    if not is_remote(path):
        return read()
    for attempt in itertools.count(1):
        try:
            return read()
        except Exception as error:  # stores have exceptions of their own, of no common kind
            reason = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
            if attempt == ATTEMPTS:
                raise InputError(
                    f"{path}: cannot be read, tried {ATTEMPTS} times ({reason}); see to the store or the network, "
                    "then give the same command again"
                ) from error
            logger.debug("%s: attempt %d failed: %s", path, attempt, reason)
            time.sleep(PAUSE * 2 ** (attempt - 1))
    raise AssertionError


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """A function's results, in order, made by some threads that run only a little ahead of who takes them."""
    rest = iter(items)
    with ThreadPoolExecutor(THREADS) as pool:
        under_way: deque[Future[Result]] = deque(pool.submit(function, i) for i in itertools.islice(rest, THREADS))
        try:
            while under_way:
                result = under_way.popleft().result()
                under_way.extend(pool.submit(function, item) for item in itertools.islice(rest, 1))
                yield result
        finally:
            for future in under_way:
                future.cancel()
