"""100,000 mutated files for all readers, and coverage-guided ones for plain Python: run by `make test-faults`."""

import os
import re
import subprocess
import sys

import pytest

from tests.fuzz.campaign import ROOT

pytestmark = [pytest.mark.faults, pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")]

INPUTS = int(os.environ.get("FUZZ_INPUTS", "100000"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))


def python(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-m", *map(str, words)], env=environment, capture_output=True, text=True)


def test_mutated_files_break_no_reader(capfd, tmp_path):
    done = python("tests.fuzz.campaign", "--inputs", INPUTS, "--seed", SEED, "--keep", tmp_path)
    with capfd.disabled():
        sys.stdout.write("\n" + done.stdout)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}; the inputs are in {tmp_path}"


@pytest.mark.parametrize(("name", "runs"), [("off", 40_000), ("obj", 40_000), ("ply", 40_000), ("stl", 10_000)])
def test_guided_inputs_break_no_reader_of_plain_meshes(capfd, tmp_path, monkeypatch, name, runs):
    pytest.importorskip("atheris", reason="atheris guides the inputs: pip install atheris")
    monkeypatch.chdir(tmp_path)
    done = python("tests.fuzz.guided", name, runs, SEED + 1)
    told = re.search(r"Done (\d+) runs in (\d+) second", done.stderr)
    assert done.returncode == 0 and told, done.stderr[-3000:]
    with capfd.disabled():
        sys.stdout.write(f"\n{name}: {int(told[1]):,} guided inputs in {told[2]} s, none broke a property\n")
