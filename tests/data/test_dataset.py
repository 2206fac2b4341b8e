import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pointvae.data import shards
from pointvae.data.dataset import Shapes, load_dataset
from pointvae.data.prepare import prepare
from pointvae.errors import InputError
from tests.data.files import write_npz


@pytest.fixture
def folder(tmp_path):
    prepare(write_npz(tmp_path / "a.npz"), tmp_path / "set", shard_size=4)
    return tmp_path / "set"


def test_shapes_are_chosen_by_integer_slice_array_and_mask():
    points = np.arange(60, dtype=np.float32).reshape(5, 4, 3)
    factors = [{"height": float(index)} for index in range(5)]
    shapes = Shapes(points, np.arange(5), list("abcde"), ["x"], normals=-points, factors=factors)
    mask = np.array([False, True, False, True, False])
    for index, names in (
        (2, "c"),
        (-1, "e"),
        (slice(1, 3), "bc"),
        ([4, 0], "ea"),
        (np.array([3, 3]), "dd"),
        (mask, "bd"),
    ):
        chosen = shapes[index]
        assert "".join(chosen.names) == names
        rows = ["abcde".index(name) for name in names]
        np.testing.assert_array_equal(chosen.points, points[rows])
        np.testing.assert_array_equal(chosen.normals, -points[rows])
        np.testing.assert_array_equal(chosen.labels, rows)
        assert [row["height"] for row in chosen.factors] == rows
        assert len(chosen) == len(names)


def test_nothing_is_read_before_it_is_asked_for_and_then_once(folder, monkeypatch):
    dataset = load_dataset(folder)
    reads = []
    monkeypatch.setattr("pointvae.data.shards.pq.read_table", lambda path, **_: reads.append(path.name) or real(path))
    assert reads == []
    assert dataset["test"] is dataset["test"]
    assert reads == ["test-00000-of-00001.parquet"]
    assert "'train': 6, 'test': 4" in repr(dataset)


real = pq.read_table


def test_shards_are_joined_in_order(folder):
    train = load_dataset(folder)["train"]
    assert train.names == [f"train_{index}" for index in range(6)]
    assert train.points.dtype == np.float32
    assert train.labels.dtype == np.int64
    assert train.points.flags.writeable


def test_an_unknown_split_is_told_with_those_there_are(folder):
    with pytest.raises(InputError, match="no split 'validation'; it has train, test"):
        load_dataset(folder)["validation"]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "bytes, not"),
        (lambda path: path.unlink(), "it is missing"),
        (lambda path: path.write_bytes(b"x" * path.stat().st_size), "footer is missing"),
    ],
)
def test_a_damaged_shard_is_named_when_the_folder_is_opened(folder, damage, why):
    damage(folder / "train-00001-of-00002.parquet")
    with pytest.raises(InputError, match=why) as caught:
        load_dataset(folder)
    assert "train-00001-of-00002.parquet" in str(caught.value)
    assert "run the same `pointvae prepare` again" in str(caught.value)


def test_a_shard_scrambled_within_is_named_when_it_is_read(folder):
    path = folder / "train-00001-of-00002.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:4] + b"\0" * (len(data) - 12) + data[-8:])
    with pytest.raises(InputError, match=r"train-00001-of-00002\.parquet: the shard is damaged"):
        load_dataset(folder)["train"]


def rewrite(folder, change):
    """Change a shard's table, and the card's record of its size, as an editor of ours by hand might."""
    path = folder / "test-00000-of-00001.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    _, head, body = (folder / "README.md").read_text().split("---\n", 2)
    card = yaml.safe_load(head)
    for shard in card["pointvae"]["shards"]:
        shard["bytes"] = (folder / shard["file"]).stat().st_size
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(card)}---\n{body}")


def test_nan_in_a_shard_is_named_with_its_shape(folder):
    def spoil(table):
        points = np.array(table["points"].to_pylist(), np.float32)
        points[2, 5, 1] = np.nan
        column = pa.array(points.tolist(), table.schema.field("points").type)
        return table.set_column(0, "points", column)

    rewrite(folder, spoil)
    with pytest.raises(InputError, match="shape test_2 holds NaN"):
        load_dataset(folder)["test"]


def test_a_shard_with_other_columns_is_told(folder):
    rewrite(folder, lambda table: table.drop_columns(["label"]))
    with pytest.raises(InputError, match="columns are not those of the card"):
        load_dataset(folder)["test"]


def unread(*_):
    raise AssertionError("it was unpacked")


def test_a_shard_that_holds_more_than_its_card_says_is_refused_before_it_is_unpacked(folder, monkeypatch):
    rewrite(folder, lambda table: pa.concat_tables([table] * 50))
    monkeypatch.setattr(shards, "read_shard", unread)
    with pytest.raises(InputError, match="it has 200 shapes, not 4"):
        load_dataset(folder)["test"]


def test_a_shard_that_unpacks_to_more_than_its_shapes_take_is_refused_before_it_is(folder, monkeypatch):
    def long_names(table):
        """Names of 24 MB in all."""
        names = [letter * (6 << 20) for letter in "abcd"]
        return table.set_column(table.column_names.index("name"), "name", pa.array(names))

    rewrite(folder, long_names)
    assert (folder / "test-00000-of-00001.parquet").stat().st_size < 3 << 20
    monkeypatch.setattr(shards, "read_shard", unread)
    with pytest.raises(InputError, match=r"it unpacks to \d+ MB, more than 4 shapes of \d+ points take"):
        load_dataset(folder)["test"]


def test_what_is_no_dataset_is_told_with_the_mend(tmp_path):
    with pytest.raises(InputError, match="no such dataset folder; make one with `pointvae prepare"):
        load_dataset(tmp_path / "absent")
    with pytest.raises(InputError, match=r"it has no README.md"):
        load_dataset(tmp_path)
    (tmp_path / "README.md").write_text("# My shapes\n")
    with pytest.raises(InputError, match="head of the card is missing or damaged"):
        load_dataset(tmp_path)
    (tmp_path / "README.md").write_text("---\na: [1\n---\n")
    with pytest.raises(InputError, match="head of the card is missing or damaged"):
        load_dataset(tmp_path)
    with pytest.raises(InputError, match="is a file, not a dataset folder"):
        load_dataset(tmp_path / "README.md")


def test_unlabelled_shapes_have_no_labels(tmp_path):
    np.savez(tmp_path / "a.npz", points=np.random.default_rng(0).normal(size=(10, 4, 3)))
    prepare(tmp_path / "a.npz", tmp_path / "set")
    dataset = load_dataset(tmp_path / "set")
    assert dataset.classes == []
    assert dataset["train"].labels is None
    assert dataset["train"][:3].labels is None
    assert "| **all** | 8 | 2 |" in (tmp_path / "set" / "README.md").read_text()


def test_all_of_modelnet40_is_the_arrays_it_was_made_from(real_data, tmp_path):
    source = real_data / "modelnet40_1024.npz"
    prepare(source, tmp_path / "set", normalize="none", dtype="float16")
    dataset = load_dataset(tmp_path / "set")
    with np.load(source) as arrays:
        for split in ("train", "test"):
            np.testing.assert_array_equal(dataset[split].points, arrays[f"{split}_points"])
            np.testing.assert_array_equal(dataset[split].labels, arrays[f"{split}_labels"])
            assert dataset[split].names == arrays[f"{split}_names"].tolist()
        assert dataset.classes == arrays["classes"].tolist()
