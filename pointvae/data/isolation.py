"""Files read in a process apart, so that one that crashes, hangs or eats its reader costs itself and nothing else."""

from __future__ import annotations

import functools
import logging
import os
import pickle
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pointvae.data.child import Arrays, BugError, Child, CrashError
from pointvae.errors import InputError

if TYPE_CHECKING:  # rows imports this module
    from pointvae.data.rows import Made, Settings

logger = logging.getLogger(__name__)

STARTS = 3
"""How often a child that does not start is tried: the system may be out of memory for a moment."""


@dataclass(frozen=True)
class Limits:
    """What one file may cost.

    Attributes:
        seconds: wall clock for one try.
        memory: GiB that reading and sampling may take above what the process held before. Linux enforces it; macOS
            cannot limit the memory of a process, so there the other limits stand alone.
        retries: how many times more a file is tried that crashed its reader or took too long, always with a new one;
            with 0 it answers for what the file before it may have done to the reader.

    Raises:
        InputError: a limit that limits nothing, or lets nothing pass.
    """

    seconds: float = 120.0
    memory: float = 4.0
    retries: int = 1

    def __post_init__(self) -> None:
        for option, value, most in (("timeout", self.seconds, 1e6), ("memory", self.memory, 1e6)):
            if not 0 < value <= most:
                raise InputError(f"--{option} {value:g}: must be more than 0 and at most {most:g}")
        if not 0 <= self.retries <= 100:
            raise InputError(f"--retries {self.retries}: must be 0 to 100")


class Isolation:
    """A reader of files in a process of its own, which is started at first use and again whenever it died.

    Use one for each thread: it answers one call at a time, and its process ends with the thread that first used it.
    After a fork, or pickled into another process, it starts a process of its own there. Calls travel as pickles;
    answers never do, so a file that takes over its reader can at worst give a wrong cloud.

    On Windows calls run in this process: nothing is limited there, and a log says so.

    Example:
        >>> with Isolation(Limits(seconds=60)) as isolation:
        ...     row = isolation.row(functools.partial(make_row, load, name, settings))  # doctest: +SKIP
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._child: Child | None = None

    def row(self, call: functools.partial[Made | str]) -> Made | str:
        """What the call of `rows.make_row` gives; where it ends its process or a limit, the reason in one line.

        Raises:
            InputError: the call raised it.
            RuntimeError: the call raised anything else; the text holds its traceback.
        """
        if os.name == "nt":
            _warn_of_windows()
            return call()
        settings = _settings(call)
        row = self._tried(_pickled(call), settings)
        assert not isinstance(row, dict)
        return row

    def arrays(self, call: functools.partial[Arrays]) -> Arrays | str:
        """The arrays of numbers and text that a call gives, by their names; where it ends its process, the reason.

        Raises:
            InputError: the call raised it.
            RuntimeError: the call raised anything else; the text holds its traceback.
        """
        if os.name == "nt":
            _warn_of_windows()
            return call()
        found = self._tried(_pickled(call), None)
        assert isinstance(found, dict | str)
        return found

    def rehearse(self, call: functools.partial[None]) -> str:
        """Run a call for its faults alone, before it is run here; nothing, or the reason not to.

        Raises:
            InputError: the call raised it.
            RuntimeError: the call raised anything else; the text holds its traceback.
        """
        if os.name == "nt":
            return ""
        return str(self._tried(_pickled(call), None))

    def _tried(self, request: bytes, settings: Settings | None) -> Made | Arrays | str:
        tries = self.limits.retries + 1
        left, why, hint = tries, "", ""
        while left:
            child = self._ready()
            fresh = child.calls == 0
            try:
                return child.ask(request, settings)
            except MemoryError:
                self.close()
                if fresh:
                    return f"needs more than {self.limits.memory:g} GiB of memory to read; give it more with --memory"
                continue  # what the files before left in the child must not decide
            except TimeoutError:
                why, hint = f"took longer than {self.limits.seconds:g} s", "; give it more with --timeout"
            except CrashError as crash:
                why, hint = f"crashed the reader ({crash})", ""
            except (InputError, BugError):
                raise
            except BaseException:  # the answer may still be on its way, and would be taken for the next one
                self.close()
                raise
            self.close()
            left -= 1
        return f"{why}, tried {'once' if tries == 1 else f'{tries} times'}{hint}"

    def close(self) -> None:
        """End the child, whatever it does; another is started if there is another call."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _ready(self) -> Child:
        """The child, alive and with nothing left to say; a new one where it is not."""
        if self._child is not None and not self._child.is_idle():
            self.close()
        starts = 0
        while self._child is None:
            starts += 1
            try:
                self._child = Child(self.limits.memory, self.limits.seconds)
            except CrashError as crash:
                if starts == STARTS:
                    raise RuntimeError(
                        f"the process that reads files does not start ({crash}); see stderr"
                    ) from crash
        return self._child

    def __enter__(self) -> Isolation:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return Isolation, (self.limits,)


_local = threading.local()


def shared(limits: Limits) -> Isolation:
    """The isolation of this thread, kept between calls so that its child is started once; closed at exit.

    Do not close it after use. Where the limits differ from those of the last call, it is made anew.
    """
    kept: Isolation | None = getattr(_local, "isolation", None)
    if kept is None or kept.limits != limits:
        if kept is not None:
            kept.close()
        kept = _local.isolation = Isolation(limits)
    return kept


@functools.cache
def _warn_of_windows() -> None:
    logger.warning("on Windows a file that crashes or hangs its reader stops everything: no file is read apart")


def _settings(call: functools.partial[Any]) -> Settings:
    """What was asked for, by which the answer is checked."""
    from pointvae.data.rows import Settings

    for value in (*call.args, *call.keywords.values()):
        if isinstance(value, Settings):
            return value
    raise TypeError("the call has no Settings among its arguments, so its answer cannot be checked")


def _pickled(call: Any) -> bytes:
    """The call as bytes, with the folder it is to run in, since paths may be relative."""
    try:
        folder: str | None = os.getcwd()
    except OSError:  # it was removed
        folder = None
    try:
        data = pickle.dumps((folder, call), pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):  # a lambda, a local function
        data = b""
    if not data or b"__main__" in data:  # what a script or a notebook defined cannot be imported elsewhere
        from joblib import wrap_non_picklable_objects

        data = pickle.dumps((folder, wrap_non_picklable_objects(call, keep_wrapper=False)), pickle.HIGHEST_PROTOCOL)
    return data
