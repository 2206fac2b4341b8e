"""One attempt to get a file from one address, from where the last one ended."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pointvae.data.named.sets import Archive
from pointvae.errors import InputError
from pointvae.writing import write_text

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Hosts that plain http reaches without a network."""

PAGE = "sends a web page, not the archive; it may want a login, or the file has moved"


@dataclass(frozen=True)
class Patience:
    """How long a mirror is waited for.

    Attributes:
        connect: seconds until it answers.
        read: seconds in which it sends nothing.
        tries: attempts that bring less than a megabyte each.
        wait: seconds before the second attempt, doubled each time, at most 60.
        redirects: how often it may point elsewhere.
    """

    connect: float = 10.0
    read: float = 30.0
    tries: int = 5
    wait: float = 1.0
    redirects: int = 5


PATIENCE = Patience()


class Refused(Exception):  # noqa: N818  an answer, not a fault
    """This mirror will not give the file; the next may."""


class Cut(Exception):  # noqa: N818  an answer, not a fault
    """The connection ended too early; another attempt may go on from there."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


def public(url: str) -> str:
    """An address without the name and the password that may stand in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def secure(url: str) -> bool:
    """Whether nobody between here and there can change what comes."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def attempt(session: Any, url: str, archive: Archive, part: Path, patience: Patience, progress: bool) -> None:
    """Bring ``part`` to the whole file, going on from what lies there if it is of the same version.

    Raises:
        Refused: the address will not give it.
        Cut: the connection ended early.
        InputError: the disk is full.
    """
    start, mark = _kept(part, url)
    headers = {"Range": f"bytes={start}-", "If-Range": mark} if start and mark else {}
    with contextlib.closing(_ask(session, url, headers, patience)) as response:
        if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{start}":
            return  # all of it came, and the process ended before it said so
        hops = [hop.url for hop in (*response.history, response)]
        if archive.sha256 is None and not all(map(secure, hops)):
            raise Refused(
                f"leads to plain http ({public(hops[-1])}), and no checksum is known that would show a changed file"
            )
        start = _begin(response, start, mark, part)
        total = _total(response, start)
        if archive.bytes is not None and total is not None and total != archive.bytes:
            forget(part)
            raise Refused(f"offers {total:,} bytes, the release has {archive.bytes:,}")
        _check_room(part, (total or 0) - start)
        note = {"url": public(url), "mark": _mark(response)}
        write_text(note_of(part), json.dumps(note))
        _receive(response, part, start, total, patience, progress)


def _ask(session: Any, url: str, headers: dict[str, str], patience: Patience) -> Any:
    import requests

    try:
        response = session.get(url, headers=headers, stream=True, timeout=(patience.connect, patience.read))
    except requests.TooManyRedirects:
        raise Refused(f"points elsewhere more than {patience.redirects} times") from None
    except requests.exceptions.SSLError as error:
        raise Refused(f"its certificate cannot be verified ({_short(error)})") from error
    except requests.ReadTimeout:
        raise Cut(f"no answer within {patience.read:g} s") from None
    except requests.ConnectionError as error:
        if "RemoteDisconnected" in str(error) or "reset" in str(error):
            raise Cut("hung up before it answered") from error
        raise Refused(f"cannot be reached ({_short(error)})") from error
    except requests.RequestException as error:
        raise Refused(f"cannot be asked ({_short(error)})") from error
    status = response.status_code
    if status in (200, 206, 416):
        return response
    response.close()
    if status in (401, 403, 407):
        raise Refused(f"asks who you are (HTTP {status})")
    if status in (408, 425, 429) or status >= 500:
        after = str(response.headers.get("Retry-After", ""))
        raise Cut(f"answers HTTP {status}", float(after) if after.isdigit() else None)
    raise Refused(f"answers HTTP {status}")


def _begin(response: Any, start: int, mark: str | None, part: Path) -> int:
    """From which byte the answer goes on; what lies here is dropped unless the server can go on with it."""
    if response.status_code == 416:
        forget(part)
        raise Cut("has no more of the file than lies here", 0.0)
    kind = response.headers.get("Content-Type", "")
    if kind.split(";")[0].strip().lower() in ("text/html", "application/xhtml+xml"):
        raise Refused(PAGE)
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refused("packs the archive once more on its way, so that its bytes are not the release's")
    if response.status_code == 206:
        said = response.headers.get("Content-Range", "")
        if not said.startswith(f"bytes {start}-") or _mark(response) not in (None, mark):
            forget(part)
            raise Cut("goes on with another part, or another file", 0.0)
        return start
    forget(part)
    return 0


def _total(response: Any, start: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None


def _receive(response: Any, part: Path, start: int, total: int | None, patience: Patience, progress: bool) -> None:
    import urllib3

    have = start
    with part.open("ab") as out, _bar(progress, part.name[1:].removesuffix(".part"), start, total) as advance:
        try:
            for block in response.raw.stream(1 << 16, decode_content=False):
                if have == 0 and block.lstrip()[:1] == b"<":
                    raise Refused(PAGE)
                out.write(block)
                have += len(block)
                advance(len(block))
        except urllib3.exceptions.ReadTimeoutError:
            raise Cut(f"sent nothing for {patience.read:g} s, after {have:,} bytes") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
                raise  # this machine's disk
            raise Cut(
                f"ended after {have:,} bytes" if total is None else f"ended after {have:,} of {total:,} bytes"
            ) from error
    if total is not None and have != total:  # urllib3 says so itself, unless it is told not to
        raise Cut(f"ended after {have:,} of {total:,} bytes")


def _mark(response: Any) -> str | None:
    """What tells one version of the file from another: a strong ETag, or the time of its last change."""
    tag = response.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return str(tag)
    changed = response.headers.get("Last-Modified")
    return str(changed) if changed else None


def _kept(part: Path, url: str) -> tuple[int, str | None]:
    """How many bytes of this address's file lie here, and the mark they came with; 0 if they are of no use."""
    try:
        note = json.loads(note_of(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        note = None
    if isinstance(note, dict) and note.get("url") == public(url) and isinstance(note.get("mark"), str):
        return size_of(part), note["mark"]
    return 0, None  # what another mirror sent stays until this one sends its first byte


def forget(part: Path) -> None:
    """Drop what came so far."""
    part.unlink(missing_ok=True)
    note_of(part).unlink(missing_ok=True)


def note_of(part: Path) -> Path:
    """The file that says which address and which version what came so far is of."""
    return part.with_name(f"{part.name}.json")


def size_of(part: Path) -> int:
    """How many bytes came so far."""
    return part.stat().st_size if part.exists() else 0


def _check_room(part: Path, size: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if size > free:
        raise InputError(
            f"{size / 1e9:.1f} GB are still to come and {free / 1e9:.1f} GB are free in {part.parent}; make room, or "
            "set POINTVAE_CACHE to another disk"
        )


def _short(error: BaseException) -> str:
    """The innermost reason of a chain of network errors, in a few words."""
    reason: Any = error
    while getattr(reason, "reason", None) is not None or (reason.args and isinstance(reason.args[0], BaseException)):
        inner = getattr(reason, "reason", None)
        reason = inner if isinstance(inner, BaseException) else reason.args[0]
        if not isinstance(reason, BaseException):
            break
    text = " ".join(str(reason).split())
    return re.sub(r"^(<.*?>|HTTPS?Connection\(.*?\)): ", "", text)[:160]


@contextlib.contextmanager
def _bar(progress: bool, title: str, start: int, total: int | None) -> Iterator[Callable[[int], None]]:
    if not progress:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=start)
        yield lambda count: bar.advance(task, count)
