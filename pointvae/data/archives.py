"""Archives of shapes, unpacked into a folder that is removed afterwards; nothing is ever written outside it."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pointvae.errors import InputError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    IndexError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    OverflowError,
    MemoryError,
)
"""What the standard library raises for archives that are cut short, scrambled, locked or packed in a way it lacks."""


@dataclass(frozen=True)
class Limits:
    """Beyond what an archive is taken for one that was made to fill a disk.

    Attributes:
        members: files and folders in it.
        ratio: bytes unpacked for each byte packed; deflate reaches 1,032, meshes and clouds 3 to 20.
        harmless: bytes unpacked up to which the ratio is not asked.
    """

    members: int = 5_000_000
    ratio: float = 200.0
    harmless: int = 1 << 30

    def check(self, path: Path, members: int, size: int) -> None:
        """Refuse an archive by how many members it has and how many bytes they unpack to."""
        if members > self.members:
            raise InputError(
                f"{path}: has more than {self.members:,} members; if it is sound, unpack it and give the folder"
            )
        if size > max(self.harmless, self.ratio * path.stat().st_size):
            raise InputError(
                f"{path}: would unpack to {size / 1e9:.1f} GB or more, over {self.ratio:g} times its size, as do "
                "archives that are made to fill disks; if it is sound, unpack it and give the folder"
            )


LIMITS = Limits()

LONGEST_HEADER = 4 << 20
"""Bytes that the headers of one member of a .tar may take: names and attributes."""


def is_archive(path: Path) -> bool:
    """Whether the name of a file ends as an archive's does."""
    return path.name.lower().endswith(ARCHIVES)


@contextlib.contextmanager
def unpacked(
    path: Path, suffixes: Iterable[str], limits: Limits = LIMITS, room: Path | None = None
) -> Iterator[Path]:
    """A temporary folder with the archive's files of the given suffixes, valid inside the ``with`` block.

    Args:
        path: the archive.
        suffixes: the ends of the names of the files that are wanted.
        limits: beyond what it is refused.
        room: where the folder is made; where TMPDIR says unless given.

    Raises:
        InputError: the archive is damaged or locked, does not fit on the disk, unpacks to far more than it should, or
            has a member that is a link, a device, or whose path is absolute or climbs out of the archive.
    """
    wanted = tuple(suffixes)
    with tempfile.TemporaryDirectory(prefix="pointvae-", dir=room) as temporary:
        target = Path(temporary)
        with told(path):
            if path.name.lower().endswith(".zip"):
                _unzip(path, target, wanted, limits)
            else:
                _untar(path, target, wanted, limits)
        yield target


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Whatever reading an archive raises, as one line."""
    try:
        yield
    except (*DAMAGE, OSError) as error:
        if isinstance(error, InputError):
            raise
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: the archive cannot be unpacked ({why}); fetch or pack it anew") from error


def zip_members(
    path: Path, archive: zipfile.ZipFile, suffixes: tuple[str, ...], limits: Limits = LIMITS
) -> list[tuple[PurePosixPath, zipfile.ZipInfo]]:
    """The members of a .zip with the given suffixes, every one of which may be written beneath any folder.

    Raises:
        InputError: some member is a link, a device or would lie outside; those wanted are locked or far too large.
    """
    members = []
    for info in archive.infolist():
        mode = info.external_attr >> 16
        if (mode & 0o170000) not in (0, 0o100000, 0o040000):
            raise InputError(f"{path}: member {_short(info.filename)} is a link or a device; pack plain files only")
        inside = _safe(path, info.filename)
        if info.is_dir() or not _wanted(inside, suffixes):
            continue
        if info.flag_bits & 1:
            raise InputError(
                f"{path}: member {_short(info.filename)} is encrypted; unpack it yourself and give the folder"
            )
        members.append((inside, info))
    limits.check(path, len(archive.infolist()), sum(info.file_size for _, info in members))
    return members


def copy_member(path: Path, stream: IO[bytes], target: Path, size: int) -> None:
    """Write one member to a file, and never more bytes than its header says.

    Raises:
        InputError: there are more.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        left = size
        while block := stream.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise InputError(
                    f"{path}: member {_short(target.name)} is longer than its header says; fetch or pack it anew"
                )
            out.write(block)


def _unzip(path: Path, target: Path, suffixes: tuple[str, ...], limits: Limits) -> None:
    with zipfile.ZipFile(path) as archive:
        members = zip_members(path, archive, suffixes, limits)
        check_room(path, target, sum(info.file_size for _, info in members))
        for inside, info in members:
            with archive.open(info) as stream:
                copy_member(path, stream, target / inside, info.file_size)


def _untar(path: Path, target: Path, suffixes: tuple[str, ...], limits: Limits) -> None:
    with _decompressed(path) as stream, tarfile.open(fileobj=_Bounded(path, stream), mode="r:") as archive:
        size = 0
        for count, info in enumerate(archive, start=1):
            inside = _safe(path, info.name)
            size += info.size
            limits.check(path, count, size)  # also of what is not wanted, since all of it is decompressed
            if info.isdir():
                continue
            if not info.isreg():
                raise InputError(f"{path}: member {_short(info.name)} is a link or a device; pack plain files only")
            if _wanted(inside, suffixes):
                check_room(path, target, info.size)
                member = archive.extractfile(info)
                if member is not None:
                    with member:
                        copy_member(path, member, target / inside, info.size)


MAGIC: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"": lambda path: path.open("rb"),
}
"""What the files of each way to compress begin with, and what opens them; the last is true of all."""


def _decompressed(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        head = stream.read(8)
    found: IO[bytes] = next(opener for magic, opener in MAGIC.items() if head.startswith(magic))(path)
    return found


class _Bounded(io.BufferedIOBase):
    """The bytes of a tar, never many at a time: tarfile reads headers whole, however long they say they are."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path, self._stream = path, stream

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes.

        Raises:
            InputError: a header asks for more than any name takes.
        """
        if size is None or size < 0 or size > LONGEST_HEADER:
            raise InputError(
                f"{self._path}: the archive has a header of more than {LONGEST_HEADER:,} bytes; pack it anew"
            )
        return self._stream.read(size)

    def seek(self, place: int, whence: int = 0, /) -> int:
        """Go to a place."""
        return self._stream.seek(place, whence)

    def tell(self) -> int:
        """The place."""
        return self._stream.tell()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True


def _safe(path: Path, name: str) -> PurePosixPath:
    inside = PurePosixPath(name.replace("\\", "/"))
    drive = bool(inside.parts) and inside.parts[0].endswith(":")
    if inside.is_absolute() or drive or ".." in inside.parts:
        raise InputError(f"{path}: member {_short(name)} would be written outside the archive's folder; pack it anew")
    return inside


def _short(name: str) -> str:
    """A name as a message has it: whole, unless it is longer than any that was meant to be read."""
    return name if len(name) <= 120 else f"{name[:60]}…{name[-40:]}"


def _wanted(inside: PurePosixPath, suffixes: tuple[str, ...]) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in inside.parts)
    return not hidden and inside.name.lower().endswith(suffixes)


def check_room(path: Path, target: Path, size: int) -> None:
    """Refuse what does not fit on the disk.

    Raises:
        InputError: how much is needed, and how much is free where.
    """
    free = shutil.disk_usage(target).free
    if size > free:
        raise InputError(
            f"{path}: unpacked it takes {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free in {target.parent}; "
            "make room, or set TMPDIR to another disk"
        )
