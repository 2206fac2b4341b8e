"""The tests of the kernels, in a child process whose Triton interprets them on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.conftest import KERNELS


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="this is the child")
def test_the_kernels_pass_their_tests_in_the_interpreter():
    pytest.importorskip("triton")
    files = [str(Path(__file__).with_name(name)) for name in KERNELS]
    surroundings = os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *files]
    child = subprocess.run(command, env=surroundings, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert child.returncode == 0, child.stdout + child.stderr
