import json

import numpy as np
import pytest

from pointvae.data.dataset import load_dataset
from pointvae.data.prepare import prepare
from pointvae.engines import open_engine
from pointvae.errors import InputError
from tests.data.files import TRIANGLE, child, folder_bytes, heavy_modules, unit, write_box, write_classes, write_npz


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """Two classes of boxes with a split of their own, y up: the third size is that along z."""
    layout = {"bed/train": 7, "bed/test": 3, "chair/train": 6, "chair/test": 2}
    return write_classes(tmp_path_factory.mktemp("boxes"), layout)


def test_a_folder_becomes_a_dataset_of_normalised_clouds(boxes, tmp_path):
    summary = prepare(boxes, tmp_path / "out", points=64, licence="CC-BY-4.0")
    assert summary["shapes"] == 18
    assert summary["splits"]["train"] == {"shapes": 13, "classes": {"bed": 7, "chair": 6}}
    assert summary["skipped"] == []
    json.dumps(summary)
    dataset = load_dataset(tmp_path / "out")
    assert dataset.splits == ["train", "test"]
    assert dataset.card["license"] == "cc-by-4.0"
    train = dataset["train"]
    assert train.points.shape == (13, 64, 3)
    assert train.names[7] == "chair/train/shape_00.off"
    assert train.labels.tolist() == [0] * 7 + [1] * 6
    for cloud in train.points:
        np.testing.assert_allclose(cloud.mean(axis=0), 0, atol=1e-6)
        assert unit(cloud) == pytest.approx(1, abs=1e-6)


def test_a_shape_does_not_depend_on_which_others_are_there(boxes, tmp_path):
    write_box(tmp_path / "few" / "bed" / "train" / "shape_03.off", (1.0, 2.0, 6.0))
    prepare(boxes, tmp_path / "many-out", points=32)
    prepare(tmp_path / "few", tmp_path / "few-out", points=32, shard_size=1)
    one = load_dataset(tmp_path / "few-out")["train"]
    many = load_dataset(tmp_path / "many-out")["train"]
    np.testing.assert_array_equal(one.points[0], many.points[many.names.index(one.names[0])])


def test_y_up_sources_are_stored_z_up(boxes, tmp_path):
    prepare(boxes, tmp_path / "out", points=512, up="y", normalize="none")
    extents = np.ptp(load_dataset(tmp_path / "out")["train"].points[0], axis=0)
    np.testing.assert_allclose(extents, [1, 3, 2], rtol=0.05)


def test_normals_are_stored_beside_the_points(boxes, tmp_path):
    prepare(boxes, tmp_path / "out", points=32, normals=True, normalize="none")
    train = load_dataset(tmp_path / "out")["train"]
    np.testing.assert_allclose(np.linalg.norm(train.normals, axis=-1), 1, atol=1e-6)
    half = np.array([0.5, 1.0, 1.5])
    on_side = np.einsum("ni,ni->n", train.normals[0], train.points[0])
    np.testing.assert_allclose(on_side, np.abs(train.normals[0]) @ half, atol=1e-5)


def test_broken_files_are_left_out_and_listed_and_move_no_other(boxes, tmp_path):
    root = write_classes(tmp_path / "root", {"bed/train": 6, "bed/test": 2})
    prepare(root, tmp_path / "good", points=32, shard_size=4)
    (root / "bed" / "train" / "shape_02.off").write_text(TRIANGLE.replace("1 0 0", "nan 0 0"))
    (root / "bed" / "train" / "shape_05.off").write_text("OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n")
    summary = prepare(root, tmp_path / "out", points=32, shard_size=4)
    assert [row["file"] for row in summary["skipped"]] == ["bed/train/shape_02.off", "bed/train/shape_05.off"]
    assert "1 of 3 vertices are NaN" in summary["skipped"][0]["why"]
    assert "no faces" in summary["skipped"][1]["why"]
    assert "| bed/train/shape_05.off | the mesh has no faces" in (tmp_path / "out" / "README.md").read_text()
    good, out = load_dataset(tmp_path / "good")["train"], load_dataset(tmp_path / "out")["train"]
    assert out.names == [name for name in good.names if name not in {row["file"] for row in summary["skipped"]}]
    np.testing.assert_array_equal(out.points, good.points[[0, 1, 3, 4]])


def test_strict_fails_at_a_broken_file_and_leaves_nothing(tmp_path):
    root = write_classes(tmp_path / "root", {"bed/train": 4, "bed/test": 2})
    (root / "bed" / "train" / "shape_03.off").write_bytes(b"")
    with pytest.raises(InputError, match=r"bed/train/shape_03\.off: the file is empty .--strict"):
        prepare(root, tmp_path / "out", points=32, shard_size=1, strict=True)
    assert not (tmp_path / "out").exists()
    prepare(root, tmp_path / "out", points=32)
    with pytest.raises(InputError, match="--strict"):
        prepare(root, tmp_path / "out", points=32, strict=True)


def test_where_nothing_can_be_used_the_first_reason_is_told_and_nothing_is_left(tmp_path):
    (tmp_path / "root" / "bed").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / "root" / "bed" / f"{name}.xyz").write_text("1 2 3\n")
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"no shape can be used \(2 left out\); bed/.\.xyz: the cloud holds"):
        prepare(tmp_path / "root", tmp_path / "out", points=2)
    assert list((tmp_path / "out").iterdir()) == []


