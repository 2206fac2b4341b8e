"""The tests on an accelerator that is not there, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("POINTVAE_ABSENT_DEVICE") == "1", reason="this is the child")
def test_training_leaves_nothing_on_the_cpu_and_looks_at_no_number():
    pytest.importorskip("torch", minversion="2.10")  # where a backend can be made in Python alone
    surroundings = os.environ | {"POINTVAE_ABSENT_DEVICE": "1", "OMP_NUM_THREADS": "1"}
    steps = str(Path(__file__).with_name("test_steps.py"))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=short", steps]
    child = subprocess.run(command, env=surroundings, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert child.returncode == 0, child.stdout + child.stderr
