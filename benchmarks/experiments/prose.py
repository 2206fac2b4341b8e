"""Figures in the text of a Markdown page: where they stand, and where a sentence with its figures stands.

What looks measured is a percentage, a ± or signed number, a decimal or a power of ten, a `1/N`, a number with a unit
of time, size, price, accuracy or information, a rate, "N times", "a third of", and a table's cell that is nothing but
a number. A whole number without a unit is taken for a count or a setting: "1,024 points", "three seeds". Code,
formulas, addresses and comments are no text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

Span = tuple[int, int]

_SMALL = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty"
_WORD = rf"(?:(?:{_SMALL}|a hundred|hundreds|a thousand)(?: and a (?:half|third|quarter))?)"
_PART = "half|third|quarter|fifth|sixth|eighth|tenth|hundredth|five-hundredth|thousandth|millionth"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+|·10[⁻⁰-⁹¹²³]+)?"
_NUMBER = rf"(?:[+\-−]?{_DIGITS})"
_FEW = r"(?:[+\-−]?[12]?\d(?:\.\d+)?)"  # points of accuracy; points of a cloud are more
_EITHER = rf"(?:{_NUMBER}|{_WORD})"
_UNITS = (
    "times|nats|percent|microseconds?|milliseconds?|seconds?|s|ms|minutes?|hours?|core-hours?|bytes|KiB|MiB|GiB|kB|MB|GB"
    "|dollars?|times as \\w+"
)
_LOOKS = (
    rf"{_NUMBER} ?± ?{_DIGITS}|± ?{_DIGITS}",  # with its spread
    rf"{_NUMBER}(?: ?%| ‰)(?!\w)",
    rf"(?<![\w,.^{{(\[/]){_EITHER}(?:(?:,| to| and| or) {_EITHER})*(?: more)?[ -](?:{_UNITS})\b",
    rf"(?<![\w,.])(?:{_FEW}|{_WORD})(?: to (?:{_FEW}|{_WORD}))? points\b",
    r"(?<![\w.,/^])[+−]?\d+\.\d+(?![\w]|\.\d)",  # a decimal, but no version
    rf"(?<![\w.,]){_DIGITS}e[+-]?\d+\b|{_DIGITS}·10[⁻⁰-⁹¹²³]+",
    r"(?<![\w.,(\[])[+−]\d[\d,.]*|(?<![\w.,])-\d+\.\d+",
    r"(?<![\w.,/)])1/\d[\d,]*\b",
    r"\$\d+(?:\.\d+)?",
    rf"(?<![\w,.]){_NUMBER} (?:[\w-]+ )?(?:a|per) (?:core-)?second\b",
    rf"\b(?:a|one|two|three) (?:{_PART})s?\b(?!-)",
    r"\b(?:more|less) than half\b|\bhalf of\b|\bhalf the (?:time|memory)\b",
    rf"(?<![\w.,]){_NUMBER} of {_NUMBER}\b",
)
_FIGURE = re.compile("|".join(f"(?:{each})" for each in _LOOKS))
_CELL = re.compile(rf"(?<=\|)[ *]*({_NUMBER}(?: (?:to|or) {_DIGITS})?(?: ?(?:%|MiB|ms|s))?)[ *]*(?=\|)")
_HIDDEN = (
    re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL),
    re.compile(r"(?:(?<=\n\n)|\A)(?: {4}.*\n+)+", re.MULTILINE),  # formulas
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"`[^`\n]+(?:\n[^`\n]+)?`"),
    re.compile(r"(?<=\])\([^)\s]+\)"),  # where a link leads
    re.compile(r"https?://\S+|arXiv:?\s*\d{4}\.\d{5}|(?:Apache-|Python |torch |torch-geometric )\d\.\d+"),
    re.compile(r"^\|(?:\s*:?-+:?\s*\|)+$", re.MULTILINE),
)
_PIECE = re.compile(rf"{_NUMBER}|\b(?:{_WORD}|{_PART})\b")


def hidden(text: str, spans: list[Span]) -> str:
    """The text with spaces in place of spans, so that what is left keeps its place."""
    letters = list(text)
    for start, end in spans:
        letters[start:end] = [c if c == "\n" else " " for c in letters[start:end]]
    return "".join(letters)


def prose(text: str) -> str:
    """The text without code, formulas, addresses and comments, everything in its place."""
    for pattern in _HIDDEN:
        text = hidden(text, [found.span() for found in pattern.finditer(text)])
    return text


def figures(text: str) -> Iterator[Span]:
    """Where something stands that looks measured, in order; the text is as `prose` gives it."""
    flat = text.replace("\n", " ")  # a figure and its unit may stand on two lines
    spans = [found.span() for found in _FIGURE.finditer(flat)]
    spans += [found.span(1) for found in _CELL.finditer(text)]
    end = -1
    for start, stop in sorted(spans):
        if start >= end:
            yield start, stop
            end = stop


def line_of(text: str, place: int) -> int:
    """The line a place is in, counted from 1."""
    return text.count("\n", 0, place) + 1


@dataclass(frozen=True)
class Flat:
    """A text whose white space is single spaces, and where each letter came from."""

    text: str
    places: list[int]

    @classmethod
    def of(cls, text: str) -> Flat:
        """Flatten; the mark of a quotation at a line's start is white space too."""
        words: list[str] = []
        places: list[int] = []
        for found in re.finditer(r"\S+", text):
            start, end = found.span()
            if found[0] == ">" and text[start - 1 : start] in ("", "\n"):
                continue
            if words:
                places.append(start - 1)
            words.append(found[0])
            places.extend(range(start, end))
        return cls(" ".join(words), places)

    def find(self, fragment: str) -> list[Span]:
        """Where a fragment stands in the original text."""
        wanted = " ".join(fragment.split())
        return [self.span(found.span()) for found in re.finditer(re.escape(wanted), self.text)] if wanted else []

    def like(self, sentence: str) -> list[Span]:
        """Where the sentence stands with whatever figures."""
        flat, parts, last = " ".join(sentence.split()), [], 0
        for found in _PIECE.finditer(flat):
            parts += [re.escape(flat[last : found.start()]), f"(?:{_PIECE.pattern})"]
            last = found.end()
        pattern = "".join([*parts, re.escape(flat[last:])])
        return [self.span(found.span()) for found in re.finditer(pattern, self.text)]

    def span(self, found: Span) -> Span:
        """A span of the flat text in the original one."""
        return self.places[found[0]], self.places[found[1] - 1] + 1


def with_figures_of(stands: str, sentence: str) -> str:
    """What stands, line breaks and all, with the figures of a sentence that is like it."""
    wanted = iter(_PIECE.findall(" ".join(sentence.split())))
    return _PIECE.sub(lambda _: next(wanted), stands)


def covered(span: Span, by: list[Span]) -> bool:
    """Whether a span lies within one of the sorted spans."""
    place = bisect_right([start for start, _ in by], span[0])
    return any(start <= span[0] and span[1] <= end for start, end in by[:place])
