"""Random generators made from (seed, step), so that resuming is exact and workers change nothing, and their draws.

Every draw for a batch is made here. Where several processes share the batch, each makes the numbers of the whole and
keeps its own rows': what a shape gets does not depend on how many processes there are.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from pointvae.global_batch import own_rows, sharers


def generator_for(*key: int, device: str | torch.device = "cpu") -> Generator:
    """A generator that depends on the integers of ``key`` alone (seed, step, …)."""
    state = int(np.random.SeedSequence([k % 2**64 for k in key]).generate_state(1, np.uint64)[0])
    return Generator(device=device).manual_seed(state >> 1)


def uniform(
    shape: Sequence[int],
    generator: Generator | None,
    device: torch.device,
    dtype: torch.dtype | None = None,
    batch_dim: int = 0,
) -> Tensor:
    """Numbers uniform in [0, 1), of which dimension ``batch_dim`` stands for the batch or equal parts of it."""
    whole = _whole(shape, batch_dim)
    return own_rows(torch.rand(*whole, device=device, dtype=dtype, generator=generator), batch_dim)


def normal(
    shape: Sequence[int],
    generator: Generator | None,
    device: torch.device,
    dtype: torch.dtype | None = None,
    batch_dim: int = 0,
) -> Tensor:
    """Standard normal numbers, of which dimension ``batch_dim`` stands for the batch or equal parts of it."""
    whole = _whole(shape, batch_dim)
    return own_rows(torch.randn(*whole, device=device, dtype=dtype, generator=generator), batch_dim)


def _whole(shape: Sequence[int], batch_dim: int) -> list[int]:
    """The shape of the global batch's draw."""
    return [size * sharers() if i == batch_dim else size for i, size in enumerate(shape)]
