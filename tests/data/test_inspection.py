import json
import os
import sys
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from pointvae.data import inspection, shards
from pointvae.data.checks import find_duplicates, guess_up, up_votes
from pointvae.data.inspection import inspect
from pointvae.data.isolation import Limits
from pointvae.data.picture import project
from pointvae.data.prepare import prepare
from pointvae.errors import InputError
from tests.data import faults
from tests.data.files import write_box, write_classes, write_npz
from tests.data.test_dataset import rewrite


@pytest.fixture
def boxes(tmp_path):
    return write_classes(tmp_path / "boxes", {"bed/train": 4, "bed/test": 1, "chair/train": 2, "chair/test": 3})


def png_size(path):
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def test_a_dataset_is_counted_by_split_and_class(boxes, tmp_path):
    prepare(boxes, tmp_path / "set", points=64, up="y", shard_size=3)
    report = inspect(tmp_path / "set", tmp_path / "a.png")
    json.dumps(report)
    assert (report["kind"], report["shapes"], report["points"], report["up"]) == ("dataset", 10, 64, "z")
    assert report["splits"]["train"]["classes"] == {"bed": 4, "chair": 2}
    assert report["splits"]["train"]["radius"] == [1.0, 1.0]
    assert report["checksums"] == {"checked": 4, "damaged": []}
    assert png_size(tmp_path / "a.png")[0] > 200
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_raw_files_are_counted_and_the_broken_ones_named(boxes, tmp_path):
    (boxes / "bed" / "train" / "shape_00.off").write_bytes(b"")
    (boxes / "bed" / "train" / "shape_01.off").write_text("OFF\n3 1 0\n0 0 nan\n1 0 0\n0 1 0\n3 0 1 2\n")
    report = inspect(boxes)
    json.dumps(report)
    assert (report["kind"], report["shapes"], report["up"]) == ("folder", 8, None)
    assert (report["empty"], report["non_finite"], len(report["broken"])) == (1, 1, 2)
    assert "2 files cannot be used" in report["hints"]
    np.testing.assert_allclose(report["splits"]["test"]["median_extents"], [1, 2, 3.5], rtol=0.05)


def test_copies_are_found_within_and_across_splits(boxes, tmp_path):
    write_box(boxes / "bed" / "test" / "copy.off", (1.0, 2.0, 3.0))
    prepare(boxes, tmp_path / "set", points=32)
    for path in (boxes, tmp_path / "set"):
        duplicates = inspect(path)["duplicates"]
        assert duplicates["across_splits"] == 3  # both classes are boxes of the same sizes
        assert ["train: bed/train/shape_03.off"] not in duplicates["examples"]
        assert "test: bed/test/copy.off" in duplicates["examples"][0]


def test_duplicates_are_counted_as_a_loop_would():
    splits = {"train": (list("abcd"), ["1", "2", "1", "1"]), "test": (list("ef"), ["2", "3"])}
    found = find_duplicates(splits)
    pairs = [(digest, split) for split, (_, digests) in splits.items() for digest in digests]
    distinct = {digest for digest, _ in pairs}
    assert found["shapes"] == len(pairs) - len(distinct)
    assert (found["groups"], found["across_splits"]) == (2, 1)
    assert found["examples"] == [["train: b", "test: e"], ["train: a", "train: c", "train: d"]]


def test_a_shard_that_has_changed_is_told(boxes, tmp_path):
    prepare(boxes, tmp_path / "set", points=32)
    path = tmp_path / "set" / "train-00000-of-00001.parquet"
    data = path.read_bytes()
    place = data.index(b"parquet-cpp")
    path.write_bytes(data[:place] + b"PARQUET" + data[place + 7 :])
    report = inspect(tmp_path / "set")
    assert report["checksums"] == {"checked": 2, "damaged": [path.name]}
    assert "run the same `pointvae prepare` again" in report["hints"][-1]
    path.write_bytes(data[:-10])
    with pytest.raises(InputError, match=r"train-00000-of-00001\.parquet: the shard is damaged"):
        inspect(tmp_path / "set")


def named(table, text):
    """A shard whose shapes have another name."""
    names = pa.array([text] * len(table), table.schema.field("name").type)
    return table.set_column(table.column_names.index("name"), "name", names)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process apart")
