"""The batches of a training: every epoch's in the seeded order, from memory or from shards, from any step on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pointvae.data.order import Order
from pointvae.errors import InputError
from pointvae.randomness import generator_for

MAX_HELD = 4_096
"""Shapes held out at most: they stay in memory, and tell a mean to within a few per cent of one spread."""

HELD_BATCH = 256  # shapes that every process can hold at once where nothing is kept for a way back


class CloudDataset(Dataset[Tensor]):
    """Clouds [n, N, 3] in memory; a batch is one indexing, not many."""

    def __init__(self, points: npt.NDArray[np.float32]) -> None:
        self.points = torch.from_numpy(np.ascontiguousarray(points, dtype=np.float32))

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> Tensor:
        return self.points[index]

    def __getitems__(self, index: Sequence[int]) -> Tensor:
        """A batch of clouds [B, N, 3] by its indices."""
        return self.points[torch.as_tensor(index)]


def _keep(batch: Any) -> Any:
    return batch


class Batches(Protocol):
    """Where an epoch's batches come from."""

    def __call__(self, epoch: int, start: int) -> Iterator[Tensor]:
        """The batches [B, N, 3] of one epoch of one process, from the ``start``-th on."""


class EpochLoader:
    """An epoch's batches, as Lightning asks for them; it knows how far the epoch is, and goes on from there.

    A last batch that is smaller is left out of an epoch, since the statistics of batch normalisation on one or two
    shapes are worse than waiting for the next epoch.

    Args:
        order: the order of the epochs.
        batches: where the batches come from, given how many shapes each has.
        batch_size: shapes a batch; fewer where the set is smaller.
        world_size: the number of processes.
    """

    def __init__(self, order: Order, batches: Callable[[int], Batches], batch_size: int, world_size: int = 1) -> None:
        self.order, self.world_size = order, world_size
        self.batch_size = order.share(batch_size, world_size)
        self._batches = batches(self.batch_size)
        self._epoch = self._start = 0

    @property
    def sampler(self) -> EpochLoader:
        """Itself: Lightning tells the sampler of a loader the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration goes through."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self.order) // (self.batch_size * self.world_size)

    def __iter__(self) -> Iterator[Tensor]:
        # Lightning asks for the iterator before it tells the epoch, and for the first batch after that.
        start, self._start = self._start, 0
        yield from self._batches(self._epoch, start)

    def rows(self, epoch: int, batch: int, rows: Sequence[int], rank: int) -> npt.NDArray[np.int64]:
        """The rows of the split that stand at some rows of a batch of a process."""
        first = batch * self.batch_size * self.world_size
        places: npt.NDArray[np.int64] = first + np.asarray(rows, np.int64) * self.world_size + rank
        chosen: npt.NDArray[np.int64] = self.order.epoch(epoch).rows()[places]
        return chosen

    def position(self, batches: int) -> dict[str, Any]:
        """What a checkpoint keeps after so many batches of an epoch: how many shapes all processes have seen."""
        batch = self.batch_size * self.world_size
        return {"shapes_seen": batches * batch, "batch": batch, "order": self.order.key}

    def go_on(self, position: dict[str, Any]) -> None:
        """Begin the next iteration where a checkpoint stood.

        Raises:
            InputError: the checkpoint stands in another order, or among batches of another size.
        """
        if position["order"] != self.order.key:
            raise InputError(
                "--resume: the checkpoint stands within an epoch over other shapes, or other shards of them; give "
                "the data that the run was trained on, or choose another folder"
            )
        batch = self.batch_size * self.world_size
        if position["batch"] != batch:
            raise InputError(
                f"--resume: the checkpoint stands within an epoch of {position['batch']} shapes a step over all "
                f"devices, and now there are {batch}; give as many devices as before until the epoch's end"
            )
        self._start = int(position["shapes_seen"]) // batch


def from_memory(points: npt.NDArray[np.float32], order: Order, rank: int, world_size: int, share: int) -> Batches:
    """Batches of clouds in memory [n, N, 3], which are copied a batch at a time."""

    def batches(epoch: int, start: int) -> Iterator[Tensor]:
        rows = order.epoch(epoch).rows()[rank::world_size]
        for first in range(start * share, len(order) // (share * world_size) * share, share):
            yield torch.from_numpy(np.ascontiguousarray(points[rows[first : first + share]], np.float32))

    return batches


def cloud_loader(
    points: npt.NDArray[np.float32],
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Tensor] | EpochLoader:
    """Batches of clouds in memory; shuffled anew each epoch by ``shuffle_seed``, in order where it is None."""
    if shuffle_seed is None:
        own = generator_for(0)  # a loader without a generator draws from the global one
        # held-out draws go by the batch: those of the global batch, for the same figures from any number of processes
        size = min(batch_size * world_size, max(batch_size, HELD_BATCH))
        return DataLoader(CloudDataset(points), batch_size=size, collate_fn=_keep, generator=own)
    order = Order([len(points)], None, shuffle_seed)
    return EpochLoader(
        order, lambda share: from_memory(points, order, rank, world_size, share), batch_size, world_size
    )


def validation_split(
    labels: npt.NDArray[np.int64] | None, count: int, fraction: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of the shapes to train on and of those to validate on, both sorted; at most `MAX_HELD` of the latter.

    The same seed gives the same split. With labels every class gives its share, and a class of one keeps it.
    """
    held = held_out(labels, count, fraction, seed)
    return np.setdiff1d(np.arange(count, dtype=np.int64), held, assume_unique=True), held


def held_out(labels: npt.NDArray[np.int64] | None, count: int, fraction: float, seed: int) -> npt.NDArray[np.int64]:
    """The shapes to validate on, as `validation_split` gives them."""
    rng = np.random.default_rng(seed)
    fewer = round(fraction * count) > MAX_HELD
    share = MAX_HELD / count if fewer else fraction
    groups = [np.arange(count)] if labels is None else [np.flatnonzero(labels == c) for c in np.unique(labels)]
    sizes = [int(share * len(g)) if fewer else min(len(g) - 1, round(share * len(g))) for g in groups]
    held = np.sort(np.concatenate([rng.permutation(g)[:n] for g, n in zip(groups, sizes, strict=True)]))
    if fraction > 0 and len(held) == 0 and count > 1:
        return rng.integers(count, size=1)
    return held.astype(np.int64)
