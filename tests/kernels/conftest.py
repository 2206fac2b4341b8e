"""The kernels are compiled where there is a GPU; elsewhere Triton's interpreter runs them, in a process of its own.

A process in which Triton was imported to be interpreted can compile nothing any more, torch's own kernels included.
"""

import os

import pytest
import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
KERNELS = ["test_behind.py", "test_mixture.py", "test_nearest.py", "test_self_check.py", "test_winners.py"]
collect_ignore = [] if DEVICE.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1" else KERNELS


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where the kernels run."""
    return DEVICE
