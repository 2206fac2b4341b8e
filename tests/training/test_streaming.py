"""Training from shards gives what training from memory gives, digit for digit, and says which it does."""

import logging
import time

import numpy as np
import pytest
import streaming
import torch

from pointvae import Consistency, InputError, fit, load_dataset, prepare
from pointvae.data.order import Order
from pointvae.models.build import build_model
from pointvae.places import place
from pointvae.training import loading
from pointvae.training.batches import MAX_HELD, held_out, validation_split
from pointvae.training.module import TrainingModule
from tests.data.files import write_npz
from tests.training.test_fit import CONFIG, rows

SETTINGS = {"epochs": 2, "batch_size": 8, "accelerator": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """110 clouds of 20 points in shards of 7, of two classes."""
    root = tmp_path_factory.mktemp("streaming")
    prepare(write_npz(root / "a.npz", train=110, points=20), root / "set", shard_size=7)
    return root / "set"


@pytest.fixture
def lanes(monkeypatch):
    """Many lanes of small windows, as a set has that is far larger."""
    monkeypatch.setitem(Order.__init__.__kwdefaults__, "window", 32)
    monkeypatch.setitem(Order.__init__.__kwdefaults__, "lanes", 4)


def train(dataset, run, objective=None, seed=0, **settings):
    return fit(build_model(CONFIG, seed), dataset, run, objective, seed=seed, **SETTINGS | settings)


def weights(run):
    return (run / "model.safetensors").read_bytes()


def figures(run):
    return [{name: value for name, value in row.items() if name != "points_per_second"} for row in rows(run)]


def test_a_set_of_up_to_a_window_trains_to_the_same_bytes_both_ways(folder, tmp_path):
    for way in ("memory", "stream"):
        train(folder, tmp_path / way, Consistency(), loading=way)
    assert weights(tmp_path / "memory") == weights(tmp_path / "stream")
    assert figures(tmp_path / "memory") == figures(tmp_path / "stream")


@pytest.mark.usefixtures("lanes")
def test_a_larger_set_trains_to_the_same_bytes_both_ways_and_without_labels(folder, tmp_path):
    for way in ("memory", "stream"):
        train(folder, tmp_path / way, loading=way)
    assert weights(tmp_path / "memory") == weights(tmp_path / "stream")
    assert figures(tmp_path / "memory") == figures(tmp_path / "stream")


def test_streaming_never_reads_the_split_whole(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("pointvae.data.dataset.ShapeDataset.__getitem__", lambda *_: pytest.fail("read whole"))
    train(folder, tmp_path / "run", loading="stream", epochs=1)


def test_memory_neither_copies_the_set_nor_streams_it(folder, tmp_path, monkeypatch):
    shapes = load_dataset(folder)["train"]
    seen = []
    monkeypatch.setattr("pointvae.data.stream.Stream.__init__", lambda *_, **__: pytest.fail("streamed"))
    real = loading.from_memory
    monkeypatch.setattr(loading, "from_memory", lambda points, *rest: seen.append(points) or real(points, *rest))
    train(shapes, tmp_path / "run", epochs=1)
    assert np.shares_memory(seen[0], shapes.points)


@pytest.mark.parametrize(
    ("free", "processes", "way", "words"),
    [
        (20_000 * 2, "1", "memory", "read whole"),
        (110 * 20 * 12 * 2 - 1, "1", "stream", "streamed from its shards"),
        (110 * 20 * 12 * 4, "2", "memory", "each of 2 processes"),
        (110 * 20 * 12 * 4 - 1, "2", "stream", "each of 2 processes"),
        (None, "1", "memory", "unknown"),
    ],
)
def test_the_choice_is_by_what_is_free_and_said_aloud(folder, monkeypatch, caplog, free, processes, way, words):
    free = 110 * 20 * 12 * 2 if free == 40_000 else free
    monkeypatch.setattr(loading, "available_memory", lambda: free)
    with caplog.at_level(logging.INFO, "pointvae"):
        shapes = loading.training_shapes(load_dataset(folder), "auto", processes)
    assert words in caplog.text and "110 clouds of 20 points" in caplog.text
    monkeypatch.setattr("pointvae.data.stream.Stream.__iter__", lambda _: iter(["streamed"]))
    first = next(shapes.batches(Order(shapes.rows), 0, 1, 8)(0, 0))
    assert (first == "streamed") is (way == "stream") if isinstance(first, str) else way == "memory"


def test_shapes_in_memory_have_no_shards_to_stream(folder, tmp_path):
    shapes = load_dataset(folder)["train"]
    with pytest.raises(InputError, match="have no shards"):
        train(shapes, tmp_path / "run", loading="stream")
    with pytest.raises(InputError, match="auto, memory or stream"):
        train(shapes, tmp_path / "run", loading="disk")
    assert not (tmp_path / "run").exists()


def test_processes_on_this_machine_are_told_by_launchers_or_by_the_devices(monkeypatch):
    for name in ("LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    told = {"1": 1, "4": 4, "0,2": 2, "0,": 1, "auto": 3, "-1": 3}
    assert {devices: loading.processes_here(devices) for devices in told} == told
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert loading.processes_here("auto") == 8


def test_what_a_container_may_take_limits_what_is_free(tmp_path):
    assert loading.available_memory() > 0
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 900 kB\nMemFree: 3 kB\nMemAvailable: 500 kB\n")
    assert loading.available_memory(tmp_path) == 500 * 1024
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("1000\n")
    assert loading.available_memory(tmp_path) == 500 * 1024
    (group / "memory.max").write_text("100000\n")
    (group / "memory.stat").write_text("anon 500\ninactive_file 400\n")
    assert loading.available_memory(tmp_path) == 100_000 - 1_000 + 400
    (group / "memory").mkdir()
    (group / "memory" / "memory.limit_in_bytes").write_text("5000\n")
    (group / "memory" / "memory.usage_in_bytes").write_text("6000\n")
    assert loading.available_memory(tmp_path) == 0


def test_the_held_out_shapes_are_capped_and_stay_as_they_were_below_that():
    labels = np.arange(60_000) % 7
    held = held_out(labels, 60_000, 0.1, 0)
    assert MAX_HELD - 7 <= len(held) <= MAX_HELD
    assert (np.diff(held) > 0).all()
    assert np.bincount(labels[held]).min() >= MAX_HELD // 7 - 1
    assert len(held_out(None, 60_000, 0.1, 0)) == MAX_HELD
    assert len(held_out(None, 40_000, 0.1, 0)) == 4_000
    training, again = validation_split(labels, 60_000, 0.1, 0)
    assert (held == again).all() and len(training) + len(held) == 60_000
    assert not np.isin(training, held).any()


def test_a_shard_lost_in_mid_training_is_one_line_and_the_checkpoint_goes_on(tmp_path, monkeypatch):
    monkeypatch.setitem(Order.__init__.__kwdefaults__, "window", 32)
    monkeypatch.setitem(Order.__init__.__kwdefaults__, "lanes", 4)
    prepare(write_npz(tmp_path / "a.npz", train=110, points=20), tmp_path / "set", shard_size=7)
    settings = {"loading": "stream", "checkpoint_every": 1, "epochs": 3}
    train(tmp_path / "set", tmp_path / "whole", **settings)
    shard = tmp_path / "set" / "train-00007-of-00016.parquet"
    real, data = TrainingModule.training_step, shard.read_bytes()

    def step(self, batch, index):
        if self.global_step == 14:
            shard.unlink()
        return real(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", step)
    with pytest.raises(InputError, match="train-00007-of-00016") as caught:
        train(tmp_path / "set", tmp_path / "run", **settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    monkeypatch.setattr(TrainingModule, "training_step", real)
    shard.write_bytes(data)
    train(tmp_path / "set", tmp_path / "run", resume=True, **settings)
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert figures(tmp_path / "run") == figures(tmp_path / "whole")


def test_a_damaged_shard_is_told_before_anything_is_written(tmp_path):
    prepare(write_npz(tmp_path / "a.npz", train=40, points=20), tmp_path / "set", shard_size=7)
    shard = tmp_path / "set" / "train-00001-of-00006.parquet"
    data = shard.read_bytes()
    shard.write_bytes(data[:4] + b"\0" * (len(data) - 12) + data[-8:])
    for way in ("memory", "stream"):
        with pytest.raises(InputError, match="train-00001-of-00006"):
            train(tmp_path / "set", tmp_path / "run", loading=way)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("way", ["memory", "stream"])
def test_a_run_trains_from_a_url_as_from_a_folder(folder, tmp_path, way):
    there = place("memory://training/set")
    for path in folder.iterdir():
        there.fs.pipe_file(f"{there.path}/{path.name}", path.read_bytes())
    train("memory://training/set", tmp_path / "there", loading=way)
    there.fs.rm("/training", recursive=True)
    train(folder, tmp_path / "here", loading=way)
    assert weights(tmp_path / "there") == weights(tmp_path / "here")
    assert "**set**" in (tmp_path / "there" / "README.md").read_text()


def test_the_table_of_the_page_is_made_from_its_rows():
    assert streaming.table() in (streaming.ROOT / "docs" / "streaming.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_run_trains_from_an_s3_server(folder, tmp_path, monkeypatch):
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()  # other tests' servers are gone
        store = s3fs.S3FileSystem()
        store.mkdir("trained")
        store.put(str(folder), "trained/set", recursive=True)
        train("s3://trained/set", tmp_path / "there", loading="stream")
        train(folder, tmp_path / "here", loading="stream")
        assert weights(tmp_path / "there") == weights(tmp_path / "here")
        stream = load_dataset("s3://trained/set").stream(batch_size=8)
        started = time.monotonic()
        first = next(iter(stream))
        assert first.shape == (8, 20, 3) and time.monotonic() - started < 120
        store.rm("trained/set/train-00003-of-00016.parquet")
        with pytest.raises(InputError, match=r"s3://trained/set/train-00003-of-00016\.parquet.*tried 4 times"):
            list(stream)
    finally:
        server.stop()
