import io
import stat
import tarfile
import tempfile
import zipfile

import pytest

from pointvae.data.dataset import load_dataset
from pointvae.data.prepare import prepare
from pointvae.errors import InputError
from tests.data.files import TRIANGLE, write_classes


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary folders go, to see that none stays."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def pack(root, path, top):
    files = [
        (f"{top}{file.relative_to(root).as_posix()}", file) for file in sorted(root.rglob("*")) if file.is_file()
    ]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, file in files:
                archive.write(file, name)
    else:
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
            for name, file in files:
                archive.add(file, name)
    return path


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.tgz"])
@pytest.mark.parametrize("top", ["", "Set/"])
def test_an_archive_gives_the_points_of_its_folder(tmp_path, scratch, name, top):
    root = write_classes(tmp_path / "root", {"bed": 3, "chair": 4})
    (root / "bed" / "texture.png").write_bytes(b"1")
    prepare(root, tmp_path / "a", points=32)
    prepare(pack(root, tmp_path / name, top), tmp_path / "b", points=32)
    for split in ("train", "test"):
        one, two = load_dataset(tmp_path / "a")[split], load_dataset(tmp_path / "b")[split]
        assert one.names == two.names
        assert (one.points == two.points).all()
    assert list(scratch.iterdir()) == []


def hostile_tar(path, name="x.off", kind=tarfile.REGTYPE, link=""):
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        info.size = len(TRIANGLE) if kind == tarfile.REGTYPE else 0
        archive.addfile(info, io.BytesIO(TRIANGLE.encode()))


@pytest.mark.parametrize("name", ["../evil.off", "bed/../../evil.off", "/evil.off", "C:/evil.off", "..\\evil.off"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_member_that_climbs_out_is_refused(tmp_path, scratch, name, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, TRIANGLE)
    else:
        hostile_tar(path, name)
    with pytest.raises(InputError, match="outside the archive's folder"):
        prepare(path, tmp_path / "out")
    assert list(scratch.iterdir()) == []
    assert not list(tmp_path.rglob("evil.off"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, scratch, kind):
    hostile_tar(tmp_path / "a.tar", "bed/x.off", kind, "/etc/hostname")
    with pytest.raises(InputError, match="link or a device"):
        prepare(tmp_path / "a.tar", tmp_path / "out")


def test_a_link_in_a_zip_is_refused(tmp_path, scratch):
    info = zipfile.ZipInfo("bed/x.off")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/hostname")
    with pytest.raises(InputError, match="link or a device"):
        prepare(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tgz", "a.tar"])
def test_a_damaged_archive_is_told(tmp_path, scratch, name):
    root = write_classes(tmp_path / "root", {"bed": 30})
    whole = pack(root, tmp_path / f"whole.{name.split('.', 1)[1]}", "")
    (tmp_path / name).write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    for path in (tmp_path / name, tmp_path / f"junk-{name}"):
        if not path.exists():
            path.write_bytes(b"junk" * 300)
        with pytest.raises(InputError, match="cannot be unpacked"):
            prepare(path, tmp_path / "out")
    assert list(scratch.iterdir()) == []


def test_an_archive_without_shapes_says_so(tmp_path, scratch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.md", "none")
    with pytest.raises(InputError, match=r"a\.zip: no shapes"):
        prepare(tmp_path / "a.zip", tmp_path / "out")


def test_an_archive_too_large_for_the_disk_is_refused(tmp_path, scratch, monkeypatch):
    root = write_classes(tmp_path / "root", {"bed": 3})
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    for name in ("a.zip", "a.tar"):
        with pytest.raises(InputError, match="TMPDIR"):
            prepare(pack(root, tmp_path / name, ""), tmp_path / "out")
