"""A store that is unplugged in the middle of a training or a preparation: one line, and the same command goes on."""

import os
import threading
import time
from contextlib import suppress

import pytest

from pointvae import prepare
from tests.data.files import write_npz
from tests.faults.test_machine import SMALL, refused, weights

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("keys")]

PAUSE = """
import os, time
from pathlib import Path
os.environ.update({names!r})
here = Path({here!r})
def pause():
    (here / "now").touch()
    while not (here / "done").exists():
        time.sleep(0.05)
"""
IN_TRAINING = """
from pointvae.training.module import TrainingModule
real = TrainingModule.training_step
def step(self, batch, index):
    if self.global_step == 5:
        pause()
    return real(self, batch, index)
TrainingModule.training_step = step
"""
IN_PREPARING = """
from pointvae.data import shards
real, count = shards.write_shard, []
def write(path, rows):
    count.append(path)
    if len(count) == 3:
        pause()
    return real(path, rows)
shards.write_shard = write
"""
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


class Store:
    """A server of S3's protocol, and what a process must know of it."""

    def __init__(self, port=0):
        self.server = pytest.importorskip("moto.server").ThreadedMotoServer(port=port, verbose=False)
        self.server.start()
        self.port = self.server.get_host_and_port()[1]
        self.names = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}", **KEYS}

    def unplugged_when(self, folder):
        """Stop once the process pauses, then let it go on."""

        def wait():
            until = time.monotonic() + 100
            while not (folder / "now").exists() and time.monotonic() < until:
                time.sleep(0.05)
            self.server.stop()
            (folder / "done").touch()

        waiting = threading.Thread(target=wait)
        waiting.start()
        return waiting


@pytest.fixture
def keys():
    before = {name: os.environ.get(name) for name in (*KEYS, "AWS_ENDPOINT_URL")}
    yield
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@pytest.fixture
def store():
    s3fs = pytest.importorskip("s3fs")
    from pointvae.places import place

    store = Store()
    os.environ.update(store.names)
    s3fs.S3FileSystem.clear_instance_cache()
    with suppress(FileExistsError):  # what such servers hold outlives them
        place("s3://faults").fs.mkdir("faults")
    yield store
    store.server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def clouds(tmp_path):
    return write_npz(tmp_path / "a.npz", train=120, points=20)


def test_a_training_whose_store_is_unplugged_keeps_its_checkpoint_and_goes_on(pointvae, store, clouds, tmp_path):
    prepare(clouds, "s3://faults/set", shard_size=4)
    prepare(clouds, tmp_path / "here" / "set", shard_size=4)
    code = PAUSE.format(names=store.names, here=str(tmp_path)) + IN_TRAINING
    unplugging = store.unplugged_when(tmp_path)
    command = ("train", "s3://faults/set", tmp_path / "run", *SMALL, "--loading", "stream")
    ended = pointvae(*command, code=code, seconds=200)
    unplugging.join()
    refused(ended, "cannot be read, tried 4 times", "--resume goes on from the last checkpoint, after step")
    command = ("train", tmp_path / "here" / "set", tmp_path / "run", *SMALL, "--loading", "stream", "--resume")
    assert pointvae(*command).code == 0  # from where the same shapes are
    assert pointvae("train", tmp_path / "here" / "set", tmp_path / "whole", *SMALL).code == 0
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_a_preparation_whose_store_is_unplugged_is_one_line(pointvae, store, clouds, tmp_path):
    code = PAUSE.format(names=store.names, here=str(tmp_path)) + IN_PREPARING
    unplugging = store.unplugged_when(tmp_path)
    ended = pointvae("prepare", clouds, "s3://faults/prepared", "--shard_size", 4, code=code, seconds=200)
    unplugging.join()
    refused(ended)
