import csv
import gzip
import json
import random
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointvae.data.dataset import load_dataset
from pointvae.data.metadata import assign, sorted_classes
from pointvae.data.prepare import prepare
from pointvae.data.source import SourceOptions
from pointvae.data.sources import open_source
from pointvae.data.tables import read_table
from pointvae.errors import InputError
from tests.data.files import folder_bytes, write_box

KINDS = ["chair", "chair", "lamp", "lamp", "lamp", "chair"]
PARTS = ["train", "test", "training", "val", "test", "train"]
UIDS = [f"{number:032x}" for number in range(6)]


def write_shapes(root, uids=UIDS, suffix=".glb"):
    for index, uid in enumerate(uids):
        write_box(root / "glbs" / f"000-00{index % 2}" / f"{uid}{suffix}", (1, 2, 3 + index))
    return root


def write_table(path, records):
    if path.name.endswith((".csv", ".tsv")):
        with path.open("w", newline="", encoding="utf-8") as stream:
            rows = csv.DictWriter(stream, list(records[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            rows.writeheader()
            rows.writerows(records)
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(record) for record in records))
    elif path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(records), path)
    elif path.name.endswith(".gz"):
        path.write_bytes(gzip.compress(json.dumps(records).encode()))
    else:
        path.write_text(json.dumps(records))


def opened(path, **options):
    with open_source(path, SourceOptions(**options)) as source:
        return source


def told(source):
    return {item.name.split("/")[-1].split(".")[0]: (source.classes[item.label], item.split) for item in source.items}


EVERY = ["metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.json", "metadata.json.gz", "metadata.parquet"]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("key", ["uid", "file_name"])
def test_every_kind_of_table_gives_classes_and_splits(tmp_path, name, key):
    write_shapes(tmp_path / "set")
    records = [
        {"note": "x", key: uid if key == "uid" else f"{uid}.glb", "category": kind, "split": part}
        for uid, kind, part in zip(UIDS, KINDS, PARTS, strict=True)
    ]
    random.Random(0).shuffle(records)
    write_table(tmp_path / "set" / name, records)
    source = opened(tmp_path / "set")
    words = {"training": "train", "val": "validation"}
    assert told(source) == {
        uid: (kind, words.get(part, part)) for uid, kind, part in zip(UIDS, KINDS, PARTS, strict=True)
    }
    assert source.classes == ["chair", "lamp"]
    assert source.skipped == []
    assert {key: source.options[key] for key in ("file_column", "label_column", "split_column")} == {
        "file_column": key,
        "label_column": "category",
        "split_column": "split",
    }


def test_objaverse_as_it_lies_on_disk_is_labelled_by_lvis(tmp_path):
    root = write_shapes(tmp_path / "hf-objaverse-v1")
    lvis = {"teacup": [*UIDS[:3], "f" * 32], "boat": UIDS[3:5]}
    (root / "lvis-annotations.json.gz").write_bytes(gzip.compress(json.dumps(lvis).encode()))
    (root / "object-paths.json.gz").write_bytes(gzip.compress(b"{}"))
    source = opened(root, test_fraction=0)
    assert told(source) == {uid: ("teacup" if uid in UIDS[:3] else "boat", "train") for uid in UIDS[:5]}
    assert source.skipped == [
        {
            "file": "lvis-annotations.json.gz",
            "why": f"1 of its 6 rows name no file that is here, first '{'f' * 32}'",
        },
        {"file": f"glbs/000-001/{UIDS[5]}.glb", "why": "lvis-annotations.json.gz has no row for it"},
    ]


def test_the_records_of_objaverse_give_any_column_that_is_asked_for(tmp_path):
    root = write_shapes(tmp_path / "set")
    (root / "lvis-annotations.json.gz").write_bytes(gzip.compress(json.dumps({"a": UIDS}).encode()))
    (root / "metadata").mkdir()
    for part in (0, 1):
        records = {
            uid: {"uri": "https://x", f"only{part}": "by", "categories": [{"name": kind}, {"name": "more"}]}
            for uid, kind in list(zip(UIDS, KINDS, strict=True))[part::2]
        }
        path = root / "metadata" / f"000-00{part}.json.gz"
        path.write_bytes(gzip.compress(json.dumps(records).encode()))
    assert opened(root).classes == ["a"]
    source = opened(root, label_column="categories", test_fraction=0)
    assert {uid: kind for uid, (kind, _) in told(source).items()} == dict(zip(UIDS, KINDS, strict=True))
    assert len(source.options["table"]["sha256"]) == 2
    with pytest.raises(InputError, match=r"--label_column categorys: .*no such column .*did you mean 'categories'"):
        opened(root, label_column="categorys")


