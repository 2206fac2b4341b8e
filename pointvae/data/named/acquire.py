"""From a named set to its archive on this machine: given, in the cache, or downloaded; checked in every case."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointvae.data.archives import is_archive, told, zip_members
from pointvae.data.named import cache
from pointvae.data.named.fetching import fetch
from pointvae.data.named.release import SUFFIXES
from pointvae.data.named.sets import NamedSet
from pointvae.data.named.transfer import PATIENCE, Patience
from pointvae.errors import InputError
from pointvae.places import is_remote
from pointvae.progress import show

HOW = {
    "published": "as published",
    "md5": "its MD5 is as published; nobody has published its SHA-256, which was recorded when it was first seen",
    "recorded": "nobody has published it, so it was recorded when the archive was first seen",
    "unchecked": "not checked: it was given unpacked",
}
"""What is known of a checksum, in words."""


@dataclass(frozen=True)
class Acquired:
    """A release on this machine: where it lies, its SHA-256 unless it lies unpacked, and how that was checked."""

    path: Path
    sha256: str | None
    how: str


def acquire(
    named: NamedSet,
    *,
    from_archive: str | Path | None = None,
    offline: bool = False,
    progress: bool = False,
    patience: Patience = PATIENCE,
) -> Acquired:
    """The archive of a named set, or the folder that was given in its place.

    Args:
        named: the set.
        from_archive: the archive, or a folder into which it was unpacked, that the user has.
        offline: open no connection; so does POINTVAE_OFFLINE=1.
        progress: tell the licence and show a bar on stderr.
        patience: how long each mirror is waited for.

    Raises:
        InputError: the set is gated, no connection may be opened or no mirror has the archive, or its checksum is
            another than the published or the recorded one.
    """
    if from_archive is not None:
        if is_remote(from_archive):
            raise InputError(
                f"--from_archive {from_archive}: must lie on this machine; copy it here, or set POINTVAE_MIRROR to "
                "the https address of its folder"
            )
        return _given(named, Path(from_archive))
    file = named.archive.file
    target = cache.archives_folder() / file
    if target.is_file():
        return _checked(named, target, file)
    if named.steps:
        steps = " ".join(f"({number}) {step}" for number, step in enumerate(named.steps, start=1))
        raise InputError(f"{named.name}: its owners give it to those who ask, so it is not downloaded here: {steps}")
    if offline or _says_offline():
        raise InputError(
            f"{named.name}: offline, and {file} is not in {target.parent}; put it there, or give --from_archive PATH"
        )
    _make_folder(target.parent)
    with _alone(target, progress):
        if not target.is_file():  # another process may have fetched it meanwhile
            _tell(named, progress)
            return _download(named, target, patience, progress)
    return _checked(named, target, file)


def addresses(named: NamedSet) -> tuple[str, ...]:
    """Where a set is looked for: first at the user's own mirrors, POINTVAE_MIRROR, then at the set's."""
    own = os.environ.get("POINTVAE_MIRROR", "").split()
    return (*(f"{base.rstrip('/')}/{named.archive.file}" for base in own), *named.archive.urls)


def _says_offline() -> bool:
    return os.environ.get("POINTVAE_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def _download(named: NamedSet, target: Path, patience: Patience, progress: bool) -> Acquired:
    record = cache.read_record(target.name)
    found: list[str] = []

    def check(part: Path) -> None:
        found.append(_check_file(named, part, record, target.name))

    source = fetch(named.archive, addresses(named), target, check, patience=patience, progress=progress)
    return _record(named, target, target.name, found[-1], record, source)


def _given(named: NamedSet, path: Path) -> Acquired:
    if path.is_dir():
        return Acquired(path, None, "unchecked")
    if not path.is_file():
        raise InputError(f"--from_archive {path}: no such file or folder; check the spelling")
    if not is_archive(path):
        raise InputError(
            f"--from_archive {path}: neither a folder nor a .zip or .tar archive; give {named.archive.file} "
            "or the folder it was unpacked into"
        )
    # A gated release comes in pieces of the owner's choice, each of which has a record of its own.
    return _checked(named, path, f"{named.name}-{path.name}" if named.steps else named.archive.file)


def _checked(named: NamedSet, path: Path, key: str) -> Acquired:
    """Compare an archive with what is published or recorded of it; an unchanged one is not read again."""
    record = cache.read_record(key)
    if record is not None and record.get("seen") == _seen(path) and named.archive.sha256 in (None, record["sha256"]):
        sha256 = str(record["sha256"])
    else:
        sha256 = _check_file(named, path, record, key)
    return _record(named, path, key, sha256, record)


def _seen(path: Path) -> dict[str, Any]:
    """What shows that a file is the one that was checked, without reading it."""
    status = path.stat()
    return {"path": str(path.resolve()), "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _record(
    named: NamedSet, path: Path, key: str, sha256: str, record: dict[str, Any] | None, source: str | None = None
) -> Acquired:
    """Keep what is known of an archive that was checked."""
    known = named.archive.sha256
    how = "published" if known else "md5" if named.archive.md5 and not named.steps else "recorded"
    fresh = {
        "file": path.name,
        "sha256": sha256,
        "how": how,
        "source": source or (record or {}).get("source") or "given by hand",
        "seen": _seen(path),
    }
    if record != fresh:
        with contextlib.suppress(OSError):
            cache.write_record(key, fresh)
    return Acquired(path, sha256, how)


def _check_file(named: NamedSet, path: Path, record: dict[str, Any] | None, key: str) -> str:
    """The SHA-256 of an archive that is the one published, the one recorded, or at least an archive."""
    sha256, md5 = _digests(path)
    if named.archive.sha256 is not None:
        if sha256 != named.archive.sha256:
            raise _differs(named, path, "SHA-256", named.archive.sha256, sha256)
        return sha256
    if record is not None and sha256 != record["sha256"]:
        raise InputError(
            f"{_shown(path)}SHA-256 is {sha256}, that of the {key} seen here before is {record['sha256']}; if you "
            f"trust the new one, remove {cache.record_path(key)}"
        )
    if named.archive.md5 is not None and md5 != named.archive.md5:
        raise _differs(named, path, "MD5", named.archive.md5, md5)
    if path.name.endswith((".zip", ".zip.part")):
        _check_zip(named, path)
    return sha256


def _check_zip(named: NamedSet, path: Path) -> None:
    """Refuse what is no .zip, or a hostile one, before it is recorded as the one to trust."""
    if not zipfile.is_zipfile(path):
        what = "sends what" if _is_download(path) else f"{path}:"
        raise InputError(f"{what} is not a .zip archive, or is cut short")
    try:
        with told(path), zipfile.ZipFile(path) as archive:
            zip_members(path, archive, SUFFIXES)
    except InputError as error:
        if not _is_download(path):
            raise
        raise InputError(str(error).replace(str(path), "sends an archive that is refused")) from error


def _differs(named: NamedSet, path: Path, kind: str, known: str, found: str) -> InputError:
    told = f"{_shown(path)}{kind} is {found}, that published for {named.name} is {known}"
    if _is_download(path):
        return InputError(told)
    mend = (
        "remove it and take the release, or, if you trust this one, unpack it and give the folder with --from_archive"
    )
    return InputError(f"{told}; {mend}")


def _is_download(path: Path) -> bool:
    return path.name.endswith(".part")


def _shown(path: Path) -> str:
    """The start of what is said of an archive; of a download its mirror has been named already."""
    return "sends a file whose " if _is_download(path) else f"{path}: its "


def _digests(path: Path) -> tuple[str, str]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            sha256.update(block)
            md5.update(block)
    return sha256.hexdigest(), md5.hexdigest()


def _tell(named: NamedSet, progress: bool) -> None:
    lines = [f"{named.title}: {named.licence}; cite {named.citation}; {named.homepage}"]
    if named.archive.sha256 is None:
        lines.append("nobody has published the SHA-256 of this archive: the one that comes now is recorded")
    show(lines, progress)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}); set POINTVAE_CACHE to another place"
        ) from error


@contextlib.contextmanager
def _alone(target: Path, progress: bool) -> Iterator[None]:
    """Let one process at a time download a file; the lock ends with the process, however that ends."""
    from filelock import FileLock, Timeout

    lock = FileLock(str(target.with_name(f".{target.name}.lock")))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        show([f"another process is downloading {target.name}: waiting for it"], progress)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
