"""Streaming: the same batches as from memory, read once, by threads that end, with errors in one line."""

import gc
import itertools
import threading
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader

from pointvae.data import reading, shards
from pointvae.data.dataset import load_dataset
from pointvae.data.order import Order
from pointvae.data.prepare import prepare
from pointvae.data.reading import SplitShards, in_threads
from pointvae.data.stream import Stream
from pointvae.errors import InputError
from pointvae.places import place
from tests.data.files import write_npz

POINTS = 4


def written(folder, rows, dtype=np.float32, start=0):
    """Shards of clouds whose every coordinate is the shape's number in the split."""
    files = []
    for index, count in enumerate(rows):
        numbers = np.arange(start, start + count).reshape(-1, 1, 1)
        start += count
        points = np.broadcast_to(numbers, (count, POINTS, 3)).astype(dtype)
        files.append(shards.shard_name("train", index, len(rows)))
        names = [f"s{number}" for number in numbers.ravel()]
        shards.write_shard(folder / files[-1], shards.Rows(points, names, "test", numbers.ravel() % 3))
    return SplitShards(folder if not str(folder).startswith("memory") else str(folder), tuple(files), rows, POINTS)


def numbers(stream):
    return [int(cloud[0, 0]) for batch in stream for cloud in batch]


@pytest.fixture
def many(tmp_path):
    """37 shards of uneven length, one of them empty of what is trained on, and an order of small windows."""
    rows = tuple(5 + (7 * index) % 11 for index in range(37))
    split = written(tmp_path, rows)
    held = np.unique([*range(rows[0]), *np.random.default_rng(0).choice(sum(rows), 40)])
    return split, Order(rows, held, 5, window=64, lanes=8)


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "pointvae-stream"]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_stream_gives_the_clouds_of_the_order_as_float32(tmp_path, dtype):
    split = written(tmp_path, (30, 40, 30), dtype)
    order = Order(split.rows, np.array([0, 35]), window=32, lanes=4)
    batches = list(Stream(split, order, 7, epoch=2))
    assert {batch.shape for batch in batches} == {(7, POINTS, 3)} and batches[0].dtype == torch.float32
    rows = torch.from_numpy(order.epoch(2).rows()[:98]).float()
    torch.testing.assert_close(torch.cat(batches), rows[:, None, None].expand(-1, POINTS, 3), rtol=0, atol=0)


@pytest.mark.parametrize("world", [1, 2, 3, 8, 16])
def test_ranks_see_the_batches_of_one_order_whatever_their_number(many, world):
    split, order = many
    share = 24 // world if 24 % world == 0 else 2
    rows = order.epoch(1).rows()
    whole = len(rows) // (share * world) * share * world
    seen = np.empty(whole, int)
    for rank in range(world):
        seen[rank::world] = numbers(Stream(split, order, share, epoch=1, rank=rank, world_size=world))
    np.testing.assert_array_equal(seen, rows[:whole])


def test_a_process_reads_only_its_own_lanes(many, monkeypatch):
    split, order = many
    read = []
    monkeypatch.setattr(
        SplitShards, "clouds", lambda self, shard, rows=None: read.append(shard) or clouds(self, shard)
    )
    for rank in range(8):
        list(Stream(split, order, 3, rank=rank, world_size=8))
    trained = [shard for shard in range(len(split.rows)) if order.counts[shard]]
    assert set(read) == set(trained)
    assert len(read) <= len(trained) + 7  # a shard at the border of two lanes is read by both, no other twice


clouds = SplitShards.clouds


def test_from_any_batch_on_it_is_the_rest_of_the_epoch(many):
    split, order = many
    whole = numbers(Stream(split, order, 6, epoch=3))
    for start in (1, 10, len(whole) // 6 - 1, len(whole) // 6):
        stream = Stream(split, order, 6, epoch=3, start=start)
        assert numbers(stream) == whole[start * 6 :]
        assert len(stream) == len(whole) // 6 - start


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_deal_the_batches_of_a_rank_out_in_turn(many, workers, monkeypatch):
    split, order = many
    stream = Stream(split, order, 6, epoch=1, start=2)
    whole = [batch.tolist() for batch in stream]
    for worker in range(workers):
        info = SimpleNamespace(id=worker, num_workers=workers)
        monkeypatch.setattr("pointvae.data.stream.get_worker_info", lambda info=info: info)
        assert [batch.tolist() for batch in stream] == whole[worker::workers]


def test_under_a_loader_with_workers_the_batches_come_in_the_same_order(many):
    split, order = many
    stream = Stream(split, order, 6, epoch=1, start=2)
    loader = DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context="forkserver")
    assert numbers(loader) == numbers(stream)


