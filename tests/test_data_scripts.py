"""The scripts of data_scripts/, each run as a user runs it: for its help, and against a tiny release."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pointvae.data.named.registry import SETS
from tests.data.named.releases import RELEASES, pack, unpack
from tests.data.named.server import Place, serving

FOLDER = Path(__file__).parents[1] / "data_scripts"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if path.stem != "steps")
NAMES = {"shapenetcore": "shapenetcore_v2", "scanobjectnn": "scanobjectnn_pb_t50_rs"}
SHAPES = {
    "modelnet10": 10,
    "modelnet40": 10,
    "modelnet40_hdf5_2048": 12,
    "modelnet40_normal_resampled": 5,
    "shapenetpart": 12,
    "shapenetcore": 10,
    "scanobjectnn": 12,
}


def run(script, *arguments, **environment):
    command = [sys.executable, str(script), *map(str, arguments)]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("POINTVAE_")}
    variables |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)


def test_every_set_has_a_script():
    named = {name.removesuffix("_v1").removesuffix("_v2") for name in SETS}
    named = {"scanobjectnn" if name.startswith("scanobjectnn") else name for name in named}
    assert {script.stem for script in SCRIPTS} == named == set(SHAPES)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_is_under_a_screen_and_explains_itself(script):
    assert len(script.read_text().splitlines()) <= 50
    told = run(script, "--help")
    assert told.returncode == 0
    assert "only" in told.stdout  # what the licence allows
    assert "--from-archive" in told.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_prepares_a_release(script, tmp_path):
    """Unpacked, since a tiny archive cannot have the published checksum."""
    folder = unpack(RELEASES[NAMES.get(script.stem, script.stem)](), tmp_path / "release")
    cache = {"POINTVAE_CACHE": str(tmp_path / "cache")}
    told = run(script, tmp_path / "out", "--points", 32, "--jobs", 1, "--from-archive", folder, **cache)
    assert told.returncode == 0, told.stderr
    assert f"{tmp_path / 'out'}: {SHAPES[script.stem]} shapes" in told.stdout
    assert (tmp_path / "out" / "README.md").is_file()


def test_a_script_downloads_from_a_mirror_of_ones_own(tmp_path):
    """The one set of which nobody has published a checksum."""
    path = pack(RELEASES["modelnet40_normal_resampled"](), tmp_path / "set.zip")
    with serving() as server:
        server.places["/modelnet40_normal_resampled.zip"] = Place(path.read_bytes(), slow=0.001)
        mirror = {"POINTVAE_MIRROR": server.url, "POINTVAE_CACHE": str(tmp_path / "cache"), "no_proxy": "*"}
        script = next(script for script in SCRIPTS if script.stem == "modelnet40_normal_resampled")
        told = run(script, tmp_path / "out", "--points", 32, "--jobs", 1, **mirror)
    assert told.returncode == 0, told.stderr
    assert "5 shapes of 2 classes" in told.stdout
    assert "research only" in told.stderr
    assert "nobody has published the SHA-256" in told.stderr
    assert "left out bed/bed_0004.txt" in told.stderr


def test_a_fault_of_the_input_is_one_line_and_code_2(tmp_path):
    script = next(script for script in SCRIPTS if script.stem == "shapenetcore")
    told = run(script, tmp_path / "out", POINTVAE_CACHE=str(tmp_path / "cache"))
    assert told.returncode == 2
    assert "its owners give it to those who ask" in told.stderr
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "out").exists()
