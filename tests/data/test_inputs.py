import logging

import numpy as np
import pytest

from pointvae.data.dataset import load_dataset
from pointvae.data.inputs import read_input
from pointvae.data.prepare import prepare
from pointvae.errors import InputError
from tests.data.files import unit, write_box, write_classes, write_npz


@pytest.fixture
def boxes(tmp_path):
    return write_classes(tmp_path / "boxes", {"bed/train": 3, "bed/test": 1, "chair/train": 2, "chair/test": 1})


def test_one_mesh_is_one_cloud(tmp_path):
    shapes = read_input(write_box(tmp_path / "box.glb"), points=64, up="y")
    assert shapes.points.shape == (1, 64, 3)
    assert shapes.points.dtype == np.float32
    assert shapes.names == ["box.glb"]
    assert shapes.labels is None
    assert unit(shapes.points[0]) == pytest.approx(1)
    extents = np.ptp(read_input(tmp_path / "box.glb", points=2048, up="y", normalize="none").points[0], axis=0)
    np.testing.assert_allclose(extents, [1, 3, 2], rtol=0.02)


def test_one_cloud_is_thinned_by_the_seed(tmp_path):
    np.save(tmp_path / "c.npy", np.random.default_rng(0).normal(size=(50, 3)))
    first, again, other = (read_input(tmp_path / "c.npy", points=20, seed=seed).points for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert read_input(tmp_path / "c.npy", points=None).points.shape == (1, 50, 3)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("one.xyz", "1 2 3\n", "1 points, fewer than the 20"),
        ("few.xyz", "1 2 3\n4 5 6\n", r"2 points, fewer than the 20 asked for; use --points 2"),
        ("same.xyz", "1 2 3\n" * 20, "all points coincide"),
        ("nan.xyz", "nan 2 3\n" * 20, "20 of 20 vertices are NaN"),
        ("empty.off", "", "the file is empty"),
        ("bare.off", "OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n", "no faces"),
        ("flat.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n", "zero area"),
    ],
)
def test_a_single_file_at_fault_is_an_error_that_names_it(tmp_path, name, text, why):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=why) as caught:
        read_input(tmp_path / name, points=20)
    assert name in str(caught.value)


def test_a_folder_keeps_its_classes_and_tells_what_it_left_out(boxes, caplog):
    (boxes / "bed" / "train" / "shape_01.off").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        shapes = read_input(boxes, points=32)
    assert shapes.points.shape == (6, 32, 3)
    assert [shapes.classes[label] for label in shapes.labels] == ["bed"] * 2 + ["chair"] * 2 + ["bed", "chair"]
    assert "left out bed/train/shape_01.off: the file is empty" in caplog.text
    assert read_input(boxes, points=32, split="test").names == ["bed/test/shape_00.off", "chair/test/shape_00.off"]
    with pytest.raises(InputError, match="no split 'validation'; it has train, test"):
        read_input(boxes, points=32, split="validation")


def test_a_folder_of_which_nothing_can_be_used_is_an_error(tmp_path):
    (tmp_path / "a.off").write_bytes(b"")
    with pytest.raises(InputError, match=r"no shape can be used \(1 left out\); a.off: the file is empty"):
        read_input(tmp_path, points=8)
    with pytest.raises(InputError, match="no such file or folder"):
        read_input(tmp_path / "absent", points=8)


def test_raw_files_give_the_clouds_that_prepare_gives(boxes, tmp_path):
    prepare(boxes, tmp_path / "set", points=64, up="y", seed=3)
    dataset = load_dataset(tmp_path / "set")
    raw = read_input(boxes, points=64, up="y", seed=3)
    read = read_input(tmp_path / "set", points=64)
    np.testing.assert_array_equal(raw.points, np.concatenate([dataset["train"].points, dataset["test"].points]))
    np.testing.assert_array_equal(read.points, raw.points)
    assert read.names == raw.names
    np.testing.assert_array_equal(read.labels, raw.labels)


def test_one_class_with_one_member_needs_no_split(tmp_path):
    write_classes(tmp_path / "boxes", {"bed": 1, "chair": 2})
    assert len(read_input(tmp_path / "boxes", points=16)) == 3


def test_a_dataset_folder_is_thinned_and_normalised_as_asked(tmp_path):
    prepare(write_npz(tmp_path / "a.npz"), tmp_path / "set", normalize="none")
    stored = load_dataset(tmp_path / "set")["test"].points
    shapes = read_input(tmp_path / "set", points=8, normalize="none", split="test")
    assert shapes.points.shape == (4, 8, 3)
    for cloud, whole in zip(shapes.points, stored, strict=True):
        assert {tuple(point) for point in cloud} <= {tuple(point) for point in whole}
    normalised = read_input(tmp_path / "set", points=8, split="test")
    assert [unit(cloud) for cloud in normalised.points] == pytest.approx([1] * 4, abs=1e-6)
    assert normalised.points.dtype == np.float32
    assert read_input(tmp_path / "set", points=None).points.shape == (10, 16, 3)


def test_normals_of_a_dataset_follow_their_points(boxes, tmp_path):
    prepare(boxes, tmp_path / "set", points=64, normals=True, normalize="none")
    shapes = read_input(tmp_path / "set", points=16, normalize="none", split="train")
    on_side = np.einsum("ni,ni->n", shapes.normals[0], shapes.points[0])
    np.testing.assert_allclose(on_side, np.abs(shapes.normals[0]) @ [0.5, 1.0, 1.5], atol=1e-5)


def test_more_points_than_a_dataset_holds_and_another_up_axis_are_refused(tmp_path):
    prepare(write_npz(tmp_path / "a.npz"), tmp_path / "set")
    with pytest.raises(InputError, match="its clouds hold 16 points, fewer than the 32 asked for; use --points 16"):
        read_input(tmp_path / "set", points=32)
    with pytest.raises(InputError, match="z up already; leave out --up y"):
        read_input(tmp_path / "set", points=16, up="y")
    with pytest.raises(InputError, match="--points 1: must be 2 or more"):
        read_input(tmp_path / "set", points=1)


def test_mixed_point_counts_in_a_folder_are_told(tmp_path):
    for count in (10, 20):
        np.save(tmp_path / f"c{count}.npy", np.random.default_rng(0).normal(size=(count, 3)))
    with pytest.raises(InputError, match=r"1 of 2 shapes hold fewer points than 20, c10\.npy only 10"):
        read_input(tmp_path, points=20)


def test_arrays_are_read_as_they_are(tmp_path):
    shapes = read_input(write_npz(tmp_path / "a.npz"), points=16, normalize="none")
    assert shapes.points.shape == (10, 16, 3)
    assert shapes.classes == ["bed", "chair"]
