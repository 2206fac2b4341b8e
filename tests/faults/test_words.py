"""What is said of a fault, without the fault: the quick part of what `test_machine` does with real ones."""

import errno
import io
import sys
from pathlib import Path

import pytest

import soak
from pointvae import InputError, load_dataset, prepare
from pointvae.streams import forgiving_stderr
from pointvae.training import loading
from pointvae.training.loading import training_shapes
from pointvae.writing import whole_file, whole_folder
from tests.data.files import write_npz
from tests.faults import kills, summary
from tests.faults.kills import ROOT


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EROFS])
@pytest.mark.parametrize("place", [whole_file, whole_folder])
def test_a_fault_without_a_name_gets_that_of_the_file_that_was_asked_for(tmp_path, place, number):
    with pytest.raises(OSError, match=r"codes\.npz") as caught, place(tmp_path / "codes.npz"):
        raise OSError(number, "the system's words")
    assert caught.value.errno == number and caught.value.filename == str(tmp_path / "codes.npz")
    assert not list(tmp_path.iterdir())


def test_a_fault_of_the_temporary_file_names_the_one_that_was_asked_for(tmp_path):
    with pytest.raises(PermissionError) as caught, whole_file(tmp_path / "a.txt") as temporary:
        raise PermissionError(errno.EACCES, "Permission denied", str(temporary))
    assert caught.value.filename == str(tmp_path / "a.txt")


def test_a_fault_of_a_file_that_is_read_meanwhile_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "a.txt"):
        (tmp_path / "source.off").read_text()
    assert str(caught.value.filename).endswith("source.off")


class Gone(io.StringIO):
    def write(self, text):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    def flush(self):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_words_for_people_are_lost_where_nobody_listens(monkeypatch):
    gone = Gone()
    monkeypatch.setattr(sys, "stderr", gone)
    with forgiving_stderr():
        assert sys.stderr.write("epoch 1") == 7
        sys.stderr.flush()
        assert sys.stderr.encoding == gone.encoding
    assert sys.stderr is gone


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("words")
    prepare(write_npz(root / "a.npz"), root / "set")
    return root / "set"


def test_too_little_memory_is_told_with_what_it_takes_and_what_would_do(folder, monkeypatch):
    def short(*_):
        raise MemoryError

    monkeypatch.setattr("pointvae.data.dataset.ShapeDataset.__getitem__", short)
    with pytest.raises(InputError, match=r"takes 0\.00 GiB .* are free; pass --loading stream"):
        training_shapes(load_dataset(folder), "memory", "1")


def test_a_limit_of_the_address_space_counts_as_what_is_free(monkeypatch):
    resource = pytest.importorskip("resource")
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        pytest.skip("this system does not tell how much a process holds")
    held = int(statm.read_text().split()[0]) * resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (held + 2**20, resource.RLIM_INFINITY))
    left = loading.available_memory()
    assert left is not None and abs(left - 2**20) < 2**20


def test_the_figures_of_the_page_are_made_from_their_rows():
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    assert kills.table() in page
    assert soak.sentence() in page
    assert summary.table() in page


def test_the_summary_counts_what_the_rows_say(tmp_path):
    (tmp_path / "faults.csv").write_text("verb,kills_tried,kills_survived\ntrain,4,4\ntrain,1000,999\nembed,5,5\n")
    fuzz = ["reader,inputs,accepted,refused,contained,findings_open", "off,9,2,4,1,2", "obj,3,1,2,0,0"]
    (tmp_path / "fuzz.csv").write_text("\n".join([*fuzz, "off (guided),7,3,4,0,0\n"]))
    lines = summary.table(tmp_path).split("\n")
    assert lines[2:6] == [
        "| kill -9 of `train` | 1,004 kills | 1,003 | – | – | 1 |",
        "| kill -9 of `embed` | 5 kills | 5 | – | – | 0 |",
        "| mutated files, 2 readers | 12 files | 3 | 6 | 1 | 2 |",
        "| guided files, 1 plain readers | 7 files, 4 left | 3 | – | – | 0 |",
    ]
    assert lines[6:] == summary.table().split("\n")[-1:]  # the soak is that of results/


@pytest.mark.parametrize(
    ("name", "rise", "told"),
    [
        ("rss_mib", 1.0, "memory"),
        ("open_files", 1, "open_files"),
        ("threads", 1, "threads"),
        ("children", 1, "children"),
    ],
)
def test_a_soak_sees_what_grows_with_every_round_and_nothing_else(name, rise, told):
    flat = {"rss_mib": 800.0, "open_files": 10, "threads": 7, "children": 3}
    rows = [dict(flat) for _ in range(100)]
    assert soak.faults(rows) == []
    grown = [{**row, name: row[name] + rise * number} for number, row in enumerate(rows)]
    assert len(soak.faults(grown)) == 1 and told in soak.faults(grown)[0]
