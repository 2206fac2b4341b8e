import json
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointvae.data import columns, hub
from pointvae.data.columns import Rows, count_rows_points, load_row, open_rows
from pointvae.data.dataset import load_dataset
from pointvae.data.inputs import read_input
from pointvae.data.inspection import inspect
from pointvae.data.prepare import prepare
from pointvae.data.source import SourceOptions
from pointvae.data.sources import open_source
from pointvae.errors import InputError
from tests.data.files import child, folder_bytes, write_box

RNG = np.random.default_rng(0)
CLOUDS = RNG.normal(size=(12, 16, 3)).astype(np.float32)


def fixed(clouds):
    inner = pa.FixedSizeListArray.from_arrays(pa.array(clouds.reshape(-1)), clouds.shape[2])
    return pa.FixedSizeListArray.from_arrays(inner, clouds.shape[1])


def write(path, group=5, **held):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(held)
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=group)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table, max_chunksize=group)
    return path


def opened(path, **options):
    with open_source(path, SourceOptions(**options)) as source:
        return source


FORMS = {
    "nested lists": lambda: pa.array(CLOUDS.tolist(), pa.list_(pa.list_(pa.float32()))),
    "large lists": lambda: pa.array(CLOUDS.tolist(), pa.large_list(pa.large_list(pa.float64()))),
    "fixed-size lists": lambda: fixed(CLOUDS),
    "lists of fixed-size lists": lambda: pa.array(CLOUDS.tolist(), pa.list_(pa.list_(pa.float32(), 3))),
    "records": lambda: pa.array(
        [[dict(zip("xyz", point, strict=True)) for point in cloud] for cloud in CLOUDS.tolist()],
        pa.list_(pa.struct([(axis, pa.float32()) for axis in "xyz"])),
    ),
    "six columns": lambda: pa.array(np.concatenate([CLOUDS, -CLOUDS], axis=2).tolist()),
}


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_column_gives_the_same_clouds(tmp_path, suffix, form):
    write(tmp_path / "set" / f"train{suffix}", points=FORMS[form]())
    source = opened(tmp_path / "set", test_fraction=0)
    assert source.points == 16
    assert [item.name for item in source.items] == [f"train_{row:06d}" for row in range(12)]
    found = np.stack([item.load().vertices for item in source.items])
    np.testing.assert_array_equal(found.astype(np.float32), CLOUDS)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(1, 7), st.integers(0, 5))
def test_ragged_rows_are_found_in_any_row_group(sizes, group, front):
    clouds = [np.arange(3 * size, dtype=float).reshape(size, 3) + 100 * row for row, size in enumerate(sizes)]
    column = pa.array([cloud.tolist() for cloud in clouds], pa.list_(pa.list_(pa.float64())))
    with tempfile.TemporaryDirectory() as folder:
        cut = min(front, len(sizes))
        files = [
            write(Path(folder) / f"{part}.parquet", group, points=column[at])
            for part, at in enumerate((slice(0, cut), slice(cut, None)))
        ]
        rows = open_rows(files)
        assert len(rows) == len(sizes)
        assert count_rows_points(rows, "points").tolist() == sizes
        for row, cloud in enumerate(clouds):
            if len(cloud):
                np.testing.assert_array_equal(load_row(rows, "points", row).vertices, cloud)
            else:
                with pytest.raises(InputError, match="no points"):
                    load_row(rows, "points", row)


def test_a_row_group_is_read_once_for_neighbours_and_few_are_kept(tmp_path, monkeypatch):
    write(
        tmp_path / "set" / "train.parquet", group=3, points=FORMS["nested lists"](), id=pa.array(list("lkjihgfedcba"))
    )
    source = opened(tmp_path / "set", test_fraction=0)
    reads = []
    real = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, group, **kind: reads.append(group) or real(self, group, **kind)
    )
    columns._piece.cache_clear()
    assert [item.name for item in source.items] == list("lkjihgfedcba")
    for item in source.items:
        item.load()
    assert reads == [0, 1, 2, 3]
    assert columns._piece.cache_info().maxsize == 4