@pytest.mark.parametrize(("fault", "why"), [("segfault", "segmentation fault"), ("abort", "abort")])
def test_a_shard_that_ends_its_reader_is_named_and_ends_nothing_else(boxes, tmp_path, monkeypatch, fault, why):
    prepare(boxes, tmp_path / "set", points=32)
    monkeypatch.setattr(shards, "rehearse", getattr(faults, fault))  # no shard is known at which Arrow's reader ends
    with pytest.raises(InputError, match=rf"001\.parquet: the shard crashed the reader \({why}\).*; do not use this"):
        inspect(tmp_path / "set")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_shard_that_swells_its_reader_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(inspection, "SHARD", Limits(memory=0.15))
    prepare(write_npz(tmp_path / "a.npz"), tmp_path / "set")
    rewrite(tmp_path / "set", lambda table: named(table, "a" * (1 << 25)))
    with pytest.raises(
        InputError,
        match=r"test-00000-of-00001\.parquet: the shard needs more than 0\.15 GiB of memory to read; do not",
    ):
        inspect(tmp_path / "set")


def test_a_shard_of_columns_that_make_no_sense_is_named(tmp_path):
    prepare(write_npz(tmp_path / "a.npz"), tmp_path / "set")
    rewrite(tmp_path / "set", lambda table: table.replace_schema_metadata({shards.DIGESTS_KEY: b"["}))
    with pytest.raises(InputError, match=r"test-00000-of-00001\.parquet: the shard is damaged"):
        inspect(tmp_path / "set")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_things_that_differ_most_from_top_to_bottom_tell_the_up_axis(axis):
    rng = np.random.default_rng(0)
    legs = rng.uniform(-1, 1, size=(30, 256, 3))
    top = rng.uniform(-1, 1, size=(30, 256, 3))
    top[..., axis] = 1
    guess = guess_up(up_votes(np.concatenate([legs, top], axis=1).astype(np.float32)))
    assert guess == {"axis": "xyz"[axis], "share": 1.0}


def test_the_real_furniture_looks_y_up_and_modelnet_z_up(real_data, tmp_path):
    report = inspect(real_data / "furniture", tmp_path / "a.png")
    assert report["shapes"] == 159
    assert report["hints"] == ["the shapes look y up: prepare them with --up y"]
    with np.load(real_data / "modelnet40_1024.npz") as arrays:
        assert guess_up(up_votes(arrays["test_points"].astype(np.float32)))["axis"] == "z"


def test_unlabelled_and_unsplit_shapes_have_a_picture_too(tmp_path):
    write_classes(tmp_path / "boxes", {".": 3})
    report = inspect(tmp_path / "boxes", tmp_path / "sub" / "a.png")
    assert list(report["splits"]) == ["unsplit"]
    assert png_size(tmp_path / "sub" / "a.png")[1] > 100


def test_arrays_can_be_inspected_before_they_are_prepared(tmp_path):
    report = inspect(write_npz(tmp_path / "a.npz"))
    assert report["splits"]["test"]["classes"] == {"bed": 2, "chair": 2}
    assert report["points"] == {"least": 16, "most": 16}


def test_a_picture_must_be_a_png_and_there_must_be_something_to_see(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.png"):
        inspect(tmp_path, tmp_path / "a.jpg")
    with pytest.raises(InputError, match="no shapes in this folder"):
        inspect(tmp_path)
    (tmp_path / "a.off").write_bytes(b"")
    with pytest.raises(InputError, match=r"no shape can be read; a.off: the file is empty"):
        inspect(tmp_path)


def test_the_projection_keeps_up_up_and_lengths_square_to_the_eye():
    paper, depth = project(np.concatenate([np.eye(3), -np.eye(3)]))
    assert paper[2, 1] > 0.9
    assert paper[2, 0] == pytest.approx(0)
    np.testing.assert_allclose(np.linalg.norm(np.c_[paper, depth], axis=1), 1)
    assert depth[2] < depth[5]  # seen from above, the top is nearer


def test_memory_does_not_grow_with_the_set(tmp_path):
    peaks = []
    for each in (4, 16):
        prepare("procedural", tmp_path / str(each), points=1024, shapes_per_class=each, shard_size=32)
        inspect(tmp_path / str(each))
        tracemalloc.start()
        inspect(tmp_path / str(each))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    grown = peaks[1] - peaks[0]
    assert grown < 0.1 * (16 - 4) * 32 * 1024 * 3 * 4, f"{peaks} bytes: the clouds are kept"
