import io
import stat
import tarfile
import tempfile
import zipfile

import pytest

from pointvae.data import archives
from pointvae.data.archives import Limits, copy_member, unpacked
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


SMALL = Limits(members=20, ratio=50.0, harmless=1 << 16)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize("member", ["bed/x.off", "bed/x.jpg"])
def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path, scratch, name, member):
    """In a .tar even what is not wanted counts, for all of it has to be decompressed."""
    zeros = b"0" * (4 << 20)
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, zeros)
    else:
        with tarfile.open(tmp_path / name, f"w:{name.rpartition('.')[2]}") as archive:
            info = tarfile.TarInfo(member)
            info.size = len(zeros)
            archive.addfile(info, io.BytesIO(zeros))
    if name.endswith(".zip") and member.endswith(".jpg"):
        with unpacked(tmp_path / name, (".off",), SMALL) as folder:
            assert list(folder.iterdir()) == []
        return
    with pytest.raises(InputError, match="made to fill disks"), unpacked(tmp_path / name, (".off",), SMALL):
        pass
    assert list(scratch.iterdir()) == []


def test_a_zip_whose_members_share_their_bytes_is_refused_before_any_is_written(tmp_path, scratch):
    """The bomb of Fifield, "A better zip bomb", WOOT 2019: every entry points at one compressed body."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x00.off", b"0" * (1 << 20))
        first = archive.infolist()[0]
        for number in range(1, 20):
            info = zipfile.ZipInfo(f"x{number:02d}.off")
            for field in ("compress_type", "CRC", "compress_size", "file_size", "header_offset", "flag_bits"):
                setattr(info, field, getattr(first, field))
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
    with pytest.raises(InputError, match="made to fill disks"), unpacked(tmp_path / "a.zip", (".off",), SMALL):
        pass
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_an_archive_with_too_many_members_is_refused(tmp_path, scratch, name):
    root = tmp_path / "root"
    for number in range(21):
        (root / "bed").mkdir(parents=True, exist_ok=True)
        (root / "bed" / f"{number}.off").write_text(TRIANGLE)
    pack(root, tmp_path / name, "")
    with pytest.raises(InputError, match="more than 20 members"), unpacked(tmp_path / name, (".off",), SMALL):
        pass
    assert list(scratch.iterdir()) == []


def test_the_limits_let_the_archives_of_the_field_pass():
    """ModelNet40.zip: 2 GB and 12,431 members; ShapeNetCore v2: some 26 GB and half a million, 5 times as large."""
    limits = archives.LIMITS
    assert limits.members >= 10 * 500_000
    assert limits.ratio >= 10 * 5


def test_an_encrypted_member_is_told(tmp_path, scratch):
    root = write_classes(tmp_path / "root", {"bed": 3})
    path = pack(root, tmp_path / "a.zip", "")
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(mark, at + 4)
    path.write_bytes(data)
    with pytest.raises(InputError, match="is encrypted; unpack it yourself"):
        prepare(path, tmp_path / "out")
    assert list(scratch.iterdir()) == []


def test_no_more_bytes_are_written_than_the_header_says(tmp_path):
    copy_member(tmp_path, io.BytesIO(b"1234"), tmp_path / "a", 4)
    assert (tmp_path / "a").read_bytes() == b"1234"
    with pytest.raises(InputError, match="longer than its header says"):
        copy_member(tmp_path, io.BytesIO(b"12345"), tmp_path / "b", 4)
    assert (tmp_path / "b").stat().st_size <= 4