def test_ragged_clouds_are_thinned_to_the_points_asked_for(tmp_path):
    clouds = [RNG.normal(size=(20 + row, 3)).tolist() for row in range(6)]
    write(tmp_path / "set" / "train-0.parquet", pos=pa.array(clouds), label=pa.array([0, 1] * 3))
    with pytest.raises(InputError, match=r"mixed point counts: 6 of 6 .* 2048 \(the default\), train_000000 only 20"):
        prepare(tmp_path / "set", tmp_path / "out")
    prepare(tmp_path / "set", tmp_path / "out", points=20, test_fraction=0)
    assert load_dataset(tmp_path / "out")["train"].points.shape == (6, 20, 3)


SAVE = """
    import datasets, numpy as np, sys
    datasets.disable_progress_bars()
    form = datasets.Features({"cloud": datasets.Array2D((16, 3), "float32"), "uid": datasets.Value("string"),
                              "label": datasets.ClassLabel(names=["z", "a"])})
    clouds = np.load(sys.argv[1])
    def some(start, stop):
        rows = {"cloud": clouds[start:stop], "uid": [f"s{i}" for i in range(start, stop)],
                "label": [i % 2 for i in range(start, stop)]}
        return datasets.Dataset.from_dict(rows, features=form)
    sets = datasets.DatasetDict({"train": some(0, 6), "validation": some(6, 8), "test": some(8, 12)})
    sets.save_to_disk(sys.argv[2] + "/dict")
    sets["train"].select([4, 2, 0, 1, 3]).save_to_disk(sys.argv[2] + "/one")
    for name, part in sets.items():
        part.to_parquet(f"{sys.argv[2]}/parquet/data/{name}-00000-of-00001.parquet")
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """What the datasets library writes: a dictionary of splits, one split, Parquet files."""
    folder = tmp_path_factory.mktemp("saved")
    np.save(folder / "clouds.npy", CLOUDS)
    done = child(SAVE, folder / "clouds.npy", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("kind", ["dict", "parquet"])
def test_what_datasets_wrote_keeps_its_splits_names_and_classes(saved, tmp_path, kind):
    prepare(saved / kind, tmp_path / "a", normalize="none")
    prepare(saved / kind, tmp_path / "b", normalize="none", jobs=2)
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b")
    made = load_dataset(tmp_path / "a")
    assert made.splits == ["train", "validation", "test"]
    for split, (start, stop) in {"train": (0, 6), "validation": (6, 8), "test": (8, 12)}.items():
        np.testing.assert_array_equal(made[split].points, CLOUDS[start:stop])
        assert made[split].names == [f"s{row}" for row in range(start, stop)]
        assert made[split].labels.tolist() == [row % 2 for row in range(start, stop)]
    assert made.classes == ["z", "a"]
    assert prepare(saved / kind, tmp_path / "a", normalize="none")["already_prepared"]
    with pytest.raises(InputError, match="with --label_column label, not uid"):
        prepare(saved / kind, tmp_path / "a", normalize="none", label_column="uid")


def test_a_single_split_is_drawn_into_train_and_test(saved):
    source = opened(saved / "one", test_fraction=0.5)
    assert sorted(item.name for item in source.items) == ["s0", "s1", "s2", "s3", "s4"]
    assert {item.label for item in source.items if item.split == "test"} == {0, 1}
    assert source.options["test_fraction"] == 0.5
    for item in source.items:
        np.testing.assert_array_equal(item.load().vertices.astype(np.float32), CLOUDS[int(item.name[1:])])


def test_splits_of_a_column_labels_of_text_and_rows_without_one(tmp_path):
    kinds = ["cup", None, "bus", "cup", "", "bus", "cup", "bus", "cup", "bus", "cup", "bus"]
    parts = ["train"] * 6 + ["val"] * 2 + ["Test"] * 3 + ["spare"]
    write(tmp_path / "a.parquet", xyz=FORMS["nested lists"](), category=pa.array(kinds), split=pa.array(parts))
    source = opened(tmp_path / "a.parquet")
    assert source.classes == ["bus", "cup"]
    assert [(item.split, source.classes[item.label]) for item in source.items] == [
        *[("train", "cup"), ("train", "bus"), ("train", "cup"), ("train", "bus")],
        *[("validation", "cup"), ("validation", "bus")],
        *[("test", "cup"), ("test", "bus"), ("test", "cup")],
    ]
    assert source.skipped == [
        {"file": "split spare", "why": "none of train, validation, test: 1 rows"},
        {"file": "2 rows", "why": "have no category, the first is row 1"},
    ]


def test_meshes_in_a_column_are_sampled(tmp_path):
    meshes = [write_box(tmp_path / f"{row}.glb", (1, 2, 3 + row)).read_bytes() for row in range(4)]
    column = pa.array([{"bytes": data, "path": f"{row}.glb"} for row, data in enumerate(meshes)])
    write(tmp_path / "set" / "train.parquet", mesh=column, label=pa.array([0, 0, 1, 1]))
    prepare(tmp_path / "set", tmp_path / "a", points=64, normals=True)
    prepare(tmp_path / "set", tmp_path / "b", points=64, normals=True, jobs=2)
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b")
    made = load_dataset(tmp_path / "a")
    assert len(made["train"]) + len(made["test"]) == 4
    assert made["train"].normals is not None


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"points": pa.array([[1.0, 2, 3]])}, "column points is flat numbers, not clouds"),
        ({"a": pa.array([1])}, "no column holds clouds"),
        ({"a": pa.array([[[1.0, 2]]])}, "no column holds clouds"),
        ({"a": pa.array([[[1.0, 2, 3]]]), "b": pa.array([[[1.0, 2, 3]]])}, "choose with --points_column"),
    ],
)
def test_columns_that_are_no_clouds_or_may_all_be_are_refused(tmp_path, held, words):
    path = write(tmp_path / "a.parquet", **held)
    with pytest.raises(InputError, match=words):
        opened(path)


def test_a_column_is_chosen_by_name_and_a_wrong_name_told(tmp_path):
    path = write(tmp_path / "a.parquet", a=FORMS["records"](), b=pa.array((CLOUDS + 1).tolist()))
    chosen = opened(path, points_column="b", test_fraction=0)
    np.testing.assert_array_equal(chosen.items[0].load().vertices.astype(np.float32), CLOUDS[0] + 1)
    with pytest.raises(InputError, match=r"--points_column c: a\.parquet has no such column"):
        opened(path, points_column="c")
    with pytest.raises(InputError, match=r"--label_column b: is .*; it must be text or whole numbers"):
        opened(path, points_column="a", label_column="b")


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize("keep", [0, 40, 0.5])
def test_a_file_cut_short_is_told_in_one_line(tmp_path, suffix, keep):
    path = write(tmp_path / f"a{suffix}", points=fixed(CLOUDS))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(InputError, match="damaged") as error:
        opened(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("points", [fixed(CLOUDS), FORMS["nested lists"]()], ids=["fixed", "lists"])
def test_a_file_scrambled_in_its_middle_is_told_in_one_line(tmp_path, points):
    path = write(tmp_path / "a.parquet", group=12, points=points)
    data = bytearray(path.read_bytes())
    data[4:120] = bytes(116)
    path.write_bytes(data)
    columns._piece.cache_clear()
    with pytest.raises(InputError, match=r"a\.parquet: column points is damaged") as error:
        prepare(path, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_configurations_are_chosen_by_the_card_or_by_folders(tmp_path):
    for config, shift in (("small", 0), ("large", 1)):
        for split in ("train", "test"):
            write(tmp_path / config / f"{split}-0.parquet", points=fixed(CLOUDS + shift))
    with pytest.raises(InputError, match="several configurations, large, small"):
        opened(tmp_path)
    head = [{"config_name": "default", "data_files": [{"split": "train", "path": "small/*.parquet"}]}]
    (tmp_path / "README.md").write_text(f"---\nconfigs: {json.dumps(head)}\n---\n")
    assert len(opened(tmp_path, test_fraction=0).items) == 24


def test_a_dataset_folder_of_ours_stays_ours(saved, tmp_path):
    prepare(saved / "dict", tmp_path / "out")
    with pytest.raises(InputError, match="is a dataset folder already"):
        prepare(tmp_path / "out", tmp_path / "again")


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """The Hub's cache as it is after a download of one set at one commit, and no way to the Hub."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    commit = "c0ffee" + "0" * 34
    top = tmp_path / "cache" / "datasets--owner--name"
    write(top / "snapshots" / commit / "data" / "train-0.parquet", points=fixed(CLOUDS))
    write(top / "snapshots" / commit / "data" / "test-0.parquet", points=fixed(CLOUDS[:3]))
    (top / "refs").mkdir()
    (top / "refs" / "main").write_text(commit)
    return commit


