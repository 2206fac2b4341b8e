"""Seeded initialisation that leaves the global random state as it found it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from pointvae.models.vae import PointVAE


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block torch draws from ``seed``; outside it nothing has changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def build_model(config: Mapping[str, Any], seed: int) -> PointVAE:
    """An untrained model from its constructor arguments, the same for the same seed."""
    with seeded(seed):
        return PointVAE(**config)
