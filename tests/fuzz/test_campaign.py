"""100,000 mutated files for all readers, and coverage-guided ones for plain Python: run by `make test-faults`."""

import os
import subprocess
import sys

import pytest

from tests.fuzz.campaign import MADE, ROOT

pytestmark = [pytest.mark.faults, pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")]

INPUTS = int(os.environ.get("FUZZ_INPUTS", "100000"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
SECONDS = int(os.environ.get("FUZZ_GUIDED_SECONDS", "60"))  # for each reader
ROWS = MADE / "fuzz.csv"


def python(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-m", *map(str, words)], env=environment, capture_output=True, text=True)


def test_mutated_files_break_no_reader(capfd, tmp_path):
    done = python("tests.fuzz.campaign", "--inputs", INPUTS, "--seed", SEED, "--keep", tmp_path, "--write", ROWS)
    with capfd.disabled():
        sys.stdout.write("\n" + done.stdout)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}; the inputs are in {tmp_path}"


def test_guided_inputs_break_no_reader_of_plain_meshes(capfd, tmp_path):
    pytest.importorskip("atheris", reason="atheris guides the inputs: pip install 'pointvae[faults]'")
    done = python("tests.fuzz.guided", "--seconds", SECONDS, "--seed", SEED + 1, "--keep", tmp_path, "--write", ROWS)
    with capfd.disabled():
        sys.stdout.write("\n" + done.stdout)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}; the inputs are in {tmp_path}"