def test_a_set_of_the_hub_is_prepared_by_name_and_its_commit_recorded(cached, tmp_path):
    made = prepare("hf://owner/name", tmp_path / "a", normalize="none")
    assert made["splits"]["train"]["shapes"] == 12
    facts = load_dataset(tmp_path / "a").card["pointvae"]
    assert facts["recipe"]["revision"] == cached
    assert facts["source"] == "hf://owner/name"
    assert read_input("hf://owner/name", points=8).points.shape == (15, 8, 3)
    assert inspect("hf://owner/name")["shapes"] == 15
    prepare(f"hf://owner/name@{cached}", tmp_path / "b", normalize="none", offline=True)
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b")


def test_without_a_connection_what_was_fetched_before_is_taken(cached, tmp_path, monkeypatch, caplog):
    import huggingface_hub

    real = huggingface_hub.snapshot_download

    def cut(*names, **options):
        if not options.get("local_files_only"):
            raise RuntimeError("Name or service\nnot known")
        return real(*names, **options)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cut)
    with caplog.at_level("INFO", logger="pointvae"):
        assert prepare("hf://owner/name", tmp_path / "a")["shapes"] == 15
    assert "cannot be reached (Name or service not known)" in caplog.text
    with pytest.raises(InputError, match=r"other: is not on this machine, and the Hub cannot be reached"):
        prepare("hf://owner/other", tmp_path / "b")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hf://owner/other", "is not on this machine"),
        ("hf://owner/name@v9", "is not on this machine"),
        ("hf://owner", "not of the form"),
        ("hf://owner/name:large", "has no configuration 'large'"),
    ],
)
def test_what_cannot_be_had_from_the_hub_is_told_in_one_line(cached, tmp_path, name, words):
    with pytest.raises(InputError, match=words) as error:
        prepare(name, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_set_without_parquet_is_taken_from_the_copy_that_the_hub_keeps(tmp_path, monkeypatch):
    write(tmp_path / "copy" / "default" / "train" / "0000.parquet", points=fixed(CLOUDS))
    (tmp_path / "none").mkdir()
    asked = []

    def fetch(name, revision, offline):
        asked.append(revision)
        return tmp_path / ("copy" if revision else "none")

    monkeypatch.setattr(hub, "fetch", fetch)
    assert len(hub.open_hub("hf://owner/name", SourceOptions(test_fraction=0)).items) == 12
    assert asked == [None, "refs/convert/parquet"]
    monkeypatch.setattr(hub, "fetch", lambda *_: tmp_path / "none")
    with pytest.raises(InputError, match="has no Parquet or Arrow files"):
        hub.open_hub("hf://owner/name", SourceOptions())


def test_rows_travel_small(tmp_path):
    path = write(tmp_path / "a.parquet", points=fixed(np.zeros((500, 64, 3), np.float32)))
    source = opened(path, test_fraction=0)
    assert len(pickle.dumps(source.items[:100])) < 20_000
    assert isinstance(source.items[0].load.args[0], Rows)
