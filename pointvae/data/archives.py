"""Archives of shapes, unpacked into a folder that is removed afterwards; nothing is ever written outside it."""

from __future__ import annotations

import contextlib
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from pointvae.errors import InputError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError)
"""What the standard library raises for archives that are cut short, scrambled or locked."""


def is_archive(path: Path) -> bool:
    """Whether the name of a file ends as an archive's does."""
    return path.name.lower().endswith(ARCHIVES)


@contextlib.contextmanager
def unpacked(path: Path, suffixes: Iterable[str]) -> Iterator[Path]:
    """A temporary folder with the archive's files of the given suffixes, valid inside the ``with`` block.

    Raises:
        InputError: the archive is damaged, does not fit on the disk, or has a member that is a link, a device, or
            whose path is absolute or climbs out of the archive.
    """
    wanted = tuple(suffixes)
    with tempfile.TemporaryDirectory(prefix="pointvae-") as temporary:
        target = Path(temporary)
        try:
            if path.name.lower().endswith(".zip"):
                _unzip(path, target, wanted)
            else:
                _untar(path, target, wanted)
        except (*DAMAGE, OSError) as error:
            raise InputError(f"{path}: the archive cannot be unpacked ({error}); fetch or pack it anew") from error
        yield target


def _unzip(path: Path, target: Path, suffixes: tuple[str, ...]) -> None:
    with zipfile.ZipFile(path) as archive:
        members = []
        for info in archive.infolist():
            mode = info.external_attr >> 16
            if (mode & 0o170000) not in (0, 0o100000, 0o040000):
                raise InputError(f"{path}: member {info.filename} is a link or a device; pack plain files only")
            inside = _safe(path, info.filename)
            if not info.is_dir() and _wanted(inside, suffixes):
                members.append((inside, info))
        _check_room(path, target, sum(info.file_size for _, info in members))
        for inside, info in members:
            with archive.open(info) as stream:
                _write(stream, target / inside)


def _untar(path: Path, target: Path, suffixes: tuple[str, ...]) -> None:
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            inside = _safe(path, info.name)
            if info.isdir():
                continue
            if not info.isreg():
                raise InputError(f"{path}: member {info.name} is a link or a device; pack plain files only")
            if _wanted(inside, suffixes):
                _check_room(path, target, info.size)
                stream = archive.extractfile(info)
                if stream is not None:
                    with stream:
                        _write(stream, target / inside)


def _safe(path: Path, name: str) -> PurePosixPath:
    inside = PurePosixPath(name.replace("\\", "/"))
    drive = bool(inside.parts) and inside.parts[0].endswith(":")
    if inside.is_absolute() or drive or ".." in inside.parts:
        raise InputError(f"{path}: member {name} would be written outside the archive's folder; pack it anew")
    return inside


def _wanted(inside: PurePosixPath, suffixes: tuple[str, ...]) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in inside.parts)
    return not hidden and inside.name.lower().endswith(suffixes)


def _check_room(path: Path, target: Path, size: int) -> None:
    free = shutil.disk_usage(target).free
    if size > free:
        raise InputError(
            f"{path}: unpacked it takes {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free in {target.parent}; "
            "make room, or set TMPDIR to another disk"
        )


def _write(stream: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)
