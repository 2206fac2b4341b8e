"""Shapes in memory, and the dataset folder they are read from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pointvae.data import shards
from pointvae.data.card import read_card
from pointvae.data.reading import SplitShards, in_threads
from pointvae.errors import InputError
from pointvae.places import is_remote, place

if TYPE_CHECKING:
    from pointvae.data.stream import Stream

Index = int | slice | Sequence[int] | npt.NDArray[np.integer[Any]] | npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Shapes:
    """Point clouds of one split, with what is known of them.

    Attributes:
        points: the clouds, z up [n, N, 3], float32.
        labels: the index of each shape's class in ``classes`` [n], int64; None where there are no classes.
        names: the name of each shape within its source [n].
        classes: the names of the classes.
        normals: unit normals of the surface at the points [n, N, 3], float32; None where not recorded.
        factors: for procedural shapes the numbers each was built from [n]; None for others.
    """

    points: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64] | None
    names: list[str]
    classes: list[str]
    normals: npt.NDArray[np.float32] | None = None
    factors: list[dict[str, float]] | None = None

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: Index) -> Shapes:
        """The shapes at an integer, a slice, an array of indices or a mask; always `Shapes`, even of one."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return dataclasses.replace(
            self,
            points=self.points[chosen],
            labels=None if self.labels is None else self.labels[chosen],
            names=[self.names[i] for i in chosen],
            normals=None if self.normals is None else self.normals[chosen],
            factors=None if self.factors is None else [self.factors[i] for i in chosen],
        )


class ShapeDataset:
    """A dataset folder, whose splits are read when first asked for and then kept.

    Attributes:
        path: the folder; of a remote one an object with a path's methods.
        card: the YAML head of its README.md; what `prepare` recorded stands under ``card["pointvae"]``.
        classes: the names of the classes; empty for unlabelled shapes.
        splits: the names of the splits, ``train`` first.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = place(path)
        self.card: dict[str, Any] = read_card(self.path)
        facts = self.card["pointvae"]
        self.classes: list[str] = [str(name) for name in facts["classes"]]
        self.splits: list[str] = [name for name, split in facts["splits"].items() if split["shapes"]]
        self._shards: list[dict[str, Any]] = facts["shards"]
        self._cache: dict[str, Shapes] = {}
        sizes = self._sizes()
        for shard in self._shards:
            self._check(shard, sizes.get(shard["file"]))

    @property
    def points(self) -> int:
        """The number of points of every cloud."""
        return int(self.card["pointvae"]["points"])

    def __repr__(self) -> str:
        counts = {name: self.card["pointvae"]["splits"][name]["shapes"] for name in self.splits}
        return f"ShapeDataset({str(self.path)!r}, {counts}, points={self.points}, classes={len(self.classes)})"

    def __getitem__(self, split: str) -> Shapes:
        """The shapes of one split.

        Raises:
            InputError: there is no such split, a shard is damaged, or a cloud holds NaN or infinity.
        """
        if split not in self._cache:
            self._cache[split] = read_shards(self.shards(split), self.card["pointvae"])
        return self._cache[split]

    def shards(self, split: str) -> SplitShards:
        """The shards of one split, to be read one by one.

        Raises:
            InputError: there is no such split.
        """
        if split not in self.splits:
            raise InputError(f"{self.path}: has no split {split!r}; it has {', '.join(self.splits)}")
        mine = [shard for shard in self._shards if shard["split"] == split and shard["rows"]]
        files, rows = tuple(shard["file"] for shard in mine), tuple(int(shard["rows"]) for shard in mine)
        return SplitShards(str(self.path) if is_remote(self.path) else self.path, files, rows, self.points)

    def stream(
        self,
        split: str = "train",
        *,
        batch_size: int = 32,
        seed: int = 0,
        epoch: int = 0,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
        held: npt.NDArray[np.integer[Any]] | None = None,
    ) -> Stream:
        """The shuffled batches of one epoch, read from the shards as they are asked for.

        Args:
            split: the split.
            batch_size: shapes a batch [B]; what does not fill a last batch is left out.
            seed: what the order of every epoch is made from.
            epoch: which epoch; every one has an order of its own.
            rank: of this process.
            world_size: the number of processes; each sees its own part of every global batch.
            start: batches to leave out at the beginning, for a loop that goes on in mid-epoch.
            held: rows of the split to leave out, sorted.

        Returns:
            An iterable of float32 tensors [B, N, 3], in place of a loader or, with its ``batch_size=None``, within
            torch's ``DataLoader``.

        Raises:
            InputError: there is no such split; and while it is read, that a shard is absent or damaged.

        Example:
            >>> for points in load_dataset("s3://bucket/shapes").stream(batch_size=64):  # doctest: +SKIP
            ...     points.shape
            torch.Size([64, 2048, 3])
        """
        from pointvae.data.order import Order
        from pointvae.data.stream import Stream

        shards = self.shards(split)
        order = Order(shards.rows, held, seed)
        return Stream(shards, order, batch_size, epoch=epoch, rank=rank, world_size=world_size, start=start)

    def _sizes(self) -> dict[str, int]:
        """The bytes of every file of the folder, from one listing."""
        if is_remote(self.path):
            remote: Any = self.path
            try:
                listing = remote.fs.ls(remote.path, detail=True)
            except OSError as error:
                raise InputError(f"{self.path}: cannot be listed ({error}); see to the store's settings") from error
            return {str(entry["name"]).rstrip("/").rsplit("/", 1)[-1]: int(entry["size"] or 0) for entry in listing}
        return {path.name: path.stat().st_size for path in self.path.iterdir() if path.is_file()}

    def _check(self, shard: dict[str, Any], size: int | None) -> None:
        """Size and, on this machine, Parquet's closing bytes; `inspect` compares the checksums too."""
        path = self.path / shard["file"]
        if size is None:
            raise shards.damaged(path, "it is missing")
        if size != shard["bytes"]:
            raise shards.damaged(path, f"it has {size} bytes, not {shard['bytes']}")
        if is_remote(path):
            return
        with path.open("rb") as stream:
            stream.seek(max(0, size - 4))
            if stream.read() != b"PAR1":
                raise shards.damaged(path, "its footer is missing")


