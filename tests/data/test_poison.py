"""A preparation among whose files some crash their reader, hang it or eat memory; one whose worker is killed."""

import contextlib
import ctypes
import functools
import os
import signal
import threading
import time

import numpy as np
import psutil
import pytest

from pointvae.data import prepare as prepare_module
from pointvae.data.dataset import load_dataset
from pointvae.data.prepare import prepare
from pointvae.data.sampling import Geometry
from pointvae.data.source import Item, Source
from pointvae.errors import InputError
from tests.data.files import folder_bytes


def cloud(number: int) -> Geometry:
    return Geometry(np.random.default_rng(number).normal(size=(40, 3)))


def crash(number: int) -> Geometry:
    ctypes.string_at(0)
    return cloud(number)


def hang(number: int) -> Geometry:
    while True:
        pass


def swell(number: int) -> Geometry:
    return Geometry(np.ones((1 << 26, 3)))  # 1.5 GiB


POISON = {"crashing": {7: crash}, "poisoned": {7: crash, 21: swell}, "hanging": {12: hang}}


@pytest.fixture
def poisoned(monkeypatch):
    """Sources of 30 clouds in two splits, some of which are poison; `healthy` lacks all of those."""

    @contextlib.contextmanager
    def open_poisoned(name, options):
        poison = POISON.get(name, {})
        items = [
            Item(
                f"shape_{number:02d}.npy",
                "train" if number < 24 else "test",
                0,
                functools.partial(poison.get(number, cloud), number),
            )
            for number in range(30)
            if name != "healthy" or number not in (7, 12, 21)
        ]
        yield Source("clouds", "folder", ["thing"], items, "-", 32, parallel=True, isolated=True)

    monkeypatch.setattr(prepare_module, "open_source", open_poisoned)


def check(name, tmp_path, expected, **limits):
    """What is left is as if the poison had never been there, and two processes write what one does."""
    summary = prepare(name, tmp_path / "one", points=32, shard_size=6, **limits)
    why = {row["file"]: row["why"] for row in summary["skipped"]}
    assert list(why) == list(expected)
    for file, words in expected.items():
        assert all(word in why[file] for word in words), why[file]
    prepare("healthy", tmp_path / "healthy", points=32, shard_size=6)
    kept, healthy = (load_dataset(tmp_path / folder)["train"] for folder in ("one", "healthy"))
    chosen = [kept.names.index(shape) for shape in healthy.names]
    np.testing.assert_array_equal(kept.points[chosen], healthy.points)
    prepare(name, tmp_path / "two", points=32, shard_size=6, jobs=2, **limits)
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")


def test_a_file_that_crashes_or_swells_is_set_aside_by_name_after_its_tries(poisoned, tmp_path):
    expected = {"shape_07.npy": ("crashed", "tried 2 times"), "shape_21.npy": ("--memory",)}
    check("poisoned", tmp_path, expected, memory=0.5, retries=1)


@pytest.mark.slow
def test_a_file_that_hangs_is_set_aside_by_name_after_its_tries(poisoned, tmp_path):
    check("hanging", tmp_path, {"shape_12.npy": ("longer than 10 s", "tried 2 times", "--timeout")}, timeout=10.0)


def test_strict_stops_at_poison_and_leaves_nothing(poisoned, tmp_path):
    with pytest.raises(InputError, match=r"shape_07\.npy: .*crashed.*--strict"):
        prepare("crashing", tmp_path / "out", points=32, shard_size=12, retries=0, strict=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["timeout", "memory", "retries"])
def test_limits_that_make_no_sense_are_refused_before_anything_is_written(option, tmp_path):
    with pytest.raises(InputError, match=f"--{option} -1"):
        prepare("procedural", tmp_path / "out", points=16, shapes_per_class=2, **{option: -1})
    assert not (tmp_path / "out").exists()


def test_a_process_killed_in_the_middle_changes_no_byte(tmp_path):
    options = {"points": 256, "shapes_per_class": 5, "shard_size": 8}
    prepare("procedural", tmp_path / "one", **options)
    killed = []

    def kill() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if len(list((tmp_path / "two").glob("*.parquet"))) >= 4:
                for process in psutil.Process().children(recursive=True):
                    if "loky" in " ".join(process.cmdline()) and "resource_tracker" not in " ".join(
                        process.cmdline()
                    ):
                        os.kill(process.pid, signal.SIGKILL)
                        killed.append(process.pid)
                        return
            time.sleep(0.005)

    thread = threading.Thread(target=kill)
    thread.start()
    prepare("procedural", tmp_path / "two", **options, jobs=2)
    thread.join()
    assert killed, "nothing was killed"
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")