@pytest.mark.parametrize(
    ("value", "file"),
    [
        ("glbs/000-000/a.glb", "glbs/000-000/a.glb"),
        ("./glbs/000-000/a.glb", "glbs/000-000/a.glb"),
        ("elsewhere\\000-000\\a.glb", "glbs/000-000/a.glb"),
        ("glbs/000-000/a", "glbs/000-000/a.glb"),
        ("a.glb", "glbs/000-000/a.glb"),
        ("a", "glbs/000-000/a.glb"),
        (7, "7/model.obj"),
        ("8", "8/model.obj"),
        ("model", None),
        ("model.obj", None),
        ("000-000", None),
        ("", None),
    ],
)
def test_a_file_is_named_by_path_name_stem_or_its_own_folder(value, file, tmp_path):
    files = ["glbs/000-000/a.glb", "glbs/000-000/b.glb", "7/model.obj", "8/model.obj", "c.obj"]
    records = [{"uid": value, "label": "x"}, {"uid": "c", "label": "y"}]
    write_table(tmp_path / "metadata.json", records)
    found = assign(read_table("metadata.json", (tmp_path / "metadata.json",)), files, None, None)
    assert dict(zip(found.files, found.classes, strict=True)) == ({file: "x"} if file else {}) | {"c.obj": "y"}


def test_rows_that_contradict_each_other_or_say_nothing_leave_their_file_out(tmp_path):
    root = write_shapes(tmp_path / "set")
    rows = [(UIDS[0], "a", "train"), (UIDS[0], "a", "train"), (UIDS[1], "a", "train"), (UIDS[1], "b", "train")]
    rows += [(UIDS[2], "", "train"), (UIDS[3], "b", "extra"), (UIDS[4], "b", "Test"), (UIDS[5], "a", "TRAIN")]
    write_table(root / "metadata.csv", [dict(zip(("uid", "class", "split"), row, strict=True)) for row in rows])
    source = opened(root)
    assert told(source) == {UIDS[0]: ("a", "train"), UIDS[4]: ("b", "test"), UIDS[5]: ("a", "train")}
    assert [row["why"] for row in source.skipped] == [
        "metadata.csv has no class for it",
        "metadata.csv has several rows for it, which differ",
        "metadata.csv gives its split as 'extra', which is none of train, validation, test",
    ]


def test_many_files_without_a_row_are_counted_and_not_all_listed(tmp_path):
    write_table(tmp_path / "metadata.json", [{"uid": "f0000", "label": "x"}])
    files = [f"f{number:04d}.glb" for number in range(500)]
    found = assign(read_table("metadata.json", (tmp_path / "metadata.json",)), files, None, None)
    assert len(found.skipped) == 101
    assert found.skipped[-1] == {"file": "399 more files", "why": "metadata.json has no row for them"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n3,4\n", "no column names the files"),
        ("", "has no rows"),
        ("uid,label\n", "no column names the files"),
    ],
)
def test_a_table_that_says_nothing_of_the_files_is_refused(tmp_path, content, words):
    root = write_shapes(tmp_path / "set")
    (root / "metadata.csv").write_text(content)
    with pytest.raises(InputError, match=words) as error:
        opened(root)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", EVERY)
