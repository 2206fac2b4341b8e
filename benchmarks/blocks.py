"""What a page shows of the rows stands between two comments, `<!-- figures: NAME -->` and `<!-- end figures -->`.

Tables and sentences there are made anew by a function of that name and are not to be edited by hand;
`experiments/verify.py` looks whether they still say what the rows say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pointvae.writing import write_text

BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n)(.*?)(<!-- end figures -->)", re.DOTALL)
Makers = Mapping[str, Callable[[], str]]


def filled(text: str, makers: Makers) -> str:
    """The page's text with every block that has a maker made anew."""

    def anew(found: re.Match[str]) -> str:
        made = makers[found[2]]() if found[2] in makers else found[3]
        return found[0] if made.strip() == found[3].strip() else f"{found[1]}\n{made}\n\n{found[4]}"

    return BLOCK.sub(anew, text)


def fill(page: Path, makers: Makers) -> None:
    """Make the blocks of a page anew, and leave what stands around them."""
    write_text(page, filled(page.read_text(encoding="utf-8"), makers))
