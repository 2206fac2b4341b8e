"""From the exact layout of each release to shapes, classes and splits."""

import hashlib

import numpy as np
import pytest

from pointvae.data.dataset import load_dataset
from pointvae.data.named.layouts import SCANNED
from pointvae.data.named.registry import SETS
from pointvae.data.named.release import open_release
from pointvae.data.prepare import prepare
from pointvae.data.source import SourceOptions
from pointvae.data.sources import open_source
from pointvae.errors import InputError
from tests.data.named.releases import RELEASES, SPLIT_CSV, pack, unpack

MODELNET = {"train": 6, "test": 4}
EXPECTED = {
    "modelnet10": (["bed", "chair"], MODELNET),
    "modelnet40": (["bed", "chair"], MODELNET),
    "modelnet40_hdf5_2048": (["airplane", "bathtub"], {"train": 8, "test": 4}),
    "modelnet40_normal_resampled": (["bed", "night_stand"], {"train": 3, "test": 2}),
    "shapenetpart": (["Airplane", "Bag"], {"train": 6, "validation": 2, "test": 4}),
    "shapenetcore_v1": (["airplane", "watercraft"], {"train": 8, "test": 2}),
    "shapenetcore_v2": (["airplane", "watercraft"], {"train": 8, "test": 2}),
    "scanobjectnn_obj_only": (list(SCANNED), {"train": 6, "test": 4}),
    "scanobjectnn_obj_bg": (list(SCANNED), {"train": 5, "test": 3}),
    "scanobjectnn_pb_t25": (list(SCANNED), {"train": 6, "test": 3}),
    "scanobjectnn_pb_t25_r": (list(SCANNED), {"train": 7, "test": 3}),
    "scanobjectnn_pb_t50_r": (list(SCANNED), {"train": 8, "test": 3}),
    "scanobjectnn_pb_t50_rs": (list(SCANNED), {"train": 9, "test": 3}),
}


@pytest.fixture
def given(tmp_path, released):
    """The archive of a set, whose checksum is taken for the published one."""

    def make(name):
        path = pack(RELEASES[name](), tmp_path / "given" / SETS[name].archive.file)
        if not SETS[name].steps:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            released(name, sha256=sha256, md5=None, bytes=None)
        return path

    return make


def test_every_set_has_a_release_to_be_tested_with():
    assert set(SETS) == set(RELEASES) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_layout_of_a_release_gives_its_classes_and_its_own_split(name, given):
    classes, splits = EXPECTED[name]
    with open_source(name, SourceOptions(from_archive=given(name))) as source:
        assert (source.name, source.classes, source.up) == (name, classes, SETS[name].up)
        counts = {split: sum(item.split == split for item in source.items) for split in splits}
        assert counts == splits
        assert len(source.items) == sum(splits.values())
        assert len({item.name for item in source.items}) == len(source.items)
        assert source.licence == SETS[name].licence
        for item in source.items:
            assert item.load().vertices.shape[1] == 3


@pytest.mark.parametrize("name", ["modelnet40", "modelnet40_normal_resampled", "shapenetcore_v2"])
def test_the_label_of_a_shape_is_the_class_that_its_name_says(name, given):
    words = {"02691156": "airplane", "04530566": "watercraft"}
    with open_source(name, SourceOptions(from_archive=given(name))) as source:
        for item in source.items:
            folder = item.name.split("/")[0]
            assert source.classes[item.label] == words.get(folder, folder)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_plan_does_not_depend_on_where_and_how_the_release_lies(name, given, tmp_path):
    archive = given(name)
    folder = unpack(RELEASES[name](), tmp_path / "elsewhere")
    inner = next(path for path in folder.iterdir() if not path.name.startswith("__"))
    plans = []
    for place in (archive, folder, inner):
        with open_source(name, SourceOptions(from_archive=place)) as source:
            plans.append((source.fingerprint, [(item.name, item.split, item.label) for item in source.items]))
    assert plans[0] == plans[1] == plans[2]


