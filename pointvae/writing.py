"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import functools
import logging
import os
import platform
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pointvae.errors import InputError
from pointvae.places import is_remote, place, put

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)
FULL = (errno.ENOSPC, errno.EFBIG, errno.EROFS, getattr(errno, "EDQUOT", errno.ENOSPC))
"""What the system says where nothing more can be written, often of no file."""


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; it takes the name once the block ends well.

    What a process that was killed while it wrote the same file has left is removed first. For a remote path the file
    is written on this machine, and sent when the block ends well.

    Raises:
        InputError: the path is a folder, or lies beneath a file.
        OSError: the system does not let it be written; it names the path.
    """
    path = place(path)
    if is_remote(path):
        with tempfile.TemporaryDirectory(prefix="pointvae-") as folder:
            yield Path(folder) / path.name
            put(Path(folder) / path.name, path)
        return
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the name of a file")
    _make_parent(path)
    _sweep(path)
    temporary = _temporary(path, os.getpid())
    try:
        with _named(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # gone with its folder, perhaps
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` to fill; it takes the name once the block ends well.

    What a process that was killed while it filled the same folder has left is removed first.

    Raises:
        InputError: the path is a file or a folder with something in it, or lies beneath a file.
        OSError: the system does not let it be written; it names the path.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: exists already; give the name of a new or empty folder")
    _make_parent(path)
    _sweep(path)
    temporary = _temporary(path, os.getpid())
    try:
        with _named(path):
            temporary.mkdir()
            yield temporary
            if path.is_dir():
                path.rmdir()
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Refuse a folder that another process is writing into, and keep others out until the block ends.

    The system frees the folder when a process ends, however it ends, and nothing of it stands in the folder. A store
    behind a URL cannot be kept for one's own, nor a file system or a system without such locks.

    Args:
        folder: the folder; it must be there.

    Raises:
        InputError: another process is at it.
    """
    if is_remote(folder) or fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{folder}: another process is writing into it; wait until it has ended, or choose another folder"
            ) from None
        except OSError:
            logger.debug("%s: its file system has no locks", folder)
        yield
    finally:
        os.close(handle)


def output_folder(place: str | Path) -> Path:
    """A folder to write into, there already or not; asked before work whose results would have no place.

    Raises:
        InputError: it has no name, is a file, or lies beneath one.
    """
    if not str(place):
        raise InputError("--out: is empty; give a folder's name")
    folder = Path(place)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give a folder")
    if any(parent.is_file() for parent in folder.parents):
        raise InputError(f"{folder}: lies beneath a file; give another place")
    return folder


def _temporary(path: Path, process: int | str) -> Path:
    """Where a process writes what is to become ``path``: ``.NAME.MACHINE-PROCESS.tmp`` beside it."""
    return path.with_name(f".{path.name}.{_machine()}-{process}.tmp")


@functools.cache
def _machine() -> str:
    """Among which processes a number tells one: those of this machine, and of this container on it.

    A folder may be shared by machines, and the process that writes in it may live on another one.
    """
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        space = ""
    return f"{zlib.crc32(f'{platform.node()} {space}'.encode()):08x}"


def _sweep(path: Path) -> None:
    """Remove what processes of this machine that no longer live have left of ``path``, and nothing else.

    On Windows nothing is swept: there a process cannot be asked whether it lives without a signal to it.
    """
    if sys.platform == "win32":
        return
    before, after = _temporary(path, "PROCESS").name.split("PROCESS")
    name = re.compile(f"{re.escape(before)}([1-9][0-9]{{0,9}}){re.escape(after)}")
    with suppress(OSError), os.scandir(path.parent) as found:
        for entry in found:
            match = name.fullmatch(entry.name)
            if match is None or _lives(int(match[1])):
                continue
            logger.debug("%s: left by a process that was ended, removed", entry.path)
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


def _lives(process: int) -> bool:
    """Whether a process of this machine lives; true where the system does not say."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or a number that none can have
        return True
    return True


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let a fault of the system name the file that was asked for: a full disk names none, others a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL and _temporary(path, os.getpid()).name not in str(error.filename):
            raise  # of another file, such as one that is read
        number = error.errno or errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{path}: lies beneath a file; give another place") from None
