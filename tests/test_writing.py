"""Files and folders appear whole or not at all."""

import errno
import os
import signal
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


WRITER = """
import sys, time
from pathlib import Path
from pointvae.writing import whole_file, whole_folder
with globals()[sys.argv[1]](Path(sys.argv[2])) as temporary:
    target = temporary / "part" if temporary.is_dir() else temporary
    target.write_text("theirs")
    print(temporary, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def writer():
    """Starts a process that has begun to write, and goes on once it is sent a line."""
    started = []

    def start(how, path):
        command = [sys.executable, "-c", WRITER, how.__name__, path]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, text=True, **pipes)
        started.append(process)
        return process, path.with_name(process.stdout.readline().strip().rsplit("/", 1)[-1])

    yield start
    for process in started:
        process.kill()
        process.communicate()


sweeps = pytest.mark.skipif(sys.platform == "win32", reason="nothing is swept on Windows")


def write(how, path):
    with how(path) as temporary:
        (temporary / "part" if how is whole_folder else temporary).write_text("ours")


@sweeps
@pytest.mark.parametrize("how", [whole_file, whole_folder])
def test_what_a_killed_writer_left_is_removed_by_the_next_one_of_the_same_name(tmp_path, writer, how):
    process, left = writer(how, tmp_path / "out")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left.exists()
    write(how, tmp_path / "another")
    assert left.exists()
    write(how, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["another", "out"]


@sweeps
def test_what_a_writer_that_lives_has_begun_stays_and_is_finished(tmp_path, writer):
    process, begun = writer(whole_file, tmp_path / "out")
    write(whole_file, tmp_path / "out")
    assert begun.read_text() == "theirs" and (tmp_path / "out").read_text() == "ours"
    process.communicate("go on\n")
    assert process.returncode == 0 and (tmp_path / "out").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.fixture
def nobody():
    """The number of a process that lived."""
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return int(done.stdout)


@sweeps
def test_nothing_is_removed_but_what_a_dead_process_of_this_machine_left_of_this_file(tmp_path, nobody, monkeypatch):
    swept = writing._temporary(tmp_path / "a.txt", nobody)
    others = [
        writing._temporary(tmp_path / "b.txt", nobody),
        writing._temporary(tmp_path / "a_txt", nobody),
        writing._temporary(tmp_path / "a.txt", 1),  # lives, and is another user's or this very container's
        writing._temporary(tmp_path / "a.txt", f"0{nobody}"),
        writing._temporary(tmp_path / "a.txt", 10**12),
        writing._temporary(tmp_path / "a.txt", f"{nobody}.tmp.{nobody}"),
        tmp_path / f".a.txt.{nobody}.tmp",
        tmp_path / f"a.txt.{nobody}.tmp",
        swept.with_name(swept.name + "~"),
        swept.with_name("x" + swept.name),
    ]
    with monkeypatch.context() as patch:
        writing._machine.cache_clear()
        patch.setattr(writing.platform, "node", lambda: "another-machine")
        others.append(writing._temporary(tmp_path / "a.txt", nobody))
    writing._machine.cache_clear()
    for path in (swept, *others):
        path.write_text("kept")
    write(whole_file, tmp_path / "a.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(p.name for p in (tmp_path / "a.txt", *others))


@sweeps
def test_a_link_that_stands_in_the_way_is_removed_and_not_what_it_leads_to(tmp_path, nobody):
    kept = make(tmp_path / "kept")
    (kept / "precious").write_text("x")
    for how in (whole_file, whole_folder):
        link = writing._temporary(tmp_path / how.__name__, nobody)
        link.symlink_to(kept)
        write(how, tmp_path / how.__name__)
        assert not os.path.lexists(link) and (kept / "precious").exists()


def test_a_process_that_may_not_be_asked_counts_as_one_that_lives(monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(writing.os, "kill", refuse)
    assert writing._lives(17)


def test_a_store_is_not_swept(tmp_path, monkeypatch):
    pytest.importorskip("upath")
    monkeypatch.setattr(writing, "_sweep", lambda path: pytest.fail(f"swept {path}"))
    with whole_file("memory://swept/a.txt") as temporary:
        temporary.write_text("ours")
