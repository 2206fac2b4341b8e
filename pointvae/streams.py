"""The standard streams, such that work of days does not end because nobody listens any more."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

STDIN, STDOUT, STDERR = 0, 1, 2


def open_streams() -> None:
    """Put the null device where a standard stream is closed: the next file opened would take its place otherwise."""
    for number, flags in ((STDIN, os.O_RDONLY), (STDOUT, os.O_WRONLY), (STDERR, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            handle = os.open(os.devnull, flags)  # the lowest number that is free, so this one
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


class _Forgiving:
    """A text stream whose faults are nobody's: its terminal is closed, its disk is full."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write, if that is possible."""
        try:
            return self.stream.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        """Flush, if that is possible."""
        with suppress(OSError, ValueError):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def forgiving_stderr() -> Iterator[None]:
    """Let words for people be lost, and nothing else, where stderr can no longer be written."""
    before, forgiving = sys.stderr, cast(TextIO, _Forgiving(sys.stderr))
    sys.stderr = forgiving
    try:
        yield
    finally:
        if sys.stderr is forgiving:
            sys.stderr = before