def test_over_epochs_ranks_and_workers_every_name_is_seen_once_an_epoch(many):
    split, order = many
    world, share = 2, 5
    for epoch in range(4):
        seen = [
            n
            for r in range(world)
            for n in numbers(Stream(split, order, share, epoch=epoch, rank=r, world_size=world))
        ]
        left = set(order.epoch(epoch).rows()[len(order) // 10 * 10 :].tolist())
        assert sorted(seen) == sorted(set(range(sum(split.rows))) - set(order.held.tolist()) - left)


def test_no_thread_and_no_memory_is_left_over_a_hundred_epochs(tmp_path):
    split = written(tmp_path, (20, 20, 20))
    order = Order(split.rows, window=16, lanes=4)

    def some(epochs):
        for epoch in epochs:
            stream = iter(Stream(split, order, 5, epoch=epoch))
            next(stream)
            if epoch % 2:
                stream.close()
            else:
                assert sum(1 for _ in stream) == 11
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = some(range(10))
        after = some(range(10, 110))
    finally:
        tracemalloc.stop()
    assert readers() == []
    assert after - before < 200_000


def test_memory_stays_flat_with_four_times_the_shards(tmp_path):
    def peak(folder, count):
        folder.mkdir()
        split = written(folder, (32,) * count)
        order = Order(split.rows, window=128, lanes=4)
        list(Stream(split, order, 8, epoch=9))
        pool = pa.default_memory_pool()
        most, stream = 0, Stream(split, order, 8)
        tracemalloc.start()
        try:
            for _ in stream:
                most = max(most, pool.bytes_allocated())
            return tracemalloc.get_traced_memory()[1] + most
        finally:
            tracemalloc.stop()

    few, more = peak(tmp_path / "few", 10), peak(tmp_path / "more", 40)
    assert more < 1.25 * few + 20_000


def test_the_thread_reads_ahead_but_no_further_than_a_window(many, monkeypatch):
    split, order = many
    read, far = [], threading.Event()
    monkeypatch.setattr(
        Stream, "_batch", lambda self, n, lanes: (read.append(n), far.set(), batch(self, n, lanes))[2]
    )
    stream = iter(Stream(split, order, 2))
    next(stream)
    far.wait(5)
    stream.close()
    assert len(read) <= 2 + 64 // 8 // 2 + 2


batch = Stream._batch


@pytest.mark.parametrize("damage", ["absent", "cut", "scrambled", "nan", "short", "columns"])
def test_a_shard_at_fault_in_mid_epoch_is_one_clear_line_and_the_thread_ends(many, damage, monkeypatch):
    split, order = many
    path, at_a_shard, read = split.path(20), threading.Lock(), shards.read_shard

    def read_alone(*arguments):
        with at_a_shard:  # a file that changes while it is read is another fault
            return read(*arguments)

    monkeypatch.setattr(shards, "read_shard", read_alone)
    stream = iter(Stream(split, order, 6))
    first = next(stream)
    table = pq.read_table(path)
    data = path.read_bytes()
    other = path.with_name("damaged")
    if damage == "cut":
        other.write_bytes(data[: len(data) // 2])
    elif damage == "scrambled":
        other.write_bytes(data[:4] + b"\0" * (len(data) - 12) + data[-8:])
    elif damage == "short":
        pq.write_table(table[1:], other)
    elif damage == "columns":
        pq.write_table(table.drop_columns(["points"]), other)
    elif damage == "nan":
        points = np.array(table["points"].to_pylist(), np.float32)
        points[3, 1, 2] = np.nan
        column = pa.array(points.tolist(), table.schema.field("points").type)
        pq.write_table(table.set_column(0, "points", column), other)
    with at_a_shard:
        path.unlink() if damage == "absent" else other.replace(path)
    more = itertools.chain(stream, *(Stream(split, order, 6, epoch=epoch) for epoch in range(3)))
    with pytest.raises(InputError, match="train-00020-of-00037") as caught:
        list(more)  # the first epoch may have been read beyond it already
    assert "\n" not in str(caught.value) and first.shape == (6, POINTS, 3)
    if damage == "nan":
        name = table["name"][3].as_py()
        assert f"shape {name} holds NaN" in str(caught.value)
    assert readers() == []


class Flaky:
    """Fails so many times, then reads."""

    def __init__(self, monkeypatch, times, error):
        self.left, self.error, self.pauses = times, error, []
        self.real = shards.read_shard
        monkeypatch.setattr(shards, "read_shard", self.read)
        monkeypatch.setattr(reading.time, "sleep", self.pauses.append)

    def read(self, path, columns=None):
        if self.left:
            self.left -= 1
            raise self.error
        return self.real(path, columns)


@pytest.fixture
def remote():
    folder = place("memory://stream-of-tests")
    yield written(folder, (10, 10, 10))
    folder.fs.rm(folder.path, recursive=True)


def test_a_remote_set_streams_and_a_store_s_hiccups_are_waited_for(remote, monkeypatch):
    order = Order(remote.rows, window=8, lanes=2)
    whole = numbers(Stream(remote, order, 5))
    assert sorted(whole) == list(range(30))
    flaky = Flaky(monkeypatch, 3, ConnectionError("reset by peer"))
    assert remote.labels().tolist() == [number % 3 for number in range(30)]
    assert len(flaky.pauses) == 3
    flaky.left = 2
    assert numbers(Stream(remote, order, 5)) == whole


def test_a_store_that_stays_silent_is_told_in_a_line(remote, monkeypatch):
    flaky = Flaky(monkeypatch, 99, TimeoutError("no\nanswer"))
    with pytest.raises(InputError, match=r"memory://.*tried 4 times \(no answer\)") as caught:
        remote.read(0)
    assert "\n" not in str(caught.value)
    assert flaky.pauses == [0.5, 1.0, 2.0]


def test_a_local_shard_at_fault_is_not_waited_for(tmp_path, monkeypatch):
    split = written(tmp_path, (3,))
    flaky = Flaky(monkeypatch, 1, InputError("gone"))
    with pytest.raises(InputError, match="gone"):
        split.read(0)
    assert flaky.pauses == []


def test_some_rows_are_read_from_the_shards_that_hold_them_alone(many, monkeypatch):
    split, _ = many
    read = []
    monkeypatch.setattr(
        SplitShards, "clouds", lambda self, shard, rows=None: read.append(shard) or clouds(self, shard)
    )
    rows = np.array([1, 3, 30, 200])
    taken = split.take(rows)
    assert taken.dtype == np.float32 and taken[:, 0, 0].tolist() == rows.tolist()
    assert sorted(read) == sorted(set((np.searchsorted(np.cumsum(split.rows), rows, "right")).tolist()))
    assert split.take(np.empty(0, np.int64)).shape == (0, POINTS, 3)


def test_threads_keep_the_order_run_only_a_little_ahead_and_stop_at_an_error():
    started = []

    def work(item):
        started.append(item)
        if item == 50:
            raise InputError("fifty")
        return item * 2

    results = in_threads(work, range(1000))
    assert [next(results) for _ in range(10)] == [2 * item for item in range(10)]
    assert len(started) <= 10 + 2 * reading.THREADS
    with pytest.raises(InputError, match="fifty"):
        list(results)
    assert len(started) < 70


def test_the_public_stream_is_an_epoch_of_a_split(tmp_path):
    prepare(write_npz(tmp_path / "a.npz", train=24), tmp_path / "set", shard_size=5)
    dataset = load_dataset(tmp_path / "set")
    points = dataset["train"].points
    stream = dataset.stream("train", batch_size=4, seed=3, epoch=2, held=np.array([1, 7, 8]))
    rows = Order([24], np.array([1, 7, 8]), 3).epoch(2).rows()[:20]
    np.testing.assert_array_equal(torch.cat(list(stream)).numpy(), points[rows])
    assert len(stream) == 5
    with pytest.raises(InputError, match="no split 'validation'"):
        dataset.stream("validation")


def test_a_remote_dataset_is_opened_with_one_listing_and_read_like_one_here(tmp_path, monkeypatch):
    prepare(write_npz(tmp_path / "a.npz", train=24), tmp_path / "set", shard_size=5)
    there = place("memory://opened/set")
    for path in (tmp_path / "set").iterdir():
        there.fs.pipe_file(f"{there.path}/{path.name}", path.read_bytes())
    listed, real = [], type(there.fs).ls
    monkeypatch.setattr(type(there.fs), "ls", lambda self, path, **k: listed.append(path) or real(self, path, **k))
    dataset = load_dataset("memory://opened/set")
    assert len(listed) <= 3, "the number of listings must not grow with the shards"
    here = load_dataset(tmp_path / "set")
    np.testing.assert_array_equal(dataset["train"].points, here["train"].points)
    assert dataset["train"].names == here["train"].names
    assert [b.tolist() for b in dataset.stream()] == [b.tolist() for b in here.stream()]
    there.fs.rm_file(f"{there.path}/train-00001-of-00005.parquet")
    with pytest.raises(InputError, match=r"train-00001-of-00005\.parquet: the shard is damaged .it is missing"):
        load_dataset("memory://opened/set")
    there.fs.rm("/opened", recursive=True)
