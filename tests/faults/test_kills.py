"""Killed with -9 at random moments everything goes on to the same bytes; a campaign sees where it does not."""

import os
import re
import subprocess
import sys

import pytest

from tests.faults.cases import OBJECTIVES, cases
from tests.faults.kills import ROOT, shared
from tests.fuzz.campaign import MADE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")

KILLS = int(os.environ.get("KILLS", "100"))
SEED = int(os.environ.get("KILLS_SEED", "0"))


def python(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_three_kills_of_a_training_change_no_byte():
    done = python("tests.faults.kills", "--kills", 3, "--seed", SEED, "--only", "train-cr-stream-1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 kills survived" in done.stdout


@pytest.mark.faults  # whether a kill meets the moment in which a file is torn is chance, if a good one
def test_a_campaign_names_what_is_torn_what_is_lost_and_what_is_left_behind():
    done = python("tests.faults.planted")
    assert done.returncode == 0, done.stderr
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert "facts.json: torn" in told["written in place"]
    assert re.search(r"/count: 1\d+, not 10", told["counted again"])
    assert ".facts.json.1.tmp is left behind" in told["not cleared away"]
    assert told["as it should be"] == "none"


def test_every_objective_is_killed_and_the_kills_of_train_and_prepare_add_up():
    counts = shared(cases(), 100)
    verbs = {case.name: case.verb for case in cases()}
    assert sum(count for name, count in counts.items() if verbs[name] in ("train", "prepare")) == 100
    for name in OBJECTIVES:
        for loading in ("memory-1", "stream-1", "stream-2"):
            assert counts[f"train-{name}-{loading}"] > 0
    assert {verbs[name] for name, count in counts.items() if count} >= {"refine", "embed", "evaluate"}


@pytest.mark.faults
def test_a_hundred_kills_change_no_byte(capfd):
    done = python("tests.faults.kills", "--kills", KILLS, "--seed", SEED, "--write", MADE / "faults.csv")
    with capfd.disabled():
        sys.stdout.write("\n" + done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
