"""The files of a release by their names inside it, whether it lies unpacked in a folder or packed in an archive."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pointvae.data.archives import (
    DAMAGE,
    LIMITS,
    Limits,
    check_room,
    copy_member,
    is_archive,
    told,
    unpacked,
    zip_members,
)
from pointvae.data.clouds import count_points
from pointvae.data.readers import read_file
from pointvae.data.sampling import Geometry
from pointvae.errors import InputError

SUFFIXES = (".off", ".obj", ".txt", ".h5", ".json", ".csv")
"""What the layouts of the named sets consist of; textures, voxels and pictures are left where they are."""


@dataclass(frozen=True)
class Member:
    """One file of a release; it pickles, so that other processes can load it.

    Attributes:
        path: the file, or the .zip that holds it.
        inside: its name in that .zip, or None.
        bytes: its length.
        scratch: a folder of the plan's for its copies, so that none outlives the plan even if its reader is killed.
    """

    path: Path
    inside: str | None
    bytes: int
    scratch: Path | None = None

    def load(self) -> Geometry:
        """Its mesh or cloud.

        Raises:
            InputError: it cannot be read; without its name, which the caller knows.
        """
        with self.file() as path:
            return read_file(path)

    def count(self) -> int | None:
        """How many points its cloud holds; None for a mesh."""
        with self.file() as path:
            return count_points(path)

    def text(self) -> str:
        """Its content, of a file that is a list of names."""
        with self.file() as path:
            return path.read_text(encoding="utf-8", errors="replace")

    @contextlib.contextmanager
    def file(self, room: Path | None = None) -> Iterator[Path]:
        """A file with its content: itself, or a copy out of the .zip for as long as the block lasts."""
        if self.inside is None:
            yield self.path
            return
        own = self.scratch if self.scratch is not None and self.scratch.is_dir() else None  # other machines lack it
        with tempfile.TemporaryDirectory(prefix="pointvae-", dir=room or own) as folder:
            target = Path(folder) / PurePosixPath(self.inside).name
            check_room(self.path, target.parent, self.bytes)
            try:
                with _opened(self.path, os.getpid()).open(self.inside) as stream:
                    copy_member(self.path, stream, target, self.bytes)
            except (*DAMAGE, KeyError) as error:
                raise InputError(f"cannot be taken out of the archive ({error})") from error
            yield target


Release = Mapping[str, Member]


@functools.lru_cache(maxsize=128)
def _opened(path: Path, process: int) -> zipfile.ZipFile:
    """The archive, opened once in each process: its table of contents may have a million lines."""
    return zipfile.ZipFile(path)


@contextlib.contextmanager
def open_release(path: Path, room: Path | None = None, limits: Limits = LIMITS) -> Iterator[Release]:
    """The files of a release that its readers may want, valid inside the ``with`` block.

    A .zip is not unpacked: each shape is read out of it when it is its turn. So are the .zip files that lie in a
    folder, one a category. A .tar has to be unpacked, as far as it is wanted.

    Args:
        path: the folder or the archive.
        room: where a .tar is unpacked.
        limits: beyond what an archive is refused.

    Raises:
        InputError: it is neither, it is damaged or hostile, or it holds archives that must come out first.
    """
    if path.is_dir():
        with tempfile.TemporaryDirectory(prefix="pointvae-") as scratch:
            yield _folder(path, limits, Path(scratch))
    elif path.name.lower().endswith(".zip"):
        with tempfile.TemporaryDirectory(prefix="pointvae-") as scratch:
            yield _zip(path, limits, Path(scratch))
    elif is_archive(path):
        with unpacked(path, SUFFIXES, limits, room) as folder:
            yield _folder(folder, limits, folder)
    else:
        raise InputError(f"{path}: is neither a folder nor a .zip or .tar archive; give what the release consists of")


def _folder(root: Path, limits: Limits, scratch: Path) -> dict[str, Member]:
    found: dict[str, Member] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(files):
            path = Path(folder) / name
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                found[path.relative_to(root).as_posix()] = Member(path, None, path.stat().st_size)
            elif name.lower().endswith(".zip") and Path(folder) == root:
                found |= _zip(path, limits, scratch)
    return found


def _zip(path: Path, limits: Limits, scratch: Path) -> dict[str, Member]:
    with told(path), zipfile.ZipFile(path) as archive:
        members = zip_members(path, archive, SUFFIXES, limits)
        whole = path.resolve()
        found = {str(inside): Member(whole, info.filename, info.file_size, scratch) for inside, info in members}
        if not found and any(name.lower().endswith(".zip") for name in archive.namelist()):
            raise InputError(
                f"{path}: holds further .zip archives; unpack it once, leave those inside as they are, and give the "
                "folder"
            )
    return found
