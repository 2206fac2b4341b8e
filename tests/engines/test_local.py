"""The engine that is this machine, and the names of engines."""

import functools
import os

import psutil
import pytest

from pointvae.engines import Serial, open_engine
from pointvae.engines.local import Processes
from pointvae.errors import InputError
from tests.engines.calls import die, die_once, square
from tests.engines.contract import check


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_call_is_made_once_and_faults_are_told(jobs, tmp_path):
    with open_engine("local", jobs) as engine:
        assert isinstance(engine, Serial if jobs == 1 else Processes)
        check(engine, tmp_path)


def test_a_process_that_dies_loses_nothing(tmp_path):
    calls = [functools.partial(square, number) for number in range(30)]
    calls[7] = functools.partial(die_once, tmp_path / "died", 49)
    with open_engine("local", 2) as engine:
        assert sorted(engine.run(calls)) == [(number, number**2) for number in range(30)]
    assert (tmp_path / "died").exists()


def test_processes_that_die_again_and_again_are_told_of_in_one_line():
    with open_engine("local", 2) as engine, pytest.raises(InputError, match="in a row before one"):
        list(engine.run([die]))


@pytest.mark.parametrize(
    ("name", "jobs", "why"),
    [
        ("spark://x", 1, "--engine spark://x: not an engine; use local, dask://HOST:PORT"),
        ("dask", 1, "not an engine"),
        ("dask://", 1, "not an engine"),
        ("local", 0, "--jobs 0: must be 1 or more, or -1"),
        ("local", -2, "--jobs -2"),
        ("dask://host:1", 2, "--jobs 2: counts processes of this machine; dask://host:1 has workers of its own"),
    ],
)
def test_engines_that_do_not_exist_are_refused_in_one_line(name, jobs, why):
    with pytest.raises(InputError) as caught, open_engine(name, jobs):
        pass
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_processes_end_with_the_work_and_see_the_environment_of_the_next(monkeypatch):
    for value in ("first", "second"):
        monkeypatch.setenv("POINTVAE_TEST", value)
        with open_engine("local", 2) as engine:
            assert dict(engine.run([functools.partial(os.getenv, "POINTVAE_TEST")] * 4)) == dict.fromkeys(
                range(4), value
            )
    left = [process for process in psutil.Process().children() if "loky" in " ".join(process.cmdline())]
    assert [process for process in left if "resource_tracker" not in " ".join(process.cmdline())] == []
