"""The words of a text, line by line, and the numbers that they are; no loop over them in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BLANK, TAB, NEWLINE = b" \t\n"
Ints = npt.NDArray[np.int64]


class UnsureError(ValueError):
    """The text, or the file, is not surely of the plain kind that is read here."""


class Words:
    """Where the words of a text lie, which spaces, tabs and newlines separate.

    Lines without a word do not count.

    Args:
        text: plain ASCII.

    Attributes:
        ends: how many words there are up to the end of each line [lines].
        gaps: whether there are lines without a word between others.

    Raises:
        UnsureError: the text holds another character that separates words, or none that makes one.
    """

    def __init__(self, text: bytes) -> None:
        import pyarrow as pa

        text = text.strip(b" \t\n") + b"\n"
        sure(len(text) > 1 and text.isascii())
        codes = np.frombuffer(text, np.uint8)
        blank = np.flatnonzero(codes <= BLANK)
        kind = codes[blank]
        newline = kind == NEWLINE
        sure(bool((newline | (kind == BLANK) | (kind == TAB)).all()))
        runs = np.flatnonzero(np.diff(blank, prepend=-2) > 1)
        self.gaps = False
        if len(runs) < len(blank):
            newlines = np.add.reduceat(newline, runs, dtype=np.int64)
            self.gaps, newline, blank = bool((newlines > 1).any()), newlines > 0, blank[runs]
        self.ends: Ints = np.flatnonzero(newline) + 1
        offsets = np.zeros(len(runs) + 1, np.int64)
        np.subtract(blank, runs, out=offsets[1:])
        letters = text.translate(None, b" \t\n")
        parts = [None, pa.py_buffer(offsets), pa.py_buffer(letters)]
        self._words: Any = pa.Array.from_buffers(pa.large_string(), len(runs), parts)

    def starts(self) -> Ints:
        """How many words there are before each line [lines]."""
        return np.concatenate([np.zeros(1, np.int64), self.ends[:-1]])

    def integers(self, first: int, last: int) -> Ints:
        """The words from ``first`` to before ``last`` as integers; `ValueError` where one is not."""
        found: Ints = self._cast(first, last, "int64")
        return found

    def floats(self, first: int, last: int) -> npt.NDArray[np.float64]:
        """The words from ``first`` to before ``last`` as numbers, the nearest; `ValueError` where one is not."""
        found: npt.NDArray[np.float64] = self._cast(first, last, "float64")
        return found

    def _cast(self, first: int, last: int, kind: str) -> Any:
        return self._words.slice(first, last - first).cast(kind).to_numpy()


def sure(so: bool) -> None:
    """Go on only where it is so.

    Raises:
        UnsureError: it is not.
    """
    if not so:
        raise UnsureError
