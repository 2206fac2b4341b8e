"""Files of strangers are read in a process apart, whichever verb asks: here no reader of theirs is ever called."""

import io
import sys

import numpy as np
import pytest

from pointvae.data.inputs import read_input
from pointvae.data.inspection import inspect
from pointvae.data.prepare import prepare
from pointvae.errors import InputError
from tests.fuzz import seeds

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows reads in one process, and says so")


@pytest.fixture
def defended(monkeypatch):
    """A process in which every reader of foreign formats is a fault; its children have sound ones."""
    import h5py
    import laspy
    import pye57
    import trimesh

    def fault(*arguments, **options):
        raise AssertionError("a file of a stranger was read in the main process")

    for module, name in ((h5py, "File"), (laspy, "open"), (pye57, "E57"), (trimesh, "load_scene"), (np, "load")):
        monkeypatch.setattr(module, name, fault)
    monkeypatch.setattr("pointvae.data.meshes.read_plain", fault)
    monkeypatch.setattr("pointvae.data.readers.read_plain", fault)


def shapes(folder, kind):
    """A folder of files, or a file of shapes, of a kind."""
    made = {
        "glb": lambda: seeds.mesh_files("glb")[0],
        "off": lambda: seeds.QUADS,
        "las": lambda: seeds.of_scans(".las")[0],
        "laz": lambda: seeds.of_scans(".laz")[0],
        "e57": lambda: seeds.of_scans(".e57")[0],
        "h5": lambda: seeds.h5_files()[0],
        "npz": lambda: seeds.npz_files()[0],
    }[kind]()
    if kind in ("h5", "npz"):
        (folder / f"set.{kind}").write_bytes(made)
        return folder / f"set.{kind}"
    (folder / "set").mkdir()
    for name in "abc":
        (folder / "set" / f"{name}.{kind}").write_bytes(made)
    return folder / "set"


@pytest.mark.parametrize("kind", ["glb", "off", "las", "laz", "e57", "h5", "npz"])
def test_no_way_in_reads_a_file_in_the_main_process(tmp_path, kind, request):
    source = shapes(tmp_path, kind)
    request.getfixturevalue("defended")
    assert inspect(source)["shapes"] >= 3
    assert len(read_input(source, points=4)) >= 3
    prepare(source, tmp_path / "out", points=4, jobs=1, test_fraction=0)
    if source.is_dir():
        assert len(read_input(next(source.iterdir()), points=4)) == 1


def test_a_table_of_rows_that_ends_its_reader_is_refused_and_this_process_goes_on(tmp_path, monkeypatch):
    (tmp_path / "set.parquet").write_bytes(seeds.tables_of_rows("parquet")[0])
    kill = "import os, pyarrow.parquet as pq\npq.read_schema = lambda *a, **k: os.abort()\n"
    (tmp_path / "sitecustomize.py").write_text(kill)
    monkeypatch.syspath_prepend(str(tmp_path))
    from pointvae.data import isolation

    isolation._local.__dict__.clear()
    try:
        with pytest.raises(InputError, match=r"set\.parquet: crashed the reader \(abort\)"):
            inspect(tmp_path / "set.parquet")
    finally:
        isolation._local.__dict__.clear()


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (9, "link"),
        (10, "link|cannot be read"),
        (11, "other files"),
        (12, "other files"),
        (13, "memory"),
        (18, "not an array"),
    ],
)
def test_hdf5_reads_nothing_but_arrays_of_the_file_itself(tmp_path, number, why):
    seeds.write_secrets(tmp_path)
    (tmp_path / "set.h5").write_bytes(seeds.h5_files()[number])
    with pytest.raises(InputError, match=why) as told:
        inspect(tmp_path / "set.h5")
    assert "set.h5" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_header_of_a_tar_that_unpacks_to_gigabytes_is_refused(tmp_path):
    import gzip
    import tarfile

    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    with gzip.open(tmp_path / "set.tar.gz", "wb", compresslevel=1) as out:
        out.write(info.tobuf())
        out.write(bytes(8 << 20))
    with pytest.raises(InputError, match=r"set\.tar\.gz: the archive has a header of more than"):
        inspect(tmp_path / "set.tar.gz")


CANARY = b"cos\nmkdir\n(S'canary'\ntR."


def test_an_array_of_pickles_is_refused_and_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = io.BytesIO()
    np.save(out, np.zeros(3))
    data = out.getvalue().replace(b"'<f8'", b"'|O' ")[:128] + CANARY
    (tmp_path / "a.npy").write_bytes(data)
    np.savez(tmp_path / "b.npz", x=np.zeros(1))
    import zipfile

    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("points.npy", data)
    for name in ("a.npy", "b.npz"):
        with pytest.raises(InputError, match=rf"{name}.*Python objects.* never loaded"):
            read_input(tmp_path / name, points=2)
    assert not (tmp_path / "canary").exists()


def test_no_file_of_the_package_loads_a_pickle_of_strangers():
    """np.load and torch.load say no to objects; pickles are read where our own parent sent them, and nowhere else."""
    import re
    from pathlib import Path

    import pointvae

    root = Path(pointvae.__file__).parent
    for path in sorted(root.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        where = path.relative_to(root).as_posix()
        for call in re.findall(r"np\.load\((?:[^()]|\([^()]*\))*\)", text):
            assert "allow_pickle=False" in call, (where, call)
        for call in re.findall(r"torch\.load\((?:[^()]|\([^()]*\))*\)", text):
            assert "weights_only=True" in call, (where, call)
        loads = re.findall(
            r"\b(?:pickle|cloudpickle|joblib|dill|shelve|marshal|pd)\.(?:load|loads|open|read_pickle|Unpickler)\b",
            text,
        )
        assert loads == (["pickle.loads"] if where == "data/isolated.py" else []), where
        assert not re.findall(r"yaml\.(?:unsafe_load|full_load|UnsafeLoader|FullLoader|Loader\b)", text), where
        assert not re.findall(r"allow_pickle=True|weights_only=False|\bos\.system\(|shell=True", text), where
        assert not re.findall(r"(?<![\w.])(?:eval|exec)\(", text), where


@pytest.mark.parametrize(
    "layout",
    [
        None,
        {},
        [["data", "|O", [3]]],
        [["data", "<f4", [-1]]],
        [["data", "<f4", 3]],
        [["data", "<f4", [True]]],
        [["data", "<f4", [3.0]]],
        [[0, "<f4", [3]]],
        [["data", "<m8[s]", [3]]],
        [["data", [["x", "<f4"]], [3]]],
        [["data"]],
    ],
)
def test_arrays_that_a_reader_taken_over_announces_are_refused_unless_plain(layout):
    from pointvae.data.child import CrashError, _layouts

    with pytest.raises(CrashError):
        _layouts(layout, 1 << 20)


def test_more_arrays_than_the_memory_allows_are_not_waited_for():
    from pointvae.data.child import _layouts

    assert _layouts([["data", "<f4", [4, 3]]], 48)[0][2] == [4, 3]
    with pytest.raises(MemoryError):
        _layouts([["data", "<f4", [4, 3]], ["label", "|u1", [1]]], 48)
