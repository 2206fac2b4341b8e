"""Random generators made from (seed, step, rank), so that resuming is exact and workers change nothing."""

import numpy as np
import torch
from torch import Generator


def generator_for(*key: int, device: str | torch.device = "cpu") -> Generator:
    """A generator that depends on the integers of ``key`` alone (seed, step, rank, …)."""
    state = int(np.random.SeedSequence([k % 2**64 for k in key]).generate_state(1, np.uint64)[0])
    return Generator(device=device).manual_seed(state >> 1)
