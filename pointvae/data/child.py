"""A process that runs one call after the other, seen from its parent, who believes nothing that it says unchecked."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pointvae.data.isolated import ANSWER, MARK, REQUEST
from pointvae.errors import InputError

if TYPE_CHECKING:  # rows imports isolation, which imports this module
    from pointvae.data.rows import Made, Settings

Arrays = dict[str, npt.NDArray[Any]]

GIB = 1 << 30

PLAIN = re.compile(r"[<>|](?:[fiu][1248]|b1|[US]\d{1,9})")
"""Types of the arrays that an answer may hold: numbers and text, never objects."""

START_SECONDS = 300.0
"""How long a child may take to start: a cold network file system is slow."""

PATIENCE = 5.0
"""Seconds for a child that closed its line to end by itself, so that its exit status can be told."""

LONGEST = 1 << 20
"""Bytes of JSON in an answer; ours are far shorter."""

KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""Settings of glibc's allocator, in bytes: larger blocks, and more free memory than that, go back to the system."""

SIGNALS = {
    "SIGSEGV": "segmentation fault",
    "SIGBUS": "bus error",
    "SIGABRT": "abort",
    "SIGFPE": "arithmetic error",
    "SIGILL": "illegal instruction",
    "SIGKILL": "killed, as when memory runs out",
}
"""Words for the ways to die, the same on every system, since they are stored."""


class CrashError(Exception):
    """The child ended, or said what makes no sense; the text says how."""


class BugError(RuntimeError):
    """The call raised what it should not; the text holds the child's traceback."""


class Child:
    """The process and the line to it.

    Args:
        memory: GiB that one call may take above what the process held before.
        seconds: how long one call may take.

    Raises:
        CrashError: it did not start.
    """

    def __init__(self, memory: float, seconds: float) -> None:
        self.seconds = seconds
        self.calls = 0
        self._memory = memory
        self._owner = os.getpid()
        self._line, theirs = socket.socketpair()
        try:
            self._process = _launch(theirs.fileno(), self._owner, int(memory * GIB), seconds)
        except BaseException:
            self._line.close()
            raise
        finally:
            theirs.close()
        self.stop = weakref.finalize(self, _stop, self._process, self._line, self._owner)
        try:
            self._hear(time.monotonic() + START_SECONDS)
        except TimeoutError as error:
            self.stop()
            raise CrashError("no sign of life") from error
        except BaseException:
            self.stop()
            raise

    def is_idle(self) -> bool:
        """Whether it is this process's own, alive and silent."""
        if self._owner != os.getpid():
            return False
        self._line.setblocking(False)
        try:
            self._line.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return self._process.poll() is None
        except OSError:
            return False
        return False

    def ask(self, request: bytes, settings: Settings | None = None) -> Made | Arrays | str:
        """Have a pickled call run, and its answer checked against what was asked for.

        Args:
            request: the call.
            settings: what a row was asked for with; None for a call that gives arrays by their names, or nothing.

        Raises:
            CrashError: the child ended, or its answer is not one.
            TimeoutError: there was no answer in time.
            MemoryError: the call takes more memory than it may.
            InputError: the call raised it.
            BugError: the call raised anything else.
        """
        self.calls += 1
        deadline = time.monotonic() + self.seconds
        try:
            self._until(deadline).sendall(REQUEST.pack(self.calls, len(request)) + request)
        except TimeoutError:
            raise
        except OSError as error:
            raise self._fate() from error
        answer = self._hear(deadline)
        if "arrays" in answer and settings is not None:
            return self._made(answer, settings, deadline)
        if "named" in answer and settings is None:
            return self._named(answer["named"], deadline)
        kind, text = next(iter(answer.items()), ("", ""))
        if kind == "memory":
            raise MemoryError
        if not isinstance(text, str) or not _is_unicode(text):
            raise CrashError("an answer that makes no sense")
        if kind == ("done" if settings is None else "why"):
            return text
        if kind == "crash":
            raise CrashError(text)
        if kind == "input":
            raise InputError(text)
        if kind == "bug":
            raise BugError(text)
        raise CrashError("an answer that makes no sense")

    def _hear(self, deadline: float) -> dict[str, Any]:
        mark, number, length = ANSWER.unpack(self._read(ANSWER.size, deadline))
        if mark != MARK or number != self.calls or length > LONGEST:
            raise CrashError("an answer that makes no sense")
        try:
            answer = json.loads(self._read(length, deadline))
        except (ValueError, RecursionError) as error:
            raise CrashError("an answer that makes no sense") from error
        if not isinstance(answer, dict):
            raise CrashError("an answer that makes no sense")
        return answer

    def _made(self, answer: dict[str, Any], settings: Settings, deadline: float) -> Made:
        """A row as it was asked for: so many finite numbers of the type, and factors and a digest that are such."""
        from pointvae.data.rows import Made

        dtype = np.dtype(settings.dtype)
        factors, digest = answer.get("factors"), answer.get("digest")
        count = 2 if settings.normals else 1
        right = answer["arrays"] == [[dtype.str, [settings.points, 3]]] * count
        if not right or not _are_factors(factors) or not _is_digest(digest):
            raise CrashError("an answer that makes no sense")
        arrays: list[npt.NDArray[Any]] = []
        for _ in range(count):
            data = self._read(settings.points * 3 * dtype.itemsize, deadline)
            arrays.append(np.frombuffer(data, dtype).reshape(settings.points, 3))
        if not all(np.isfinite(array).all() for array in arrays):
            raise CrashError("an answer that makes no sense")
        return Made(arrays[0], arrays[1] if settings.normals else None, str(factors), str(digest))

    def _named(self, layout: object, deadline: float) -> Arrays:
        """Arrays of numbers or text of some size, whatever they hold; as many bytes as their shapes ask for."""
        arrays: Arrays = {}
        for name, dtype, shape in _layouts(layout, int(self._memory * GIB)):
            data = self._read(math.prod(shape) * dtype.itemsize, deadline)
            arrays[name] = np.frombuffer(data, dtype).reshape(shape)
        return arrays

    def _read(self, size: int, deadline: float) -> bytearray:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            try:
                got = self._until(deadline).recv_into(rest)
            except TimeoutError:
                raise
            except OSError as error:
                raise self._fate() from error
            if got == 0:
                raise self._fate()
            rest = rest[got:]
        return data

    def _until(self, deadline: float) -> socket.socket:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._line.settimeout(left)
        return self._line

    def _fate(self) -> CrashError:
        """How it ended, once its line is closed."""
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return CrashError("it closed its line")
        if code >= 0:
            return CrashError(f"exit code {code}")
        name = next((item.name for item in signal.Signals if item == -code), f"signal {-code}")
        return CrashError(SIGNALS.get(name, name))


