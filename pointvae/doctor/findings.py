"""One line of what the doctor found."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

OK, HINT, FAULT = "ok", "hint", "fault"


@dataclass(frozen=True)
class Finding:
    """What was looked at, what is there, and how to mend it.

    Attributes:
        name: what was looked at.
        value: what is there.
        state: ``ok``; ``hint``: it could be better; ``fault``: it does not work.
        mend: what to do; empty where there is nothing to do.
    """

    name: str
    value: str
    state: str = OK
    mend: str = ""

    def plain(self) -> dict[str, str]:
        """The same without its name, for JSON."""
        return {"value": self.value, "state": self.state, "mend": self.mend}


def size(count: float) -> str:
    """Bytes for people."""
    return f"{count / 2**30:,.1f} GiB"


def without_home(path: str | Path) -> str:
    """A path that names no person."""
    text, home = str(path), os.path.expanduser("~")
    return f"~{text[len(home) :]}" if text.startswith(home + os.sep) or text == home else text
