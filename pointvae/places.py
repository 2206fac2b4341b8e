"""Where data lies: a path on this machine, or one that fsspec reads (s3://, gs://, …); both are used as `Path`."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from pointvae.errors import InputError

PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "az": "adlfs",
    "sftp": "paramiko",
}
"""What must be installed for a store, where fsspec itself does not bring it."""


STORES = ("botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "google", "adlfs", "azure", "paramiko")
"""Packages whose exceptions are a store's refusal or silence."""


def is_store_fault(error: BaseException) -> bool:
    """Whether an error came from a store: credentials, addresses, networks."""
    return type(error).__module__.split(".")[0] in STORES


def is_remote(where: str | Path) -> bool:
    """Whether a place is a URL, which fsspec reads, and not a path of this machine's."""
    return "://" in str(where) if isinstance(where, str) else not isinstance(where, Path)


def place(where: str | Path) -> Path:
    """The path of a place: a `Path`, or, for a URL such as ``s3://bucket/folder``, an object with its methods.

    Raises:
        InputError: nothing that is installed reads such URLs.
    """
    if not isinstance(where, str):
        return where
    if not is_remote(where):
        return Path(where)
    from upath import UPath

    store = where.split("://", 1)[0]
    try:
        made = UPath(where)
        made.fs  # noqa: B018  the store's package is imported here
    except ImportError as error:
        package = PACKAGES.get(store)
        mend = f"pip install {package}" if package else "install the package that fsspec names for it"
        raise InputError(f"{where}: nothing installed reads {store}:// ({error}); {mend}") from error
    except ValueError as error:
        raise InputError(f"{where}: {store}:// is not known to fsspec ({error}); check the spelling") from error
    return cast(Path, made)


@contextlib.contextmanager
def open_arrow(path: Path) -> Iterator[Any]:
    """What pyarrow reads: the path itself, or a remote file's stream for as long as the block lasts."""
    if not is_remote(path):
        yield path
        return
    with path.open("rb") as stream:
        yield stream


@contextlib.contextmanager
def here(path: Path) -> Iterator[Path]:
    """A file of this machine with the bytes of ``path``: itself, or a copy for as long as the block lasts."""
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="pointvae-") as folder:
        copy = Path(folder) / path.name
        cast(Any, path).fs.get_file(cast(Any, path).path, str(copy))
        yield copy


def put(file: Path, path: Path) -> None:
    """Give a remote place the bytes of a file of this machine's; a store shows an object once all of it is there."""
    cast(Any, path).fs.put_file(str(file), cast(Any, path).path)
