"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
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

    For a remote path the file is written on this machine, and sent when the block ends well.

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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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

    Raises:
        InputError: the path is a file or a folder with something in it, or lies beneath a file.
        OSError: the system does not let it be written; it names the path.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: exists already; give the name of a new or empty folder")
    _make_parent(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let a fault of the system name the file that was asked for: a full disk names none, others a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL and f".{path.name}.{os.getpid()}.tmp" not in str(error.filename):
            raise  # of another file, such as one that is read
        number = error.errno or errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{path}: lies beneath a file; give another place") from None
