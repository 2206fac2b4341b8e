"""An epoch read from shards: batch after batch, shuffled, with a window of the set in memory and no more."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from pointvae.data.order import Epoch, Integers, Order, Piece
from pointvae.data.reading import THREADS, SplitShards

PATIENCE = 10.0  # seconds that a reader has to end once nobody listens; it dies with the process in any case


class _End:
    """What follows the last batch."""


class Stream(IterableDataset[Tensor]):
    """The batches of one epoch that one process sees, in the order of `Order`: float32 clouds [B, N, 3].

    A thread reads ahead by a window's length. Under torch's ``DataLoader`` (with ``batch_size=None``) worker w of K
    reads every K-th batch, and they come in the same order. What does not fill a last batch is left out.

    Args:
        shards: where the shapes lie.
        order: the order of the split's epochs.
        batch_size: shapes a batch; fewer where the set is smaller.
        epoch: which epoch.
        rank: of this process.
        world_size: the number of processes; rank r has the rows r, r + W, r + 2W, … of every global batch of W B.
        start: how many batches to leave out at the beginning.

    Raises:
        InputError: while it is read: a shard is absent or damaged, or its store does not answer.
    """

    def __init__(
        self,
        shards: SplitShards,
        order: Order,
        batch_size: int,
        *,
        epoch: int = 0,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
    ) -> None:
        self.shards, self.order = shards, order
        self.batch_size = order.share(batch_size, world_size)
        self.epoch, self.rank, self.world_size, self.start = epoch, rank, world_size, start

    def __len__(self) -> int:
        return max(0, len(self.order) // (self.batch_size * self.world_size) - self.start)

    def __iter__(self) -> Iterator[Tensor]:
        worker = get_worker_info()
        own, step = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        numbers = range(self.start + own, self.start + len(self), step)
        ahead = max(2, self.order.window // self.order.lanes // self.batch_size)
        batches: queue.Queue[Any] = queue.Queue(ahead)
        stop = threading.Event()
        work = (numbers, batches, stop)
        reader = threading.Thread(target=self._read, args=work, name="pointvae-stream", daemon=True)
        reader.start()
        try:
            while not isinstance(item := batches.get(), _End):
                if isinstance(item, BaseException):
                    raise item
                yield torch.from_numpy(item)
        finally:
            stop.set()
            reader.join(PATIENCE)

    def _read(self, numbers: range, batches: queue.Queue[Any], stop: threading.Event) -> None:
        """The thread's work: put every batch, then the end, or the error that came instead."""

        def put(item: Any) -> None:
            while not stop.is_set():
                with contextlib.suppress(queue.Full):
                    batches.put(item, timeout=0.1)
                    return

        try:
            with ThreadPoolExecutor(THREADS) as pool:
                epoch = self.order.epoch(self.epoch)
                lanes = [_Lane(self.shards, epoch, lane, pool) for lane in range(epoch.lanes)]
                for number in numbers:
                    if stop.is_set():
                        return
                    put(self._batch(number, lanes))
            put(_End())
        except BaseException as error:  # the consumer raises it in its own thread
            put(error)

    def _batch(self, number: int, lanes: list[_Lane]) -> npt.NDArray[np.float32]:
        first = number * self.batch_size * self.world_size + self.rank
        positions = first + self.world_size * np.arange(self.batch_size)
        batch = np.empty((self.batch_size, self.shards.points, 3), np.float32)
        of, indices = positions % len(lanes), positions // len(lanes)
        for lane in np.unique(of):
            lanes[lane].fill(batch, np.flatnonzero(of == lane), indices[of == lane])
        return batch


class _Lane:
    """One lane of an epoch: the window at hand in memory, and the rest of a shard that the next one shares."""

    def __init__(self, shards: SplitShards, epoch: Epoch, lane: int, pool: ThreadPoolExecutor) -> None:
        self.shards, self.epoch, self.lane, self.pool = shards, epoch, lane, pool
        self.number, self.start = -1, 0
        self.window: npt.NDArray[Any] = np.empty(0)
        self.kept: tuple[int, int, npt.NDArray[Any]] | None = None  # a shard, its first row here, the rows from there

    def fill(self, batch: npt.NDArray[np.float32], places: Integers, indices: Integers) -> None:
        """Copy the shapes at ``indices`` of the lane, which only ever grow, to their places in a batch."""
        numbers = self.epoch.window_of(self.lane, indices)
        for number in np.unique(numbers):
            if number != self.number:
                self._load(int(number))
            chosen = numbers == number
            batch[places[chosen]] = self.window[indices[chosen] - self.start]

    def _load(self, number: int) -> None:
        self.window = np.empty(0)  # first let go of the last one
        self.number, (self.start, end) = number, self.epoch.bounds(self.lane, number)
        pieces = list(self.epoch.pieces(self.lane, number))
        window: npt.NDArray[Any] | None = None
        last = pieces[-1]
        more = end < self.epoch.size(self.lane) and last.rows[-1] + 1 < self.shards.rows[last.shard]
        for piece, (first, clouds) in zip(pieces, self.pool.map(self._clouds, pieces), strict=True):
            if window is None:
                window = np.empty((end - self.start, *clouds.shape[1:]), clouds.dtype)
            window[piece.places] = clouds[piece.rows - first]
            if piece is last:
                rest = int(piece.rows[-1]) + 1
                self.kept = (piece.shard, rest, clouds[rest - first :].copy()) if more else None
        assert window is not None
        self.window = window

    def _clouds(self, piece: Piece) -> tuple[int, npt.NDArray[Any]]:
        """The clouds of the shard of a piece, from some row on."""
        if self.kept is not None and self.kept[0] == piece.shard:
            return self.kept[1:]
        return 0, self.shards.clouds(piece.shard)
