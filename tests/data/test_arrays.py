import h5py
import numpy as np
import pytest

from pointvae.data.source import SourceOptions
from pointvae.data.sources import open_source
from pointvae.errors import InputError
from tests.data.files import write_npz


def opened(path, **options):
    with open_source(path, SourceOptions(**options)) as source:
        return source


def write_h5(path, count=6, points=16, **changes):
    arrays = {
        "data": np.random.default_rng(0).normal(size=(count, points, 3)).astype(np.float32),
        "label": (np.arange(count)[:, None] % 2).astype(np.uint8),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in {**arrays, **changes}.items():
            if array is not None:
                file[name] = array
    return path


def test_an_npz_in_modelnets_layout_keeps_its_splits_labels_and_names(tmp_path):
    source = opened(write_npz(tmp_path / "a.npz"))
    assert source.classes == ["bed", "chair"]
    assert source.points == 16
    assert [(item.name, item.split, item.label) for item in source.items[5:7]] == [
        ("train_5", "train", 1),
        ("test_0", "test", 0),
    ]
    with np.load(tmp_path / "a.npz") as archive:
        np.testing.assert_array_equal(source.items[6].load().vertices, archive["test_points"][0])


def test_plain_points_and_labels_are_split_within_each_class(tmp_path):
    np.savez(tmp_path / "a.npz", points=np.zeros((20, 4, 3)), labels=np.repeat([0, 1], [15, 5]))
    source = opened(tmp_path / "a.npz", test_fraction=0.2)
    assert source.classes == ["0", "1"]
    assert [sum(i.split == "test" and i.label == label for i in source.items) for label in (0, 1)] == [3, 1]


def test_points_alone_are_shapes_without_classes(tmp_path):
    np.savez(tmp_path / "a.npz", points=np.zeros((10, 4, 3)))
    source = opened(tmp_path / "a.npz")
    assert source.classes == []
    assert {item.label for item in source.items} == {None}


def test_names_of_classes_are_optional(tmp_path):
    assert opened(write_npz(tmp_path / "a.npz", classes=None)).classes == ["0", "1"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"train_points": None, "test_points": None}, "no array 'points'"),
        ({"train_points": np.zeros((6, 16))}, r"'train_points' is float64 \[6, 16\]"),
        ({"train_points": np.zeros((6, 16, 4))}, r"\[6, 16, 4\]; clouds must be numbers \[n, N, 3\]"),
        ({"train_points": np.zeros((6, 16, 3), bool)}, "'train_points' is bool"),
        ({"train_points": np.full((6, 16, 3), "a")}, "clouds must be numbers"),
        ({"train_points": np.array([None] * 6)}, "Python objects"),
        ({"train_labels": np.zeros(5, int)}, r"'train_labels' is int64 \[5\]"),
        ({"train_labels": np.zeros(6)}, "must be integers"),
        ({"train_labels": np.full(6, -1)}, "labels count from 0"),
        ({"train_labels": np.full(6, 2)}, "a label is 2, but there are only 2 class names"),
        ({"train_labels": None}, "have no labels, others have"),
        ({"train_names": np.arange(6)}, "'train_names' is int64"),
        ({"classes": np.zeros(2)}, "'classes' is float64"),
    ],
)
def test_arrays_at_fault_are_named(tmp_path, changes, why):
    with pytest.raises(InputError, match=why) as caught:
        opened(write_npz(tmp_path / "a.npz", **changes))
    assert "a.npz" in str(caught.value)


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".hdf5"])
def test_a_file_that_is_not_what_its_name_says_is_told(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"junk")
    with pytest.raises(InputError, match="cannot be read as"):
        opened(path)


def test_a_folder_of_pointnets_h5_files_is_one_source(tmp_path):
    write_h5(tmp_path / "h5" / "ply_data_train0.h5")
    write_h5(tmp_path / "h5" / "ply_data_train1.h5", count=3)
    write_h5(tmp_path / "h5" / "ply_data_test0.h5", count=4)
    (tmp_path / "h5" / "shape_names.txt").write_text("bed\nchair\n")
    (tmp_path / "h5" / "train_files.txt").write_text("ply_data_train0.h5\n")
    source = opened(tmp_path / "h5")
    assert source.classes == ["bed", "chair"]
    assert sum(item.split == "train" for item in source.items) == 9
    assert len({item.name for item in source.items}) == 13


def test_one_h5_file_without_a_split_in_its_name_is_split(tmp_path):
    source = opened(write_h5(tmp_path / "objects.hdf5", label=np.zeros(6, np.int64)))
    assert sum(item.split == "test" for item in source.items) == 1


def test_h5_files_at_fault_are_named(tmp_path):
    with pytest.raises(InputError, match="no array 'data'"):
        opened(write_h5(tmp_path / "train.h5", data=None))
    write_h5(tmp_path / "mixed" / "train.h5")
    write_h5(tmp_path / "mixed" / "other.h5")
    with pytest.raises(InputError, match=r"other\.h5: neither 'train' nor 'test'"):
        opened(tmp_path / "mixed")
