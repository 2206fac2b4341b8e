"""The child's side of `isolation`: runs what it is sent, one call after the other, and answers in JSON and raw bytes.

Run as ``python -m pointvae.data.isolated`` by `isolation.Isolation`, and by nobody else.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from pointvae.errors import InputError

REQUEST = struct.Struct("<QQ")
"""What stands before a request: the number of the call, and the length of its pickle."""

ANSWER = struct.Struct("<8sQI")
"""What stands before an answer: `MARK`, the number of the call, and the length of the JSON; arrays follow that."""

MARK = b"pv-row-1"

GRACE = 10.0
"""Seconds that the parent has to stop a call that takes too long, before the child's own alarm does."""

LONGEST = 1 << 16
"""Characters of a traceback that are sent."""


def serve(line: socket.socket, memory: int, seconds: float) -> None:
    """Answer requests until the other side closes the line.

    Args:
        line: a stream socket whose other end is the parent's.
        memory: bytes that one call may take above what the process holds.
        seconds: how long one call may take, if the parent is no longer there to stop it.
    """
    _send(line, 0, {"ready": True}, [])
    _hush()
    with line.makefile("rb") as requests:
        while head := requests.read(REQUEST.size):
            number, length = REQUEST.unpack(head)
            request = requests.read(length)
            signal.setitimer(signal.ITIMER_REAL, seconds + GRACE)
            _allow(memory)
            try:
                answer, arrays = _run(request)
            finally:
                _allow(None)
            signal.setitimer(signal.ITIMER_REAL, 0)
            _send(line, number, answer, arrays)


def _run(request: bytes) -> tuple[dict[str, Any], list[Any]]:
    """Run one call; what it gave, or how it failed."""
    try:
        folder, call = pickle.loads(request)  # from our own parent, over a line that nobody else holds
        _enter(folder)
        return _told(call)
    except MemoryError:
        return {"memory": True}, []
    except InputError as error:
        return {"input": str(error)}, []
    except Exception:  # a fault of ours: the parent raises it, with this text
        return {"bug": traceback.format_exc()[-LONGEST:]}, []
    except BaseException as error:  # SystemExit, and the panics of libraries in Rust
        return {"crash": type(error).__name__}, []


def _told(call: Callable[[], Any]) -> tuple[dict[str, Any], list[Any]]:
    result = call()
    if result is None:
        return {"done": ""}, []
    if isinstance(result, str):
        return {"why": result}, []
    if isinstance(result, dict):  # of arrays by their names
        arrays = [np.asarray(array, order="C") for array in result.values()]
        layout = [[name, array.dtype.str, list(array.shape)] for name, array in zip(result, arrays, strict=True)]
        return {"named": layout}, arrays
    arrays = [result.points] if result.normals is None else [result.points, result.normals]
    layout = [[array.dtype.str, list(array.shape)] for array in arrays]
    return {"arrays": layout, "factors": result.factors, "digest": result.digest}, arrays


def _send(line: socket.socket, number: int, answer: dict[str, Any], arrays: list[Any]) -> None:
    text = json.dumps(answer).encode()
    line.sendall(ANSWER.pack(MARK, number, len(text)) + text)
    for array in arrays:
        line.sendall(array.reshape(-1).view(np.uint8))


def _hush() -> None:
    """Send what libraries print when they fail nowhere: the file is named, with the reason, by the parent."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)


def _enter(folder: str | None) -> None:
    """Stand where the parent stands, since the paths of shapes may be relative."""
    try:
        if folder is not None and folder != os.getcwd():
            os.chdir(folder)
    except OSError:  # gone, or not ours to enter: then only absolute paths can be read, and the reader says so
        pass


def _allow(memory: int | None) -> None:
    """Let this process take ``memory`` bytes more than it has, or any amount.

    RLIMIT_DATA counts the private memory that can be written: not the address space that numpy's libraries reserve,
    nor files that are mapped. Only Linux holds processes to it.
    """
    if sys.platform != "linux":
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    soft = hard
    if memory is not None:
        with open("/proc/self/statm", encoding="ascii") as statm:
            soft = int(statm.read().split()[5]) * resource.getpagesize() + memory
        soft = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _end_with(parent: int) -> None:
    """Die when the parent dies, even in the middle of a call that holds the interpreter; write no core files."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(ctypes.c_int(1), ctypes.c_ulong(signal.SIGKILL))  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def main(arguments: list[str]) -> None:
    """Serve the line whose descriptor is given: DESCRIPTOR PARENT BYTES SECONDS."""
    descriptor, parent, memory = (int(word) for word in arguments[:3])
    _end_with(parent)
    with socket.socket(fileno=descriptor) as line:
        line.set_inheritable(False)
        serve(line, memory, float(arguments[3]))


if __name__ == "__main__":
    main(sys.argv[1:])
