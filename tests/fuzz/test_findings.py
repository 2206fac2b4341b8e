"""Every input that once broke a property is kept, and read again; a few thousand new ones are tried besides."""

import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointvae.data.inputs import read_input
from pointvae.data.meshes import PLAIN, read_plain
from pointvae.errors import InputError
from tests.data.test_meshes import check
from tests.fuzz.campaign import run
from tests.fuzz.targets import TARGETS, place

FINDINGS = sorted((Path(__file__).parent / "findings").iterdir())
"""Named READER--WHAT.SUFFIX."""

QUICK = {
    "off": 600,
    "ply": 600,
    "stl": 400,
    "pcd": 500,
    "xyz": 500,
    "npy": 600,
    "table.json": 500,
    "h5": 150,
    "tar": 200,
}
"""Readers of which a few inputs are tried by every `make test`; `make test-faults` tries all readers."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda path: path.name)
def test_what_was_found_once_is_refused_or_read_and_breaks_nothing(finding, tmp_path, monkeypatch):
    target = TARGETS[finding.name.split("--")[0]]
    monkeypatch.chdir(tmp_path)
    with place(target, tmp_path) as path:
        path.write_bytes(finding.read_bytes())
        assert target.read(path) in ("accepted", "refused")


@pytest.mark.parametrize("finding", [path for path in FINDINGS if path.suffix in PLAIN], ids=lambda path: path.name)
def test_what_the_plain_readers_take_of_a_finding_trimesh_reads_too(finding, tmp_path):
    check(tmp_path, finding.read_bytes(), finding.suffix)


@linux
@pytest.mark.parametrize("ended", sorted((Path(__file__).parent / "contained").iterdir()), ids=lambda path: path.name)
def test_what_ends_its_reader_costs_one_file_which_is_named(ended):
    # what native code makes of a wrong address depends on what lies there: mostly a crash, now and then a refusal
    with pytest.raises(InputError, match=rf"{re.escape(ended.name)}: (crashed the reader \(|damaged, )"):
        read_input(ended, points=4)


@linux
@pytest.mark.parametrize("name", QUICK)
def test_mutated_files_break_nothing(name):
    tally = run(name, QUICK[name], seed=int(os.environ.get("FUZZ_SEED", "1")))
    assert tally.findings == []
    assert tally.inputs == QUICK[name]
    assert tally.accepted and tally.refused  # else the mutations are too mild, or spare nothing


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(suffix=st.sampled_from(sorted(PLAIN)), data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_the_readers_of_plain_meshes_read_any_bytes_or_leave_them(suffix, data):
    read = read_plain(data, suffix)
    assert read is None or (read[0].shape[1] == 3 and read[1].max() < len(read[0]))


WORDS = st.sampled_from(
    ["OFF", "ply", "v", "f", "0", "-1", "1", "2", "3", "1e309", "nan", str(2**63), "\n", " ", "#", "/"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(suffix=st.sampled_from([".off", ".obj", ".ply"]), words=st.lists(WORDS, max_size=40))
def test_the_readers_of_plain_meshes_read_any_words_or_leave_them(suffix, words):
    read = read_plain(" ".join(words).encode(), suffix)
    assert read is None or (read[0].shape[1] == 3 and 0 <= read[1].min() <= read[1].max() < len(read[0]))
