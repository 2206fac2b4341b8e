"""GitHub's Markdown as Python-Markdown wants it: a blank line before a list, four spaces within its items."""

from __future__ import annotations

import re

_ITEM = re.compile(r"(?:[-*]|\d+\.) ")


def for_the_site(text: str) -> str:
    """A page's text, changed where the two dialects differ."""
    out: list[str] = []
    fenced = listed = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        if not fenced:
            before = out[-1] if out else ""
            if _ITEM.match(line):
                if before.strip() and not listed:
                    out.append("")
                listed = True
            elif line and not line.startswith(" "):
                listed = listed and bool(before.strip())  # a lazy line goes on with its item
            elif listed and line.strip():
                line = _deeper(line)
        out.append(line)
    return "\n".join(out) + "\n"


def _deeper(line: str) -> str:
    """A line within an item: GitHub counts from the item's text, which stands 2 or 3 in, Python-Markdown from 4."""
    bare = line.lstrip(" ")
    depth = len(line) - len(bare)
    return " " * {2: 4, 3: 4, 4: 8, 5: 8, 6: 8, 7: 8}.get(depth, depth) + bare
