"""Downloading one archive: mirrors in order, resumed after a cut, and under its name only once it is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from pointvae.data.named.sets import Archive
from pointvae.data.named.transfer import (
    PATIENCE,
    Cut,
    Patience,
    Refused,
    attempt,
    forget,
    note_of,
    public,
    secure,
    size_of,
)
from pointvae.errors import InputError
from pointvae.version import __version__

GAIN = 1 << 20
"""Bytes after which a connection that was cut has earned its tries anew."""


def fetch(
    archive: Archive,
    urls: tuple[str, ...],
    target: Path,
    check: Callable[[Path], None],
    *,
    patience: Patience = PATIENCE,
    progress: bool = False,
) -> str:
    """Download an archive to ``target`` and return the address that gave it.

    What came so far lies beside it under a hidden name, and a later call goes on there where the server allows it.

    Args:
        archive: what is wanted; its length is compared if known.
        urls: the mirrors, in order.
        target: the file to make.
        check: raises `InputError` if a whole file is not the archive; such a file is removed.
        patience: how long each mirror is waited for.
        progress: show a bar on stderr.

    Raises:
        InputError: no mirror gave it; what each said, and the disk if it is full.
    """
    part = target.with_name(f".{target.name}.part")
    failures: list[str] = []
    for url in urls:
        try:
            _from_mirror(url, archive, part, patience, progress)
        except Refused as error:
            failures.append(f"{public(url)}: {error}")
            continue
        try:
            check(part)
        except InputError as error:
            forget(part)
            failures.append(f"{public(url)}: {error}")
            continue
        os.replace(part, target)
        note_of(part).unlink(missing_ok=True)
        return public(url)
    said = "; ".join(failures) or "there is no mirror"
    raise InputError(
        f"{archive.file}: could not be downloaded ({said}); try again, set POINTVAE_MIRROR to a place that has it, "
        "or get it by other means and give --from_archive PATH"
    )


def _from_mirror(url: str, archive: Archive, part: Path, patience: Patience, progress: bool) -> None:
    if not secure(url) and archive.sha256 is None:
        raise Refused("plain http, and no checksum is known that would show a changed file")
    import requests

    left, wait = patience.tries, patience.wait
    with requests.Session() as session:
        session.max_redirects = patience.redirects
        session.headers.update({"User-Agent": f"pointvae/{__version__}", "Accept-Encoding": "identity"})
        while True:
            before = size_of(part)
            try:
                attempt(session, url, archive, part, patience, progress)
                return
            except Cut as cut:
                if size_of(part) - before >= GAIN:
                    left, wait = patience.tries, patience.wait
                else:
                    left -= 1
                if left <= 0:
                    raise Refused(f"{cut}, {patience.tries} times; what came is kept") from cut
                time.sleep(min(wait if cut.wait is None else cut.wait, 60.0))
                wait *= 2
