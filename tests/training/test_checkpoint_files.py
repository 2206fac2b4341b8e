# ruff: noqa: F811 (fixtures of another file)
"""Checkpoints on the disk: a wrong byte anywhere is seen, and the one before the last takes its place."""

import logging
import os

import pytest
import torch

from pointvae import Consistency, InputError
from pointvae.training import checkpoint_files
from pointvae.training.checkpoint_files import BEFORE, CHECKPOINT, replaced_checkpoint, sound_checkpoint
from tests.training.test_resume_steps import cut, folder, lanes, whole  # noqa: F401
from tests.training.test_streaming import figures, train, weights


def write(run, number):
    with replaced_checkpoint(run) as temporary:
        torch.save({"number": number, "weights": torch.arange(9.0)}, temporary)


def number(path):
    return torch.load(path, weights_only=True)["number"]


@pytest.fixture
def run(tmp_path):
    for index in range(3):
        write(tmp_path, index)
    return tmp_path


def test_the_last_two_are_kept_and_the_newest_is_used(run):
    assert sorted(os.listdir(run / "checkpoints")) == ["before.ckpt", "last.ckpt"]
    assert (number(run / BEFORE), number(run / CHECKPOINT)) == (1, 2)
    assert sound_checkpoint(run) == run / CHECKPOINT


def test_without_any_there_is_none(tmp_path):
    assert sound_checkpoint(tmp_path) is None


def test_no_wrong_byte_and_no_missing_byte_goes_unseen(run):
    data = (run / CHECKPOINT).read_bytes()
    for index in range(len(data)):
        wrong = bytearray(data)
        wrong[index] ^= 1 << index % 8
        for torn in (bytes(wrong), data[:index]):
            (run / CHECKPOINT).write_bytes(torn)
            assert sound_checkpoint(run) == run / BEFORE, index


def test_a_torn_one_is_said_aloud_and_the_one_before_it_used(run, caplog):
    (run / CHECKPOINT).write_bytes(b"torn")
    with caplog.at_level(logging.WARNING):
        assert sound_checkpoint(run, tell=True) == run / BEFORE
    assert "last.ckpt: is damaged (its checksum is wrong); going on from the one before it" in caplog.text


def test_killed_between_the_two_names_the_one_before_is_used_without_a_word(run, caplog):
    (run / CHECKPOINT).unlink()
    assert sound_checkpoint(run, tell=True) == run / BEFORE and not caplog.text


def test_two_torn_ones_are_refused_and_the_first_is_named(run):
    for name in (CHECKPOINT, BEFORE):
        (run / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"last\.ckpt: is damaged .* remove .*checkpoints to train from the start"):
        sound_checkpoint(run)


def test_a_sealed_file_that_holds_code_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    with replaced_checkpoint(tmp_path) as temporary:
        torch.save({"trap": Trap()}, temporary)
    with pytest.raises(InputError, match="is damaged"):
        sound_checkpoint(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("moment", ["while it is written", "before it has its name", "before the folder is synced"])
def test_a_fault_at_any_moment_of_writing_leaves_a_whole_one(run, monkeypatch, moment):
    def fault(*_):
        raise OSError(28, "No space left on device")

    def write_until_the_fault():
        with monkeypatch.context() as patch, replaced_checkpoint(run) as path:
            if moment == "while it is written":
                path.write_bytes(b"half")
                fault()
            torch.save({"number": 3}, path)
            if moment == "before it has its name":
                patch.setattr(checkpoint_files.os, "replace", fault)
            else:
                real = checkpoint_files._to_disk
                patch.setattr(checkpoint_files, "_to_disk", lambda p: fault() if p.is_dir() else real(p))

    with pytest.raises(OSError, match="No space"):
        write_until_the_fault()
    assert number(sound_checkpoint(run)) == (3 if moment == "before the folder is synced" else 2)
    assert not list((run / "checkpoints").glob(".*"))


def test_a_run_whose_last_checkpoint_is_torn_goes_on_from_the_one_before_to_the_same_bytes(
    folder,
    whole,
    tmp_path,
    monkeypatch,
    caplog,
):
    with monkeypatch.context() as patch:
        cut(patch, 17)
        with pytest.raises(RuntimeError, match="plug"):
            train(folder, tmp_path / "run", Consistency(), checkpoint_every=4)  # after steps 12 and 16
    path = tmp_path / "run" / CHECKPOINT
    path.write_bytes(path.read_bytes()[:3000])
    with monkeypatch.context() as patch:
        seen = cut(patch, -1)
        train(folder, tmp_path / "run", Consistency(), resume=True)
    assert len(seen) == 12 and "going on from the one before it" in caplog.text
    assert weights(tmp_path / "run") == weights(whole)
    assert figures(tmp_path / "run") == figures(whole)