def test_a_release_given_by_name_has_the_points_of_its_folder_prepared_by_hand(given, tmp_path):
    prepare("modelnet40", tmp_path / "named", points=32, from_archive=given("modelnet40"))
    prepare(unpack(RELEASES["modelnet40"](), tmp_path / "hand") / "ModelNet40", tmp_path / "byhand", points=32)
    for split in ("train", "test"):
        one, two = load_dataset(tmp_path / "named")[split], load_dataset(tmp_path / "byhand")[split]
        assert one.names == two.names
        np.testing.assert_array_equal(one.points, two.points)


def test_shapes_that_are_y_up_are_turned_unless_the_user_says_z(given, tmp_path):
    path = given("shapenetcore_v2")
    found = {}
    for up in (None, "y", "z"):
        summary = prepare("shapenetcore_v2", tmp_path / str(up), points=32, up=up, from_archive=path)
        found[up] = load_dataset(tmp_path / str(up))["train"].points
        assert summary["source_up"] == (up or "y")
    np.testing.assert_array_equal(found[None], found["y"])
    assert (found["y"] != found["z"]).any()


def test_processes_read_shapes_out_of_the_archive_itself(given, tmp_path):
    path = given("modelnet40")
    prepare("modelnet40", tmp_path / "one", points=32, from_archive=path)
    prepare("modelnet40", tmp_path / "two", points=32, from_archive=path, jobs=2)
    np.testing.assert_array_equal(
        load_dataset(tmp_path / "one")["train"].points, load_dataset(tmp_path / "two")["train"].points
    )


def test_nothing_of_a_zip_is_unpacked_before_it_is_its_turn(given, scratch):
    with open_release(given("modelnet40")) as release:
        assert len(release) == 11  # ten meshes and the README
        assert [path for path in scratch.rglob("*") if path.is_file()] == []
        member = release["ModelNet40/bed/train/bed_0001.off"]
        with member.file() as path:
            assert path.read_bytes() == RELEASES["modelnet40"]()["ModelNet40/bed/train/bed_0001.off"]
            assert len(list(scratch.rglob("*.off"))) == 1


def test_a_reader_that_is_killed_leaves_no_copy_behind_once_the_plan_is_closed(given, scratch):
    with open_release(given("modelnet40")) as release:
        copy = release["ModelNet40/bed/train/bed_0001.off"].file()
        path = copy.__enter__()  # and never left, as by a process that is gone
        assert path.exists()
    assert not path.exists()


@pytest.mark.parametrize("beside", [True, False])
def test_the_official_split_of_shapenetcore_is_used_wherever_the_list_lies(beside, tmp_path):
    files = RELEASES["shapenetcore_v2"]()
    if not beside:
        files["ShapeNetCore.v2/all.csv"] = SPLIT_CSV.encode()
    path = pack(files, tmp_path / "ShapeNetCore.v2.zip")
    if beside:
        (tmp_path / "all.csv").write_text(SPLIT_CSV)
    with open_source("shapenetcore_v2", SourceOptions(from_archive=path)) as source:
        assert [item.split for item in source.items].count("train") == 4
        assert [item.split for item in source.items].count("validation") == 2
        assert [item.split for item in source.items].count("test") == 2
        assert [row["why"] for row in source.skipped] == ["is not in the official split, all.csv"] * 2
        assert not any("drawn" in note for note in source.origin["notes"])
        assert source.options == {}


def test_a_split_that_had_to_be_drawn_is_told(tmp_path):
    path = pack(RELEASES["shapenetcore_v1"](), tmp_path / "v1.zip")
    with open_source("shapenetcore_v1", SourceOptions(from_archive=path, test_fraction=0.4)) as source:
        assert [item.split for item in source.items].count("test") == 4
        assert any("drawn by the seed" in note for note in source.origin["notes"])
        assert source.options == {"test_fraction": 0.4}


