"""Files and folders appear whole or not at all."""

import errno
import subprocess
import sys

import pytest

from pointvae import writing
from pointvae.errors import InputError
from pointvae.writing import sole_writer, whole_file, whole_folder


def fail_within(place, write):
    with place as temporary:
        write(temporary)
        _ = 1 / 0


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        fail_within(whole_file(path), lambda temporary: temporary.write_text("half"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_finished_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("empty_there", [False, True])
def test_a_folder_appears_when_it_is_full(tmp_path, empty_there):
    path = tmp_path / "out"
    if empty_there:
        path.mkdir()
    with whole_folder(path) as temporary:
        (temporary / "a").write_text("a")
        assert not path.exists() or not list(path.iterdir())
    assert [p.name for p in path.iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_no_folder(tmp_path):
    with pytest.raises(ZeroDivisionError):
        fail_within(whole_folder(tmp_path / "out"), lambda temporary: (temporary / "a").write_text("a"))
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_never_replaced(tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(InputError, match="exists already"), whole_folder(tmp_path):
        pass
    assert (tmp_path / "precious").exists()


def test_a_folder_is_no_file_and_a_file_holds_nothing(tmp_path):
    with pytest.raises(InputError, match="is a folder; give the name of a file"), whole_file(tmp_path):
        pass
    (tmp_path / "a").write_text("x")
    with pytest.raises(InputError, match="lies beneath a file"), whole_file(tmp_path / "a" / "b"):
        pass
    with pytest.raises(InputError, match="exists already"), whole_folder(tmp_path / "a"):
        pass


def test_a_folder_has_one_writer_at_a_time_and_is_free_again_after_it(tmp_path):
    with sole_writer(tmp_path):
        with pytest.raises(InputError, match="another process is writing into it"), sole_writer(tmp_path):
            pytest.fail("two writers")
        with sole_writer(make(tmp_path / "other")):
            pass
    with sole_writer(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == ["other"]


def make(folder):
    folder.mkdir()
    return folder


def test_a_writer_that_is_killed_leaves_the_folder_free(tmp_path):
    code = "import sys, time\nfrom pathlib import Path\nfrom pointvae.writing import sole_writer\n"
    code += "with sole_writer(Path(sys.argv[1])):\n    print('in', flush=True)\n    time.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        with pytest.raises(InputError), sole_writer(tmp_path):
            pytest.fail("two writers")
        other.kill()
    with sole_writer(tmp_path):
        pass


def test_a_file_system_without_locks_is_no_hindrance(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(writing.fcntl, "flock", refuse)
    with sole_writer(tmp_path):
        pass
    monkeypatch.setattr(writing, "fcntl", None)
    with sole_writer(tmp_path):
        pass