def _launch(line: int, parent: int, memory: int, seconds: float) -> subprocess.Popen[bytes]:
    words = map(str, (line, parent, memory, seconds))
    return subprocess.Popen(
        [sys.executable, "-m", "pointvae.data.isolated", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # libraries print, and our stdout is for results
        pass_fds=(line,),
        start_new_session=True,  # Ctrl-C is for the parent, and what the child starts can be ended with it
        cwd=os.path.dirname(sys.executable),  # python -m imports from here first: not from the user's folder
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    """Ours, with the places that we import from, and one thread: the work is small, and the workers are many.

    Glibc keeps the memory of one mesh for the next: to ask the system for it each time takes longer than to sample.
    """
    places = os.pathsep.join(os.path.abspath(place) for place in sys.path)
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**KEPT_MEMORY, **os.environ, **one, "PYTHONPATH": places, "PYTHONSAFEPATH": "1"}


def _stop(process: subprocess.Popen[bytes], line: socket.socket, owner: int) -> None:
    """End the child and what it started; in a fork, only forget it."""
    line.close()
    if os.getpid() != owner:
        process.returncode = 0  # not ours to wait for
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it ended already
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # it waits for a disk that is gone, and dies when it is back
        process.wait(PATIENCE)


def _layouts(layout: object, most: int) -> list[tuple[str, np.dtype[Any], list[int]]]:
    """Name, type and shape of each array of an answer, in all of so many bytes at most."""
    found: list[tuple[str, np.dtype[Any], list[int]]] = []
    for row in layout if isinstance(layout, list) else [None]:
        name, kind, shape = row if isinstance(row, list) and len(row) == 3 else (None, None, None)
        plain = isinstance(kind, str) and PLAIN.fullmatch(kind) is not None
        if not isinstance(shape, list) or len(shape) > 32 or not all(type(n) is int and n >= 0 for n in shape):
            raise CrashError("an answer that makes no sense")
        if not isinstance(name, str) or not plain:
            raise CrashError("an answer that makes no sense")
        found.append((name, np.dtype(kind), shape))
    if sum(math.prod(shape) * dtype.itemsize for _, dtype, shape in found) > most:
        raise MemoryError
    return found


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no file can store
        return False
    return True


def _are_factors(text: object) -> bool:
    if text == "":
        return True
    try:
        factors = json.loads(text) if isinstance(text, str) and _is_unicode(text) else None
        return isinstance(factors, dict) and all(math.isfinite(value) for value in factors.values())
    except (ValueError, TypeError, OverflowError, RecursionError):
        return False


def _is_digest(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{16}", text) is not None
