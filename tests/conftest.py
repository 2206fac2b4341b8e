"""Fixtures that every test folder shares."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real shapes, or a skip with the reason."""
    folder = Path(os.environ.get("POINTVAE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("real shapes are absent: set POINTVAE_DATA to the folder that holds them")
    return folder
