"""The process that reads mutated files, one after the other, under limits and watched: NAME SEED FIRST LAST FILE.

It writes its counts and the number of the input that it is at to a file before it reads it, so that the one that
kills it is known and nothing is read twice; findings go to stdout, a line of JSON each.
"""

import contextlib
import json
import logging
import os
import resource
import signal
import struct
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEMORY = 1 << 30
"""Bytes that the inputs may take above what the process holds when it has read the sound files."""

SECONDS = 5
"""Of processor time that one input may take before the process is ended; of waiting, twenty times as many."""

STATE = struct.Struct("<4Q")
"""What the file holds: the number of the input; how many before it were accepted, refused, beyond the memory."""

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "urllib.Request")
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate")


class Watch:
    """What Python does while a file is read: writes outside the folder, code run, programs started."""

    def __init__(self, folder: Path) -> None:
        self.allowed = (str(folder), "/dev/null")
        self.seen: str | None = None
        self.on = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or self.seen:
            return
        if event == "open":
            name, _, flags = arguments
            if isinstance(name, str | bytes) and isinstance(flags, int) and flags & WRITES:
                self._outside(os.fsdecode(name), "written")
            elif isinstance(name, str) and os.path.basename(name).startswith(("secret.", "hostname")):
                self.seen = f"{name} was opened"
        elif event in CHANGES:
            for name in arguments[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
                if isinstance(name, str | bytes):
                    self._outside(os.fsdecode(name), "changed")
        elif event in STARTS:
            self.seen = f"{event} {arguments!r}"[:120]
        elif event == "pickle.find_class" and arguments[0].split(".")[0] not in ("torch", "collections"):
            self.seen = f"unpickled {'.'.join(arguments)}"
        elif event == "exec" and arguments[0].co_filename == "<string>" and arguments[0].co_name == "<module>":
            names = set(arguments[0].co_names)
            self.seen = "code was run" if names & {"system", "__import__"} else None

    def _outside(self, name: str, how: str) -> None:
        if name.isdigit():  # a descriptor
            return
        real = os.path.realpath(name)
        if not any(real == place or real.startswith(place + os.sep) for place in self.allowed):
            self.seen = f"{how} outside its folder: {name!r}"


class Here:
    """In place of `isolation.Isolation`: this process is apart already, and watched."""

    def row(self, call: Callable[[], Any]) -> Any:
        return call()

    arrays = row

    def rehearse(self, call: Callable[[], None]) -> str:
        call()
        return ""


def work(name: str, seed: int, first: int, last: int, folder: Path, at: int) -> None:
    """Read the inputs of these numbers in a fork of this process, and in another one where the first one dies."""
    from pointvae.data import isolation

    isolation.shared = lambda limits: Here()  # before what imports it
    from tests.fuzz.targets import TARGETS, place

    logging.disable()
    warnings.simplefilter("ignore")
    target = TARGETS[name]
    sound = target.seeds()
    os.chdir(folder)
    with place(target, folder) as path:
        watch = Watch(folder)
        for data in [b"junk" * 9, *sound]:  # what reads plain files is not what reads others: both are imported
            path.write_bytes(data)
            with contextlib.suppress(Exception):  # some are hostile, and are among the inputs
                target.read(path)
        while first < last:
            child = os.fork()
            if child == 0:
                read_inputs(name, seed, first, last, path, sound, watch, at)
                os._exit(0)
            status = os.waitpid(child, 0)[1]
            number, *counts = STATE.unpack(os.pread(at, STATE.size, 0))
            if os.WIFSIGNALED(status):
                how = signal.Signals(os.WTERMSIG(status)).name
                how = {"SIGALRM": "waits for ever", "SIGPROF": "takes too long"}.get(how, how)
                tell(number, how, ended=True)
                os.pwrite(at, STATE.pack(number + 1, *counts), 0)
            elif status:
                sys.exit(1)
            first = number + 1


def tell(number: int, what: str, ended: bool = False) -> None:
    sys.stdout.write(json.dumps({"number": number, "what": what[:300], "ended": ended}) + "\n")
    sys.stdout.flush()


def read_inputs(
    name: str, seed: int, first: int, last: int, path: Path, sound: list[bytes], watch: Watch, at: int
) -> None:
    """Read inputs, and tell what went wrong."""
    from tests.fuzz.targets import TARGETS, BrokenError, produce

    target = TARGETS[name]
    _, *before = STATE.unpack(os.pread(at, STATE.size, 0))
    counts = dict(zip(("accepted", "refused", "memory"), before, strict=True))
    limit(MEMORY)
    for number in range(first, last):
        os.pwrite(at, STATE.pack(number, *counts.values()), 0)
        path.write_bytes(produce(target, sound, f"{name}/{seed}/{number}"))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(20 * SECONDS)
        what = None
        watch.on, watch.seen = True, None
        try:
            counts[target.read(path)] += 1
        except MemoryError:
            if target.apart:
                counts["memory"] += 1
            else:
                what = "MemoryError"
        except BrokenError as error:
            what = str(error)
        except BaseException as error:  # the panics of libraries in Rust are none of Exception
            if target.apart and not isinstance(error, Exception):
                counts["memory"] += 1
                continue
            what = f"{type(error).__name__}: {error}"
        watch.on = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        if what or watch.seen:
            tell(number, watch.seen or what or "")
    os.pwrite(at, STATE.pack(last, *counts.values()), 0)


def limit(memory: int) -> None:
    held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (held + memory, held + memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


def main(arguments: list[str]) -> None:
    name, seed, first, last, at = arguments
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary, open(at, "r+b", buffering=0) as place:
        folder = Path(temporary).resolve()
        tempfile.tempdir = temporary
        os.environ["TMPDIR"] = temporary
        work(name, int(seed), int(first), int(last), folder, place.fileno())


if __name__ == "__main__":
    main(sys.argv[1:])