def test_a_damaged_table_is_told_in_one_line(tmp_path, name):
    root = write_shapes(tmp_path / "set")
    (root / name).write_bytes(b'\x1f\x8b{"a": "\xff\xfe\n\n')
    with pytest.raises(InputError) as error:
        opened(root)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_two_tables_or_a_column_without_a_table_are_refused(tmp_path):
    root = write_shapes(tmp_path / "set")
    with pytest.raises(InputError, match=r"--label_column kind: .* has no table"):
        opened(root, label_column="kind")
    write_table(root / "metadata.csv", [{"uid": UIDS[0]}])
    write_table(root / "metadata.json", [{"uid": UIDS[0]}])
    with pytest.raises(InputError, match=r"both metadata\.csv and metadata\.json"):
        opened(root)


def test_without_classes_shapes_are_unlabelled_and_the_log_says_so(tmp_path, caplog):
    root = write_shapes(tmp_path / "set")
    write_table(root / "metadata.csv", [{"uid": uid, "colour": "red"} for uid in UIDS])
    with caplog.at_level("INFO", logger="pointvae"):
        source = opened(root)
    assert source.classes == []
    assert "no column of classes (it has uid, colour); choose one with --label_column" in caplog.text
    assert opened(root, label_column="colour").classes == ["red"]


def test_folders_train_and_test_split_where_the_table_does_not(tmp_path):
    for index, part in enumerate(["train", "train", "val", "test"]):
        write_box(tmp_path / "set" / part / f"{index}.glb")
    write_table(tmp_path / "set" / "metadata.csv", [{"id": index, "label": index % 2} for index in range(4)])
    assert told(opened(tmp_path / "set")) == {
        "0": ("0", "train"),
        "1": ("1", "train"),
        "2": ("0", "validation"),
        "3": ("1", "test"),
    }


def test_records_of_several_files_keep_their_rows_where_they_lack_columns(tmp_path):
    write_table(tmp_path / "a.json", [{"uid": "1", "x": 1}, {"uid": "2"}, {"uid": "3", "y": 3}])
    write_table(tmp_path / "b.json", [{"uid": "4", "z": 4}, {"uid": "5", "x": 5}])
    assert read_table("both", (tmp_path / "a.json", tmp_path / "b.json")).columns == {
        "uid": ["1", "2", "3", "4", "5"],
        "x": [1, None, None, None, 5],
        "y": [None, None, 3, None, None],
        "z": [None, None, None, 4, None],
    }


@given(st.lists(st.integers(-50, 50), min_size=1))
def test_classes_that_are_numbers_are_in_the_order_of_numbers(numbers):
    assert [int(name) for name in sorted_classes(map(str, numbers))] == sorted(set(numbers))
    assert sorted_classes([*map(str, numbers), "x"]) == sorted({*map(str, numbers), "x"})


def test_the_same_bytes_with_any_number_of_processes_and_from_an_archive(tmp_path):
    root = write_shapes(tmp_path / "set")
    write_table(root / "metadata.csv", [{"uid": uid, "label": kind} for uid, kind in zip(UIDS, KINDS, strict=True)])
    prepare(root, tmp_path / "a", points=32)
    prepare(root, tmp_path / "b", points=32, jobs=2)
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b")
    assert load_dataset(tmp_path / "a").classes == ["chair", "lamp"]
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in sorted(root.rglob("*.*")):
            archive.write(file, f"top/{file.relative_to(root)}")
        archive.writestr("notes.txt", "none")
    prepare(tmp_path / "set.zip", tmp_path / "c", points=32)
    one, two = (load_dataset(tmp_path / name)["train"] for name in "ac")
    assert one.names == two.names
    assert (one.points == two.points).all()


def test_another_table_or_column_does_not_go_on_in_the_same_dataset(tmp_path):
    root = write_shapes(tmp_path / "set")
    rows = [{"uid": uid, "label": kind, "other": kind} for uid, kind in zip(UIDS, KINDS, strict=True)]
    write_table(root / "metadata.csv", rows)
    prepare(root, tmp_path / "a", points=32)
    assert prepare(root, tmp_path / "a", points=32)["already_prepared"]
    with pytest.raises(InputError, match="with --label_column label, not other"):
        prepare(root, tmp_path / "a", points=32, label_column="other")
    write_table(root / "metadata.csv", [{**row, "label": "x"} for row in rows])
    with pytest.raises(InputError, match="was prepared with another table of classes"):
        prepare(root, tmp_path / "a", points=32)
