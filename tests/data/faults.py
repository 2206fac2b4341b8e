"""What a file may do to its reader, each as a call in place of `rows.make_row`; light, since a child imports it."""

import ctypes
import functools
import json
import os
import re
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from pointvae.data.isolated import ANSWER, MARK
from pointvae.data.rows import Made, Settings
from pointvae.errors import InputError

SETTINGS = Settings(4, "z", "none", 0, normals=False, dtype="float32")


def good(settings: Settings) -> Made:
    return Made(np.arange(12, dtype=np.float32).reshape(4, 3), None, "", "0123456789abcdef")


def process(settings: Settings) -> str:
    return str(os.getpid())


def modules(settings: Settings) -> str:
    return " ".join(sys.modules)


def segfault(settings: Settings) -> str:
    return str(ctypes.string_at(0))


def abort(settings: Settings) -> str:
    os.abort()


def sleep(settings: Settings) -> str:
    time.sleep(60)
    return "awake"


def spin(settings: Settings) -> str:
    """Hold the interpreter in C for ever."""
    return str(re.match("(a+)+$", "a" * 64 + "b"))


def swell(settings: Settings) -> str:
    return str(np.ones(1 << 28).sum())


def swell_slowly(settings: Settings) -> str:
    kept = [bytes(1 << 20) for _ in range(2000)]
    return str(len(kept))


def hold(settings: Settings, kept: list[bytes] = []) -> str:  # noqa: B006
    """Leave 100 MiB behind in the process."""
    kept.append(bytes(100 << 20))
    return str(len(kept))


def tire(settings: Settings, kept: list[int] = []) -> str:  # noqa: B006
    """Read one file in a process, and have no memory left for another."""
    kept.append(0)
    if len(kept) > 1:
        raise MemoryError
    return str(os.getpid())


def cores(settings: Settings) -> str:
    return str(resource.getrlimit(resource.RLIMIT_CORE))


def take(settings: Settings, mib: int) -> str:
    return str(len(bytes(mib << 20)))


def chatter(settings: Settings) -> Made:
    sys.stdout.write("garbage from Python")
    sys.stdout.flush()
    os.write(1, b"garbage from a library\n")
    os.write(2, b"its last words\n")
    return good(settings)


def close_all(settings: Settings) -> Made:
    os.closerange(3, 256)
    return good(settings)


def leave(settings: Settings) -> str:
    os._exit(0)


class Panic(BaseException):
    """What libraries in Rust raise."""


def panic(settings: Settings) -> str:
    raise Panic


def large(settings: Settings) -> Made:
    return Made(np.zeros((settings.points, 3), np.float32), None, "", "0" * 16)


def leave_politely(settings: Settings) -> str:
    sys.exit(3)


def refuse(settings: Settings) -> str:
    raise InputError("the file is at fault")


def stumble(settings: Settings) -> str:
    raise KeyError("a bug of ours")


def die_once(settings: Settings, marker: Path) -> Made:
    """Be killed from outside in the middle of the first call."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return good(settings)


def start_grandchild(settings: Settings, note: Path) -> str:
    note.write_text(str(subprocess.Popen(["sleep", "60"]).pid))
    return sleep(settings)


def here(settings: Settings) -> str:
    return os.getcwd()


def fork_and_ask(limits: object) -> str:
    """For a worker of another library: the process that answers here."""
    from pointvae.data.isolation import Limits, shared

    assert isinstance(limits, Limits)
    return f"{os.getpid()} {shared(limits).row(functools.partial(process, SETTINGS))}"


def lines() -> list[socket.socket]:
    """Every socket of this process: a file that owns it finds the line of answers."""
    found = [number for number in range(3, 64) if _is_socket(number)]
    return [socket.socket(fileno=os.dup(number)) for number in found]


def _is_socket(number: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False


def say(settings: Settings, answer: bytes, stay: bool) -> Made:
    """Write an answer of one's own, then die or go on as if nothing were."""
    for line in lines():
        line.sendall(answer)
        line.detach()
    if not stay:
        time.sleep(60)
    return good(settings)


def forged(head: object, body: bytes = b"", number: int = 1, mark: bytes = MARK, length: int | None = None) -> bytes:
    """An answer as the child would frame it."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return ANSWER.pack(mark, number, len(text) if length is None else length) + text + body


def numbers(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)
