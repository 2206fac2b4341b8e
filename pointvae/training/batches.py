"""Training shapes held in memory, cut into batches by a seeded order, and thinned to random points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler

from pointvae.randomness import generator_for


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


def cloud_loader(
    points: npt.NDArray[np.float32],
    batch_size: int,
    *,
    shuffle_seed: int | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Tensor]:
    """Batches of clouds; shuffled anew each epoch by ``shuffle_seed``, in order where it is None.

    A last batch that is smaller is left out of a shuffled epoch, since the statistics of batch normalisation on
    one or two shapes are worse than waiting for the next epoch.
    """
    dataset = CloudDataset(points)
    own = generator_for(0)  # a loader without a generator draws from the global one
    if shuffle_seed is None:
        return DataLoader(dataset, batch_size=batch_size, collate_fn=_keep, generator=own)
    sampler: DistributedSampler[Tensor] = DistributedSampler(
        dataset, num_replicas=world_size, rank=rank, shuffle=True, seed=shuffle_seed
    )
    batch_size = min(batch_size, len(sampler))
    return DataLoader(
        dataset, batch_size=batch_size, sampler=sampler, collate_fn=_keep, drop_last=True, generator=own
    )


def validation_split(
    labels: npt.NDArray[np.int64] | None, count: int, fraction: float, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of the shapes to train on and of those to validate on, both sorted.

    The same seed gives the same split. With labels every class gives its share, and a class of one keeps it.
    """
    rng = np.random.default_rng(seed)
    groups = [np.arange(count)] if labels is None else [np.flatnonzero(labels == c) for c in np.unique(labels)]
    held = [rng.permutation(g)[: min(len(g) - 1, round(fraction * len(g)))] for g in groups]
    validation = np.sort(np.concatenate(held)).astype(np.int64)
    if fraction > 0 and len(validation) == 0 and count > 1:
        validation = rng.integers(count, size=1)
    training = np.setdiff1d(np.arange(count, dtype=np.int64), validation)
    return training, validation
