"""How sentences tell numbers."""

from __future__ import annotations

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def whether(words: str, holds: object) -> str:
    """The words where they hold; else what no page says, so that the difference is told."""
    return words if holds else f"[no longer: {words}]"


def word(value: float) -> str:
    """A number to the nearest whole one, as a word up to ten."""
    whole = round(value)
    return _WORDS[whole] if 0 <= whole < len(_WORDS) else f"{whole:,}"


def to_halves(value: float) -> str:
    """A number to the nearest half, in words."""
    whole, half = divmod(round(2 * value), 2)
    return word(whole) + (" and a half" if half else "")


def span(values: list[float], digits: int = 1) -> str:
    """The least and the largest: `0.6 to 5.4`; trailing zeros are left out of neither."""
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"
