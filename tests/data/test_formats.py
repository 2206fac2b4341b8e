import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from pointvae.data.dataset import load_dataset
from pointvae.data.prepare import prepare
from tests.data.files import child, write_classes


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """Two classes of boxes with a split of their own, y up: the third size is that along z."""
    layout = {"bed/train": 7, "bed/test": 3, "chair/train": 6, "chair/test": 2}
    return write_classes(tmp_path_factory.mktemp("boxes"), layout)


def test_plain_arrow_reads_fixed_size_lists_of_points(boxes, tmp_path):
    prepare(boxes, tmp_path / "out", points=64)
    table = pq.read_table(tmp_path / "out" / "train-00000-of-00001.parquet")
    assert str(table.schema.field("points").type.value_type.value_type) == "float"
    assert table.schema.field("points").type.list_size == 64
    assert table.column_names == ["points", "label", "name", "source"]
    assert np.array(table["points"].to_pylist()).shape == (13, 64, 3)
    np.testing.assert_allclose(np.array(table["points"].to_pylist()), load_dataset(tmp_path / "out")["train"].points)
    assert set(table["source"].to_pylist()) == {boxes.name}


READ_BY_HUGGING_FACE = """
    import os, sys
    os.environ.update(HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1", HF_HOME=sys.argv[2])
    import datasets, json, numpy as np
    found = datasets.load_dataset(sys.argv[1])
    train = found["train"]
    points = np.asarray(train.with_format("numpy")[:]["points"], dtype=np.float32)
    np.save(sys.argv[2] + "/points.npy", points)
    print(json.dumps([list(found), train.features["label"].names, train.features["points"].shape,
                      train.features["points"].dtype, list(points.shape), train[0]["name"]]))
"""


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_hugging_face_reads_the_folder_as_it_stands(boxes, tmp_path, dtype):
    prepare(boxes, tmp_path / "out", points=64, dtype=dtype, normals=True, shard_size=4)
    (tmp_path / "hf").mkdir()
    done = child(READ_BY_HUGGING_FACE, tmp_path / "out", tmp_path / "hf")
    assert done.returncode == 0, done.stderr
    assert "gnoring" not in done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [
        ["train", "test"],
        ["bed", "chair"],
        [64, 3],
        dtype,
        [13, 64, 3],
        "bed/train/shape_00.off",
    ]
    np.testing.assert_array_equal(
        np.load(tmp_path / "hf" / "points.npy"), load_dataset(tmp_path / "out")["train"].points
    )


def test_a_shard_whose_files_are_all_broken_is_empty_and_harms_nothing(tmp_path):
    root = write_classes(tmp_path / "root", {"bed/train": 4, "bed/test": 2})
    for index in (2, 3):
        (root / "bed" / "train" / f"shape_{index:02d}.off").write_bytes(b"")
    summary = prepare(root, tmp_path / "out", points=32, shard_size=2)
    assert summary["splits"]["train"]["shapes"] == 2
    assert load_dataset(tmp_path / "out")["train"].names == ["bed/train/shape_00.off", "bed/train/shape_01.off"]
    (tmp_path / "hf").mkdir()
    done = child(READ_BY_HUGGING_FACE, tmp_path / "out", tmp_path / "hf")
    assert json.loads(done.stdout.splitlines()[-1])[4] == [2, 32, 3], done.stderr
