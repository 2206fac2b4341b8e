"""Going on in the middle of an epoch: the next batch is the one that was missed, and the end is the same."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from pointvae import Consistency, InputError, load_dataset, prepare
from pointvae.data.order import Order
from pointvae.training.batches import EpochLoader, from_memory
from pointvae.training.module import TrainingModule
from tests.data.files import write_npz
from tests.training.test_streaming import figures, train, weights

ROOT = Path(__file__).parents[2]
STEPS = 12  # of an epoch: 99 shapes, 8 a step


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("resuming")
    prepare(write_npz(root / "a.npz", train=110, points=20), root / "set", shard_size=7)
    return root / "set"


@pytest.fixture(autouse=True)
def lanes(monkeypatch):
    monkeypatch.setitem(Order.__init__.__kwdefaults__, "window", 32)
    monkeypatch.setitem(Order.__init__.__kwdefaults__, "lanes", 4)


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Order.__init__.__kwdefaults__, "window", 32)
        patch.setitem(Order.__init__.__kwdefaults__, "lanes", 4)
        return train(folder, tmp_path_factory.mktemp("whole") / "run", Consistency(), loading="memory").path


PLUG = RuntimeError("plug")
SLOW = pytest.mark.slow


def cut(monkeypatch, step, error=PLUG):
    """Make the next training stop before a step, and keep what each step saw."""
    real, seen = TrainingModule.training_step, []

    def stop(self, batch, index):
        if self.global_step == step:
            raise error
        seen.append(batch[:, 0, 0].tolist())
        return real(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", stop)
    return seen


@pytest.mark.parametrize(
    ("step", "every", "before", "after"),
    [
        (5, 1, "memory", "stream"),
        (17, 5, "stream", "memory"),
        (STEPS, 5, "stream", "stream"),
        pytest.param(STEPS - 1, STEPS - 1, "memory", "memory", marks=SLOW),
        pytest.param(2 * STEPS - 1, 4, "stream", "stream", marks=SLOW),
        pytest.param(3, 5, "stream", "stream", marks=SLOW),
    ],
)
def test_cut_before_any_step_it_goes_on_to_the_same_bytes_and_rows(
    folder, whole, tmp_path, monkeypatch, step, every, before, after
):
    with monkeypatch.context() as patch:
        cut(patch, step)
        with pytest.raises(RuntimeError, match="plug"):
            train(folder, tmp_path / "run", Consistency(), loading=before, checkpoint_every=every)
    with monkeypatch.context() as patch:
        seen = cut(patch, -1)
        train(folder, tmp_path / "run", Consistency(), loading=after, checkpoint_every=7, resume=True)
    kept = max(step // every * every if step % STEPS else 0, step // STEPS * STEPS)
    assert len(seen) == 2 * STEPS - kept
    assert weights(tmp_path / "run") == weights(whole)
    assert figures(tmp_path / "run") == figures(whole)


def test_each_remaining_shape_of_the_epoch_is_seen_exactly_once(folder, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        first = cut(patch, 7)
        with pytest.raises(RuntimeError, match="plug"):
            train(folder, tmp_path / "run", loading="stream", checkpoint_every=4, epochs=1)
    with monkeypatch.context() as patch:
        rest = cut(patch, -1)
        train(folder, tmp_path / "run", loading="stream", checkpoint_every=4, epochs=1, resume=True)
    seen = Counter(number for batch in [*first[:4], *rest] for number in batch)
    assert set(seen.values()) == {1} and len(seen) == STEPS * 8
    stored = set(load_dataset(folder)["train"].points[:, 0, 0].tolist())
    assert set(seen) <= stored


@SLOW
def test_a_run_that_was_cut_twice_in_one_epoch_ends_the_same(folder, whole, tmp_path, monkeypatch):
    for step in (4, 9):
        with monkeypatch.context() as patch:
            cut(patch, step)
            with pytest.raises(RuntimeError, match="plug"):
                train(folder, tmp_path / "run", Consistency(), loading="stream", checkpoint_every=2, resume=step > 4)
    train(folder, tmp_path / "run", Consistency(), loading="stream", resume=True)
    assert weights(tmp_path / "run") == weights(whole)
    assert figures(tmp_path / "run") == figures(whole)


def test_without_checkpoints_within_an_epoch_it_goes_on_from_its_start(folder, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        cut(patch, STEPS + 5)
        with pytest.raises(RuntimeError, match="plug"):
            train(folder, tmp_path / "run", Consistency(), checkpoint_every=0)
    with monkeypatch.context() as patch:
        seen = cut(patch, -1)
        train(folder, tmp_path / "run", Consistency(), checkpoint_every=0, resume=True)
    assert len(seen) == STEPS
    assert weights(tmp_path / "run") == weights(whole)


def test_a_checkpoint_is_whole_on_the_disk_before_it_has_its_name(folder, tmp_path, monkeypatch):
    order, sync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: order.append("fsync") or sync(handle))
    monkeypatch.setattr(os, "replace", lambda a, b: order.append(Path(b).name) or replace(a, b))
    checkpoints = tmp_path / "run" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / ".last.ckpt.123.tmp").write_bytes(b"left by a killed process")
    train(folder, tmp_path / "run", epochs=1, checkpoint_every=5, resume=True)
    written = [index for index, what in enumerate(order) if what == "last.ckpt"]
    assert len(written) == 3
    assert order[written[0] - 1] == "fsync" and all(order[index + 1] == "fsync" for index in written)
    assert all(order[index - 2 : index] == ["fsync", "before.ckpt"] for index in written[1:])
    assert sorted(path.name for path in checkpoints.iterdir()) == ["before.ckpt", "last.ckpt"]


def test_a_resume_with_another_global_batch_or_other_data_in_mid_epoch_is_refused():
    points = np.zeros((40, 2, 3), np.float32)

    def loader(order, world):
        return EpochLoader(order, lambda share: from_memory(points, order, 0, world, share), 4, world)

    order = Order([40])
    position = loader(order, 1).position(3)
    assert position["shapes_seen"] == 12
    with pytest.raises(InputError, match="4 shapes a step over all devices, and now there are 8"):
        loader(order, 2).go_on(position)
    with pytest.raises(InputError, match="other shapes"):
        loader(Order([40], seed=1), 1).go_on(position)
    again = loader(order, 1)
    again.go_on(position)
    assert len(list(again)) == 10 - 3 and len(list(again)) == 10 == len(again)


@pytest.mark.parametrize("value", [-1, -1000])
def test_a_negative_number_of_steps_is_refused(folder, tmp_path, value):
    with pytest.raises(InputError, match="checkpoint_every"):
        train(folder, tmp_path / "run", checkpoint_every=value)


def test_checkpoints_hold_nothing_that_loading_would_run(folder, tmp_path, monkeypatch):
    cut(monkeypatch, 7)
    with pytest.raises(RuntimeError, match="plug"):
        train(folder, tmp_path / "run", epochs=1, checkpoint_every=4)
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    (position,) = [kept for kept in state["callbacks"].values() if "shapes_seen" in kept]
    assert position["shapes_seen"] == 4 * 8
    assert state["means"]["count"] == 4 * 8 and len(state["means"]["sums"]) == 1


def killed(dataset, run, processes, loading, resume, step):
    """Run the script in a session of its own; whether it came to its end."""
    command = [sys.executable, "-m", "tests.training.killed", dataset, run, processes, loading, int(resume), step]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*map(str, command)], cwd=ROOT, env=environment, start_new_session=True, capture_output=True, timeout=240
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()[-2000:]
    return done.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_it_goes_on_and_every_shape_of_the_epoch_is_seen_once(folder, tmp_path, processes):
    assert killed(folder, tmp_path / "whole", processes, "memory", False, -1)
    assert not killed(folder, tmp_path / "run", processes, "stream", False, STEPS + 8)
    assert killed(folder, tmp_path / "run", processes, "stream", True, -1)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert figures(tmp_path / "run") == figures(tmp_path / "whole")
    lines = [line.split() for path in (tmp_path / "run").glob("seen-*.txt") for line in path.read_text().splitlines()]
    times = Counter((int(step) // STEPS, number) for step, number in lines)
    redone = Counter(number for step, number in lines if int(step) in (STEPS + 6, STEPS + 7))
    assert sum(redone.values()) == 2 * 2 * 8 and set(redone.values()) == {2}
    once = {number for (epoch, number), count in times.items() if epoch == 1 and count == 1}
    assert len(once) == (STEPS - 2) * 8 and len(once | set(redone)) == STEPS * 8
    both = [sorted((tmp_path / name).glob("seen-*.txt")) for name in ("whole", "run")]
    for a, b in zip(*both, strict=True):
        assert set(a.read_text().splitlines()) == set(b.read_text().splitlines())
