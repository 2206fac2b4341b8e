import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointvae.data.folders import arrange, list_shapes
from pointvae.data.source import SourceOptions, draw_split
from pointvae.data.sources import open_source
from pointvae.errors import InputError
from tests.data.files import write_box, write_classes


def opened(path, **options):
    with open_source(path, SourceOptions(**options)) as source:
        return source


def told(path, **options):
    source = opened(path, **options)
    return {
        (item.name, None if item.label is None else source.classes[item.label], item.split) for item in source.items
    }


def test_classes_with_train_and_test_inside(tmp_path):
    write_classes(tmp_path, {"bed/train": 1, "bed/test": 1, "chair/train": 1, "chair/val": 1})
    assert told(tmp_path) == {
        ("bed/train/shape_00.off", "bed", "train"),
        ("bed/test/shape_00.off", "bed", "test"),
        ("chair/train/shape_00.off", "chair", "train"),
        ("chair/val/shape_00.off", "chair", "validation"),
    }


def test_train_and_test_with_classes_inside(tmp_path):
    write_classes(tmp_path, {"train/bed": 1, "test/bed": 1})
    assert told(tmp_path) == {
        ("train/bed/shape_00.off", "bed", "train"),
        ("test/bed/shape_00.off", "bed", "test"),
    }


def test_a_class_that_is_called_train_is_a_class_among_others(tmp_path):
    write_classes(tmp_path, {"train": 2, "airplane": 2})
    assert opened(tmp_path).classes == ["airplane", "train"]


def test_folders_deep_beneath_a_class_belong_to_it(tmp_path):
    write_classes(tmp_path, {f"chair/{model}/models": 1 for model in "abcd"})
    write_classes(tmp_path, {f"sofa/{model}/models": 1 for model in "ab"})
    source = opened(tmp_path)
    assert source.classes == ["chair", "sofa"]
    assert [sum(item.label == label for item in source.items) for label in (0, 1)] == [4, 2]


def test_a_folder_without_classes_is_unlabelled(tmp_path):
    write_classes(tmp_path, {".": 5})
    assert {(label, split) for _, label, split in told(tmp_path)} == {(None, "train"), (None, "test")}


def test_a_folder_around_classes_with_splits_is_stepped_into(tmp_path):
    write_classes(tmp_path, {"Set/bed/train": 1, "Set/chair/test": 1, "Set/chair/train": 1})
    assert opened(tmp_path).classes == ["bed", "chair"]
    assert ("bed/train/shape_00.off", "bed", "train") in told(tmp_path)


def test_one_class_with_splits_is_not_mistaken_for_a_wrapper(tmp_path):
    write_classes(tmp_path, {"bed/train": 1, "bed/test": 1})
    assert opened(tmp_path).classes == ["bed"]


def test_hidden_files_and_other_suffixes_are_passed_over(tmp_path):
    write_classes(tmp_path, {"bed": 2, "chair": 2, "chair/.hidden": 1, "__MACOSX/bed": 1})
    (tmp_path / "bed" / "._shape_00.off").write_bytes(b"junk")
    (tmp_path / "bed" / "notes.md").write_text("none")
    write_box(tmp_path / "bed" / "LOUD.OFF", kind="off")
    assert len(list_shapes(tmp_path)) == 5


def test_files_outside_the_classes_are_listed_as_left_out(tmp_path):
    write_classes(tmp_path, {"bed/train": 1, "bed/test": 1, "bed": 1, ".": 1})
    (tmp_path / "readme.txt").write_text("none")
    source = opened(tmp_path)
    assert len(source.items) == 2
    assert [row["file"] for row in source.skipped] == ["bed/shape_00.off", "shape_00.off"]


def test_a_folder_without_shapes_says_what_is_read(tmp_path):
    (tmp_path / "bed").mkdir()
    (tmp_path / "bed" / "a.dwg").write_bytes(b"1")
    with pytest.raises(InputError, match=r"no shapes in this folder; suffixes that are read: \.off, \.obj"):
        opened(tmp_path)


def test_classes_split_and_unsplit_together_are_refused(tmp_path):
    write_classes(tmp_path, {"bed/train": 1, "bed/test": 1, "chair": 3})
    with pytest.raises(InputError, match="class bed has train/ and test/ folders, class chair has not"):
        opened(tmp_path)


def test_a_class_with_one_member_cannot_be_split(tmp_path):
    write_classes(tmp_path, {"bed": 3, "chair": 1})
    with pytest.raises(InputError, match=r"class 'chair' has one shape \(chair/shape_00.off\)") as caught:
        opened(tmp_path)
    assert "--test_fraction 0" in str(caught.value)
    assert {item.split for item in opened(tmp_path, test_fraction=0).items} == {"train"}


def test_neither_a_name_nor_a_path_is_told_with_the_names_there_are(tmp_path):
    with pytest.raises(InputError, match=r"no such file or folder, nor a named set .*procedural"):
        opened(tmp_path / "absent")
    write_box(tmp_path / "one.off")
    with pytest.raises(InputError, match="single shape"):
        opened(tmp_path / "one.off")
    (tmp_path / "a.rar").write_bytes(b"1")
    with pytest.raises(InputError, match="not a source that can be read"):
        opened(tmp_path / "a.rar")


@given(st.integers(0, 99), st.lists(st.integers(0, 2), min_size=1, max_size=60), st.floats(0.05, 0.9))
def test_the_split_is_stratified_and_knows_no_order(seed, labels, fraction):
    labels = [*labels, 0, 1, 2, 0, 1, 2]
    names = [f"{index:03d}" for index in range(len(labels))]
    options = SourceOptions(seed=seed, test_fraction=fraction)
    splits = dict(zip(names, draw_split(names, labels, "abc", options), strict=True))
    order = list(range(len(names)))
    random.Random(seed).shuffle(order)
    shuffled = draw_split([names[i] for i in order], [labels[i] for i in order], "abc", options)
    assert dict(zip([names[i] for i in order], shuffled, strict=True)) == splits
    for label in range(3):
        mine = [splits[name] for name, other in zip(names, labels, strict=True) if other == label]
        assert 1 <= mine.count("test") < len(mine)
        assert abs(mine.count("test") - fraction * len(mine)) <= 1


def test_another_seed_gives_another_split():
    names = [f"{index}" for index in range(100)]
    first, second = (draw_split(names, None, [], SourceOptions(seed=seed)) for seed in (0, 1))
    assert first != second


def test_adding_a_shape_moves_few_others_between_the_splits():
    names = [f"{index}" for index in range(100)]
    before = dict(zip(names, draw_split(names, None, [], SourceOptions()), strict=True))
    after = dict(zip([*names, "new"], draw_split([*names, "new"], None, [], SourceOptions()), strict=True))
    assert sum(before[name] != after[name] for name in names) <= 1


def test_a_file_whose_name_is_not_utf8_is_left_out_and_spelt(tmp_path):
    write_classes(tmp_path, {"bed": 2})
    odd = os.fsencode(tmp_path / "bed") + b"/st\xfchl.off"
    with open(odd, "w") as file:
        file.write("OFF\n")
    source = opened(tmp_path)
    assert len(source.items) == 2
    assert source.skipped == [{"file": r"bed/st\udcfchl.off", "why": "its name is not UTF-8; rename it"}]


def test_loose_text_files_are_no_shapes_where_there_are_classes():
    entries, skipped = arrange("s", ["bed/a.txt", "bed/b.txt", "train_files.txt"])
    assert [entry.name for entry in entries] == ["bed/a.txt", "bed/b.txt"]
    assert skipped == []