def test_a_folder_with_one_zip_for_each_category_is_read_as_it_is(tmp_path):
    files = RELEASES["shapenetcore_v2"]()
    folder = tmp_path / "hub"
    for synset in ("02691156", "04530566"):
        own = {name.removeprefix("ShapeNetCore.v2/"): data for name, data in files.items() if synset in name}
        pack(own, folder / f"{synset}.zip")
    (folder / "all.csv").write_text(SPLIT_CSV)
    with open_source("shapenetcore_v2", SourceOptions(from_archive=folder)) as source:
        assert source.classes == ["airplane", "watercraft"]
        assert len(source.items) == 8
        assert {path.name for path in folder.iterdir()} == {"02691156.zip", "04530566.zip", "all.csv"}


def test_archives_within_the_archive_must_come_out_first(tmp_path):
    inner = pack(RELEASES["shapenetcore_v1"](), tmp_path / "02691156.zip").read_bytes()
    path = pack({"ShapeNetCore.v1/02691156.zip": inner}, tmp_path / "ShapeNetCore.v1.zip")
    with (
        pytest.raises(InputError, match=r"holds further \.zip archives; unpack it once"),
        open_source("shapenetcore_v1", SourceOptions(from_archive=path)),
    ):
        pass


def test_a_shape_that_is_listed_and_absent_is_left_out_by_name(given):
    with open_source(
        "modelnet40_normal_resampled", SourceOptions(from_archive=given("modelnet40_normal_resampled"))
    ) as s:
        assert s.skipped == [
            {"file": "bed/bed_0004.txt", "why": "is in the list of the split, but not in the archive"}
        ]


def test_fewer_shapes_than_the_release_has_are_told(given):
    with open_source("modelnet40", SourceOptions(from_archive=given("modelnet40"))) as source:
        assert "train: 6 shapes, the release has 9,843" in source.origin["notes"]
        assert "2 of the release's 40 classes" in source.origin["notes"]


def test_clouds_with_too_few_points_are_told_before_any_is_prepared(given, tmp_path):
    with pytest.raises(InputError, match=r"fewer points than 2048 .*use --points 40"):
        prepare("shapenetpart", tmp_path / "out", from_archive=given("shapenetpart"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "files", "told"),
    [
        ("modelnet40", {"a/b.txt": b"1 2 3"}, "laid out as CLASS/train/NAME.off; is this ModelNet40.zip"),
        ("modelnet40", {"a/x/train/1.off": b"1", "b/x/train/1.off": b"1"}, "more than once, in a/ and in b/"),
        ("modelnet10", {f"c{n}/train/1.off": b"1" for n in range(11)}, "has 11 classes, modelnet10 has 10"),
        ("modelnet40_hdf5_2048", {"ply_data_train0.h5": b"1"}, "shape_names.txt is missing"),
        ("modelnet40_normal_resampled", {"modelnet40_shape_names.txt": b"x"}, "modelnet40_train.txt is missing"),
        (
            "shapenetpart",
            {"synsetoffset2category.txt": b"A\t1", "train_test_split/shuffled_train_file_list.json": b"{"},
            "is damaged",
        ),
        ("shapenetcore_v2", {"02691156/a/model.obj": b"1"}, "laid out as 02691156/MODEL/models/model_normalized.obj"),
        ("shapenetcore_v1", {"02691156/a/model.obj": b"1", "all.csv": b"a,b\n1,2\n"}, "no columns synsetId"),
        ("scanobjectnn_pb_t25", {"main_split/test_objectdataset.h5": b"1"}, "main_split/training_objectdataset_aug"),
    ],
)
def test_a_folder_that_is_not_the_release_is_refused(name, files, told, tmp_path):
    with (
        pytest.raises(InputError, match=told),
        open_source(name, SourceOptions(from_archive=unpack(files, tmp_path / "folder"))),
    ):
        pass
