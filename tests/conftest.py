"""Fixtures that every test folder shares."""

import contextlib
import os
from pathlib import Path

import pytest

with contextlib.suppress(ImportError):  # few tests need it, and a machine with a GPU may have little installed
    from hypothesis import HealthCheck, settings

    # no test fails because the machine is busy
    settings.register_profile(
        "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("patient")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real shapes, or a skip with the reason."""
    folder = Path(os.environ.get("POINTVAE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("real shapes are absent: set POINTVAE_DATA to the folder that holds them")
    return folder
