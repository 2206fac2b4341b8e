"""Datasets written to and read from places that fsspec knows: in memory, and an S3 server on this machine."""

import contextlib
import os
import shutil
import subprocess
import sys
import uuid

import numpy as np
import pytest

from pointvae.data.dataset import load_dataset
from pointvae.data.prepare import prepare
from pointvae.errors import InputError
from pointvae.places import here, is_remote, place
from pointvae.writing import whole_file, write_text
from tests.data.files import folder_bytes, write_classes


@pytest.fixture
def store():
    """An empty folder of fsspec's in-memory file system."""
    name = f"memory://{uuid.uuid4().hex}"
    yield name
    with contextlib.suppress(FileNotFoundError):
        place(name).fs.rm(place(name).path, recursive=True)


@pytest.fixture(scope="module")
def bucket():
    """An S3 server on this machine with one bucket, as users' environment variables name it."""
    s3fs = pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    s3fs.S3FileSystem.clear_instance_cache()  # other tests' servers are gone
    place("s3://shapes").fs.mkdir("shapes")
    yield "s3://shapes"
    for name, value in before.items():
        if value is None:
            os.environ.pop(name)
        else:
            os.environ[name] = value
    server.stop()


def remote_bytes(folder: str, tmp_path) -> dict[str, str]:
    """The SHA-256 of every file of a remote folder."""
    copy = tmp_path / uuid.uuid4().hex
    copy.mkdir()
    for path in place(folder).iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return folder_bytes(copy)


def test_a_remote_dataset_has_the_bytes_of_a_local_one(store, tmp_path):
    options = {"points": 32, "shapes_per_class": 2, "shard_size": 8}
    prepare("procedural", tmp_path / "here", **options)
    summary = prepare("procedural", f"{store}/set", **options)
    assert summary["dataset"] == f"{store}/set"
    assert remote_bytes(f"{store}/set", tmp_path) == folder_bytes(tmp_path / "here")


def test_the_same_recipe_again_returns_at_once_and_another_is_refused(store):
    options = {"points": 32, "shapes_per_class": 2}
    assert not prepare("procedural", f"{store}/set", **options)["already_prepared"]
    assert prepare("procedural", f"{store}/set", **options)["already_prepared"]
    with pytest.raises(InputError, match="prepared with --seed 0, not 1"):
        prepare("procedural", f"{store}/set", **options, seed=1)


def test_a_remote_preparation_that_stopped_goes_on_with_what_is_missing(store, tmp_path, monkeypatch):
    from pointvae.data import building

    options = {"points": 32, "shapes_per_class": 2, "shard_size": 8}
    made, make = [], building.make_shard

    def stop_at_the_third(task):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(task.file)
        return make(task)

    monkeypatch.setattr(building, "make_shard", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        prepare("procedural", f"{store}/set", **options)
    monkeypatch.setattr(building, "make_shard", make)
    assert prepare("procedural", f"{store}/set", **options)["shards_kept"] == 2
    prepare("procedural", tmp_path / "here", **options)
    assert remote_bytes(f"{store}/set", tmp_path) == folder_bytes(tmp_path / "here")


def test_a_refused_preparation_leaves_nothing_in_the_store(store, tmp_path):
    root = write_classes(tmp_path / "root", {"bed/train": 4})
    (root / "bed" / "train" / "shape_03.off").write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        prepare(root, f"{store}/set", points=16, shard_size=1, strict=True)
    assert place(store).fs.find(place(store).path) == []


def test_a_file_of_a_store_appears_whole_or_not_at_all(store):
    write_text(place(f"{store}/a.txt"), "before")

    def write_half() -> None:
        with whole_file(f"{store}/a.txt") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert place(f"{store}/a.txt").read_text() == "before"
    with here(place(f"{store}/a.txt")) as copy:
        assert copy.read_text() == "before"
    assert not copy.exists()


@pytest.mark.parametrize(
    ("where", "why"),
    [("nowhere://x/y", "nowhere:// is not known"), ("hdfs9://x", "is not known to fsspec")],
)
def test_places_that_nothing_reads_are_refused_in_one_line(where, why):
    assert is_remote(where)
    with pytest.raises(InputError, match=why) as caught:
        place(where)
    assert "\n" not in str(caught.value)


def test_a_windows_path_is_no_url():
    assert not is_remote("C:\\data\\set")
    assert not is_remote("data/set")


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_meshes_in_s3_become_a_dataset_in_s3(bucket, tmp_path, jobs):
    name = f"meshes{jobs}"
    layout = {"bed/train": 6, "bed/test": 3, "chair/train": 5, "chair/test": 2}
    root = write_classes(tmp_path / name, layout)
    place(bucket).fs.put(str(root), f"shapes/{name}", recursive=True)
    options = {"points": 32, "shard_size": 4}
    prepare(root, tmp_path / "here", **options)
    summary = prepare(f"{bucket}/{name}", f"{bucket}/set{jobs}", **options, jobs=jobs)
    assert summary["shapes"] == 16
    assert remote_bytes(f"{bucket}/set{jobs}", tmp_path) == folder_bytes(tmp_path / "here")
    shapes = load_dataset(f"{bucket}/set{jobs}")["train"]
    np.testing.assert_array_equal(shapes.points, load_dataset(tmp_path / "here")["train"].points)


@pytest.mark.slow
def test_an_archive_in_s3_is_a_source(bucket, tmp_path):
    root = write_classes(tmp_path / "root", {"bed": 4, "chair": 4})
    archive = shutil.make_archive(str(tmp_path / "meshes"), "zip", root)
    place(bucket).fs.put_file(archive, "shapes/meshes.zip")
    prepare(archive, tmp_path / "here", points=16)
    prepare(f"{bucket}/meshes.zip", tmp_path / "there", points=16)
    assert folder_bytes(tmp_path / "here") == folder_bytes(tmp_path / "there")


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_told_of_in_one_line(bucket):
    with pytest.raises(InputError, match="no-such-bucket") as caught:
        prepare("procedural", "s3://no-such-bucket/set", points=16, shapes_per_class=2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("verb", [["train", "s3://b/set", "run"], ["prepare", "procedural", "s3://b/set"]])
def test_a_store_without_credentials_is_told_of_in_one_line(verb, tmp_path):
    pytest.importorskip("s3fs")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pointvae.cli", *verb]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Unable to locate credentials" in done.stderr
    assert len(done.stderr.splitlines()) == 1
