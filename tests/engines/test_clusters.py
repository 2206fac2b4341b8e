"""Dask and Ray for real, two workers on this machine."""

import contextlib
import functools
import os
import signal
import threading
import time

import pytest

from pointvae.data.prepare import prepare
from pointvae.engines import open_engine
from pointvae.errors import InputError
from pointvae.evaluation.embedding import embed_to
from pointvae.hub import save_pretrained
from tests.data.files import child, folder_bytes, write_classes
from tests.engines.calls import die, die_once, square
from tests.engines.contract import check
from tests.evaluation.shapes import make_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def scheduler():
    """The address of a Dask cluster of two workers that exists beside us, and their process ids."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address.removeprefix("tcp://")


@pytest.fixture(scope="module")
def ray_head():
    """A Ray cluster of two cores that this process has joined."""
    ray = pytest.importorskip("ray")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield "auto"
    ray.shutdown()


@pytest.fixture(params=["dask", "ray"])
def engine_name(request):
    """A cluster that is there already, by the name a user gives it."""
    if request.param == "dask":
        return f"dask://{request.getfixturevalue('scheduler')}"
    return f"ray://{request.getfixturevalue('ray_head')}"


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    layout = {"bed/train": 40, "bed/test": 8, "chair/train": 40, "chair/test": 8}
    return write_classes(tmp_path_factory.mktemp("boxes"), layout)


def test_every_call_is_made_and_faults_are_told(engine_name, tmp_path):
    with open_engine(engine_name) as engine:
        assert engine.workers == 2
        check(engine, tmp_path)


def test_a_worker_that_dies_loses_nothing(engine_name, tmp_path):
    calls = [functools.partial(square, number) for number in range(30)]
    calls[7] = functools.partial(die_once, tmp_path / "died", 49)
    with open_engine(engine_name) as engine:
        assert sorted(engine.run(calls)) == [(number, number**2) for number in range(30)]
    assert (tmp_path / "died").exists()


def test_a_call_that_ends_every_worker_is_told_of_in_one_line(engine_name):
    with open_engine(engine_name) as engine, pytest.raises(InputError, match=r"one call ended .* workers") as caught:
        list(engine.run([die]))
    assert "\n" not in str(caught.value)


def test_a_cluster_writes_the_bytes_that_one_process_writes(engine_name, boxes, tmp_path):
    prepare(boxes, tmp_path / "here", points=64, shard_size=8)
    prepare(boxes, tmp_path / "there", points=64, shard_size=8, engine=engine_name)
    assert folder_bytes(tmp_path / "here") == folder_bytes(tmp_path / "there")


def test_a_cluster_embeds_as_one_process_does(engine_name, tmp_path):
    prepare("procedural", tmp_path / "set", points=64, shapes_per_class=2, shard_size=8)
    save_pretrained(make_model(), tmp_path / "run", {"points": 32})
    for name in ("local", engine_name):
        embed_to(tmp_path / "run", tmp_path / "set", tmp_path / f"{name[:3]}.parquet", engine=name)
    assert (tmp_path / "loc.parquet").read_bytes() == (tmp_path / f"{engine_name[:3]}.parquet").read_bytes()


def children_of_a_cluster(engine_name: str) -> list[int]:
    """The workers' process ids, asked of themselves."""
    with open_engine(engine_name) as engine:
        return sorted({pid for _, pid in engine.run([slow_pid] * 4)})


def slow_pid() -> int:
    time.sleep(0.3)
    return os.getpid()


def test_a_worker_killed_in_the_middle_changes_no_byte(engine_name, tmp_path):
    """A shard's worker is ended with -9 as soon as some shards are written."""
    options = {"points": 1024, "shapes_per_class": 40, "shard_size": 16}
    prepare("procedural", tmp_path / "here", **options)
    victims = children_of_a_cluster(engine_name)
    killed = []

    def kill() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if len(list((tmp_path / "there").glob("*.parquet"))) >= 6:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victims[0], signal.SIGKILL)
                    killed.append(len(list((tmp_path / "there").glob("*.parquet"))))
                return
            time.sleep(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    summary = prepare("procedural", tmp_path / "there", **options, engine=engine_name)
    thread.join()
    assert killed, "the worker was gone before it was killed"
    assert killed[0] < summary["shards"], "everything was written before the worker was killed"
    assert folder_bytes(tmp_path / "here") == folder_bytes(tmp_path / "there")


def test_strict_on_a_cluster_refuses_and_leaves_nothing(engine_name, boxes, tmp_path):
    root = write_classes(tmp_path / "root", {"bed/train": 24, "bed/test": 2})
    (root / "bed" / "train" / "shape_03.off").write_bytes(b"")
    with pytest.raises(InputError, match=r"shape_03\.off: the file is empty .--strict"):
        prepare(root, tmp_path / "out", points=32, shard_size=2, strict=True, engine=engine_name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["dask://127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_does_not_answer_is_told_of_in_one_line(name, tmp_path):
    code = """
        import sys
        import pointvae
        from pointvae.engines import dask_cluster

        dask_cluster.CONNECT = 2.0
        try:
            pointvae.prepare("procedural", sys.argv[2], points=16, shapes_per_class=2, engine=sys.argv[1])
        except pointvae.InputError as error:
            print(error)
    """
    done = child(code, name, tmp_path / "out")
    assert f"--engine {name}: no " in done.stdout, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_another_ray_cluster_than_the_one_joined_is_refused(ray_head):
    with pytest.raises(InputError, match="has joined a Ray cluster already"), open_engine("ray://127.0.0.1:1"):
        pass
