"""The one exception that means "the input is at fault", and words that a terminal shows as they are."""

import re
from typing import Any

LONGEST = 1200
"""Letters of a refusal: what a stranger wrote is quoted, but nobody reads pages of it."""

_HIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class InputError(ValueError):
    """Bad input, told in one line: what, where, why, and how to mend it.

    Library code raises it with a message a user can act on; the command line prints that message without a
    traceback and exits with code 2. It is a ``ValueError``, so callers in Python may catch either.

    Names of files and classes, which strangers give, stand in messages: its text is always one printable line.
    """

    def __str__(self) -> str:
        line = printable(super().__str__())
        return line if len(line) <= LONGEST else f"{line[: LONGEST * 2 // 3]} … {line[-LONGEST // 4 :]}"


def printable(text: str) -> str:
    r"""Text as one line without what steers a terminal or hides: control, escape and direction characters spelt out.

    Example:
        >>> printable("chair\x1b[2J\nbed")
        'chair\\x1b[2J bed'
    """
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in line)


def printable_tree(value: Any) -> Any:
    """A result with all its texts, of keys too, `printable`."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable_tree(key): printable_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [printable_tree(item) for item in value]
    return value


def visible(page: str) -> str:
    r"""A page of HTML whose control and direction characters, which only names can hold, are spelt out.

    Example:
        >>> visible("<td>\u202egnp.exe</td>")
        '<td>\\u202egnp.exe</td>'
    """
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", page)