def read_shards(mine: SplitShards, card: Mapping[str, Any]) -> Shapes:
    """The shapes of some shards.

    Args:
        mine: the shards.
        card: what the dataset's card says of its columns: ``classes``, ``normals`` and ``factors``.

    Raises:
        InputError: a shard is damaged, or a cloud holds NaN or infinity.
    """
    count = sum(mine.rows)
    try:
        points = np.empty((count, mine.points, 3), np.float32)
        normals = np.empty_like(points) if card["normals"] else None
    except (MemoryError, ValueError) as error:
        size = 12 * count * mine.points / 1e9
        raise InputError(
            f"{mine.folder}: {count:,} clouds of {mine.points:,} points take {size:.1f} GB, more than there is; "
            "train with --loading stream, or see whether its card is right"
        ) from error
    labels = np.empty(count, np.int64) if card["classes"] else None
    names: list[str] = []
    factors: list[dict[str, float]] | None = [] if card["factors"] else None
    start = 0
    for shard, table in enumerate(in_threads(mine.read, range(len(mine.files)))):
        stop = start + mine.rows[shard]
        points[start:stop] = mine.checked(shard, table)
        try:
            if normals is not None:
                normals[start:stop] = shards.cloud_array(table["normals"])
            if labels is not None:
                labels[start:stop] = table["label"].to_numpy()
            names += table["name"].to_pylist()
            if factors is not None:
                factors += [json.loads(text) for text in table["factors"].to_pylist()]
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise shards.damaged(mine.path(shard), f"its columns are not those of the card: {error}") from error
        start = stop
    return Shapes(points, labels, names, [str(name) for name in card["classes"]], normals, factors)


def load_dataset(path: str | Path) -> ShapeDataset:
    """Open a dataset folder that ``pointvae prepare`` made, here or at a URL; its splits are read when asked for.

    Example:
        >>> shapes = load_dataset("data/modelnet40")["train"]  # doctest: +SKIP
        >>> shapes.points.shape  # doctest: +SKIP
        (9843, 1024, 3)

    Raises:
        InputError: the folder is absent, not a dataset, unfinished, or one of its shards is cut short.
    """
    return ShapeDataset(path)
