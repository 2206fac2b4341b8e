"""The order of an epoch: a pure function of the seed, the epoch, the shards and which shapes are held out.

A set of up to `WINDOW` shapes is shuffled as a whole. In a larger one the shards are shuffled, what they hold in that
order is cut into `LANES` contiguous lanes of one length, and each lane is shuffled a window at a time; positions go
round the lanes. So an epoch can be read from shards with one window of every lane in memory, and in each batch meet
shapes of many shards. The number of processes, of workers, and where the shapes lie have no say in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError

Integers = npt.NDArray[np.int64]

WINDOW = 16_384
"""Shapes among which an epoch is shuffled at any time; up to so many are shuffled perfectly."""

LANES = 16
"""Places of the set that are read at once. A process whose number of fellows divides it reads only its own."""


@dataclass(frozen=True)
class Piece:
    """What a window takes from one shard.

    Attributes:
        shard: the shard's index.
        rows: which of its rows, ascending [k].
        places: where in the window they stand [k].
    """

    shard: int
    rows: Integers
    places: Integers


class Order:
    """The order of every epoch over the shapes of a split that are not held out.

    Args:
        rows: the number of shapes in each shard.
        held: the shapes that are left out, as rows of the whole split, sorted [H].
        seed: what every order is made from.
        window: shapes to shuffle among.
        lanes: places of the set that are read at once.
    """

    def __init__(
        self,
        rows: Sequence[int],
        held: npt.NDArray[np.integer[Any]] | None = None,
        seed: int = 0,
        *,
        window: int = WINDOW,
        lanes: int = LANES,
    ) -> None:
        self.rows = np.asarray(rows, np.int64)
        self.held = np.empty(0, np.int64) if held is None else np.asarray(held, np.int64)
        self.seed, self.window, self.lanes = seed, window, lanes
        self.offsets = np.concatenate([[0], np.cumsum(self.rows)])
        self._cuts = np.searchsorted(self.held, self.offsets)
        self.counts = self.rows - np.diff(self._cuts)

    def __len__(self) -> int:
        return int(self.counts.sum())

    @property
    def key(self) -> str:
        """A digest that two orders share only if they are the same."""
        facts = f"{self.seed} {self.window} {self.lanes} {len(self.rows)}".encode()
        columns = [column.astype("<i8").tobytes() for column in (self.rows, self.held)]
        return hashlib.sha256(b"".join([facts, *columns])).hexdigest()[:16]

    def rows_of(self, shard: int) -> Integers:
        """The rows of a shard that are not held out, ascending."""
        held = self.held[self._cuts[shard] : self._cuts[shard + 1]] - self.offsets[shard]
        return np.delete(np.arange(self.rows[shard]), held)

    def epoch(self, epoch: int) -> Epoch:
        """The order of one epoch."""
        return Epoch(self, epoch)

    def share(self, batch_size: int, world_size: int) -> int:
        """Shapes that each of ``world_size`` processes sees at a step: fewer than asked for where the set is small.

        Raises:
            InputError: there are fewer shapes than processes.
        """
        if len(self) < world_size:
            raise InputError(f"{world_size} processes cannot share {len(self)} shapes; ask for fewer --devices")
        return min(batch_size, len(self) // world_size)


class Epoch:
    """The order of one epoch: position p is index p // lanes of lane p % lanes.

    Attributes:
        order: the order of every epoch.
        lanes: how many lanes there are; 1 for a set of up to a window.
    """

    def __init__(self, order: Order, epoch: int) -> None:
        self.order, self._epoch = order, epoch
        self._whole = len(order) <= order.window
        self.lanes = 1 if self._whole else order.lanes
        count = len(order.rows)
        self._shards = np.arange(count) if self._whole else self._rng().permutation(count)
        self._starts = np.concatenate([[0], np.cumsum(order.counts[self._shards])])

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([k % 2**64 for k in (self.order.seed, self._epoch, *key)])

    def size(self, lane: int) -> int:
        """The number of shapes of a lane."""
        return (len(self.order) - lane + self.lanes - 1) // self.lanes

    def _lengths(self, lane: int) -> tuple[int, int]:
        """The length of a lane's first window, shorter by lane lest all are at their ends at once; of the others."""
        if self._whole:
            return max(1, len(self.order)), 1
        length = max(1, self.order.window // self.lanes)
        return max(1, (lane + 1) * length // self.lanes), length

    def window_of(self, lane: int, indices: Integers) -> Integers:
        """The number of the window in which each index of a lane lies."""
        first, length = self._lengths(lane)
        return np.where(indices < first, 0, (indices - first) // length + 1)

    def bounds(self, lane: int, number: int) -> tuple[int, int]:
        """The first index of a lane's window, and that after its last."""
        first, length = self._lengths(lane)
        start = 0 if number == 0 else first + (number - 1) * length
        return start, min(self.size(lane), first + number * length)

    def pieces(self, lane: int, number: int) -> Iterator[Piece]:
        """What a window takes from each shard, in the order in which they follow each other along the lane."""
        begin, end = self.bounds(lane, number)
        each, more = divmod(len(self.order), self.lanes)
        begin, end = (lane * each + min(lane, more) + index for index in (begin, end))
        places = np.empty(end - begin, np.int64)
        places[self._shuffle(lane, number, end - begin)] = np.arange(end - begin)
        at = int(np.searchsorted(self._starts, begin, "right")) - 1
        while begin < end:
            start, stop = int(self._starts[at]), min(end, int(self._starts[at + 1]))
            if stop > begin:
                shard = int(self._shards[at])
                yield Piece(shard, self.order.rows_of(shard)[begin - start : stop - start], places[: stop - begin])
                places, begin = places[stop - begin :], stop
            at += 1

    def _shuffle(self, lane: int, number: int, count: int) -> Integers:
        if not self._whole:
            return self._rng(lane, number).permutation(count)
        import torch

        drawn = torch.randperm(count, generator=torch.Generator().manual_seed(self.order.seed + self._epoch))
        shuffle: Integers = drawn.numpy()
        return shuffle

    def rows(self) -> Integers:
        """The row of the split at every position [n], for shapes that are all in memory."""
        rows = np.empty(len(self.order), np.int64)
        for lane in range(self.lanes):
            mine = np.empty(self.size(lane), np.int64)
            number, end = 0, 0
            while end < len(mine):
                start, end = self.bounds(lane, number)
                for piece in self.pieces(lane, number):
                    mine[start + piece.places] = self.order.offsets[piece.shard] + piece.rows
                number += 1
            rows[lane :: self.lanes] = mine
        return rows