def test_mixed_point_counts_are_told_with_the_smallest_and_the_mend(tmp_path):
    for name, count in (("a", 50), ("b", 20), ("c", 30), ("d", 1)):
        (tmp_path / "root" / "bed").mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "root" / "bed" / f"{name}.npy", np.random.default_rng(0).normal(size=(count, 3)))
    with pytest.raises(
        InputError, match=r"2 of 4 shapes hold fewer points than 40, bed/b\.npy only 20; use --points 20"
    ):
        prepare(tmp_path / "root", tmp_path / "out", points=40)
    assert not (tmp_path / "out").exists()
    summary = prepare(tmp_path / "root", tmp_path / "out", points=20)
    assert summary["shapes"] == 3
    assert "bed/d.npy" in summary["skipped"][0]["file"]


def test_arrays_with_mixed_point_counts_are_told_too(tmp_path):
    path = write_npz(tmp_path / "a.npz", test_points=np.random.default_rng(0).normal(size=(4, 8, 3)))
    with pytest.raises(InputError, match=r"4 of 10 shapes hold fewer points than 16 .the largest.*--points 8"):
        prepare(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_arrays_keep_all_their_points_and_lose_shapes_with_nan(tmp_path):
    points = np.random.default_rng(0).normal(size=(6, 16, 3)).astype(np.float16)
    points[4, 3, 1] = np.nan
    summary = prepare(write_npz(tmp_path / "a.npz", train_points=points), tmp_path / "out", normalize="none")
    assert summary["points"] == 16
    assert summary["skipped"] == [{"file": "train_4", "why": "1 of 16 vertices are NaN or infinite"}]
    np.testing.assert_array_equal(load_dataset(tmp_path / "out")["train"].points, points[[0, 1, 2, 3, 5]])


def test_more_points_than_asked_for_are_thinned_by_the_seed(tmp_path):
    path = write_npz(tmp_path / "a.npz")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare(path, tmp_path / name, points=8, seed=seed, normalize="none")
    one, two, other = (load_dataset(tmp_path / name)["train"].points for name in "abc")
    assert one.shape == (6, 8, 3)
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_coordinates_too_large_for_float16_are_told(tmp_path):
    path = write_npz(tmp_path / "a.npz", train_points=np.random.default_rng(0).normal(size=(6, 16, 3)) * 1e6)
    summary = prepare(path, tmp_path / "out", dtype="float16", normalize="none")
    assert len(summary["skipped"]) == 6
    assert "too large for float16" in summary["skipped"][0]["why"]
    assert load_dataset(tmp_path / "out").splits == ["test"]


def test_procedural_shapes_carry_their_factors_and_their_own_seed(tmp_path):
    prepare("procedural", tmp_path / "a", points=32, shapes_per_class=3)
    prepare("procedural", tmp_path / "b", points=32, shapes_per_class=4)
    few, many = load_dataset(tmp_path / "a"), load_dataset(tmp_path / "b")
    assert len(few.classes) >= 10
    assert all(few["train"].factors)
    points = {
        name: cloud
        for split in many.splits
        for name, cloud in zip(many[split].names, many[split].points, strict=True)
    }
    for name, cloud in zip(few["train"].names, few["train"].points, strict=True):
        np.testing.assert_array_equal(cloud, points[name])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"up": "x"}, "--up x: not one of y, z"),
        ({"normalize": "ball"}, "--normalize ball: not one of"),
        ({"dtype": "int8"}, "--dtype int8"),
        ({"points": 1}, "--points 1: must be 2 or more"),
        ({"seed": -1}, "--seed -1"),
        ({"jobs": 0}, "--jobs 0"),
        ({"test_fraction": 1.0}, "--test_fraction 1.0"),
        ({"shard_size": 0}, "--shard_size 0"),
        ({"shapes_per_class": 0}, "--shapes_per_class 0"),
    ],
)
def test_options_at_fault_are_named(boxes, tmp_path, options, why):
    with pytest.raises(InputError, match=why):
        prepare(boxes, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else_is_left_alone(boxes, tmp_path):
    (tmp_path / "mine.txt").write_text("thesis")
    with pytest.raises(InputError, match=r"holds mine.txt and is not a dataset folder"):
        prepare(boxes, tmp_path)
    with pytest.raises(InputError, match="is a file"):
        prepare(boxes, tmp_path / "mine.txt")
    assert folder_bytes(tmp_path).keys() == {"mine.txt"}


def test_a_dataset_is_no_source_and_arrays_have_no_normals(boxes, tmp_path):
    prepare(boxes, tmp_path / "out", points=16)
    with pytest.raises(InputError, match="is a dataset folder already"):
        prepare(tmp_path / "out", tmp_path / "again")
    with pytest.raises(InputError, match="no faces to take normals from"):
        prepare(write_npz(tmp_path / "a.npz"), tmp_path / "arrays", normals=True)


def test_what_was_left_out_is_shown_as_it_happens_and_only_if_asked(tmp_path, capsys):
    root = write_classes(tmp_path / "root", {"bed/train": 3})
    (root / "bed" / "train" / "shape_01.off").write_bytes(b"")
    prepare(root, tmp_path / "quiet", points=16)
    assert capsys.readouterr() == ("", "")
    prepare(root, tmp_path / "told", points=16, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "left out bed/train/shape_01.off: the file is empty" in err.splitlines()


def test_workers_never_import_torch():
    with open_engine("local", 2) as engine:
        assert sorted(engine.run([heavy_modules, heavy_modules])) == [(0, []), (1, [])]
    done = child("import pointvae.data.building, pointvae.data.prepare, sys; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


def test_the_real_furniture_is_prepared_whole(real_data, tmp_path):
    summary = prepare(real_data / "furniture", tmp_path / "out", up="y", points=128, strict=True)
    assert summary["shapes"] == 159
    assert len(summary["classes"]) == 8
