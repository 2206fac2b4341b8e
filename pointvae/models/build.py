"""Seeded initialisation that leaves the global random state as it found it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from pointvae.errors import InputError
from pointvae.models.ladder import LadderPointVAE
from pointvae.models.vae import PointVAE

MODELS: dict[str, type[PointVAE]] = {"PointVAE": PointVAE, "LadderPointVAE": LadderPointVAE}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block torch draws from ``seed``; outside it nothing has changed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def build_model(config: Mapping[str, Any], seed: int, kind: str = "PointVAE") -> PointVAE:
    """An untrained model of a class in ``MODELS`` from its constructor arguments, the same for the same seed.

    Raises:
        InputError: there is no such class, or it does not take the arguments' values.
    """
    if kind not in MODELS:
        raise InputError(f"unknown model {kind!r}: choose one of {', '.join(MODELS)}")
    with seeded(seed):
        return MODELS[kind](**config)
