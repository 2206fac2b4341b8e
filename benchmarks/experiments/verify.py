"""Does every figure in README and docs say what the rows of results/ say? Exits 1 where one does not.

    python benchmarks/experiments/verify.py            # a line each: page, line, what stands, what is due
    python benchmarks/experiments/verify.py --write    # puts the figures due in their places first; or: --write PAGE
    python benchmarks/experiments/verify.py --json

Three kinds of figures stand in the pages. **Blocks**, between `<!-- figures: NAME -->` and `<!-- end figures -->`,
are made anew by the functions of registry.py. **Sentences** are made by the functions of claims/, and must stand in
their page word by word. Every **other** number that looks measured (prose.py says which do) must lie within a
fragment that allowed.txt gives a reason: a setting, a figure that others published, one that a runnable block of its
page shows, or one that was measured once and has no row. A fragment that its page holds no longer is told too.

Seconds; nothing is measured or trained.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from blocks import BLOCK, filled
from pointvae.writing import write_text
from prose import Flat, Span, covered, figures, hidden, line_of, prose, with_figures_of
from registry import BLOCKS, SENTENCES
from runs import ROOT

ALLOWED = Path(__file__).with_name("allowed.txt")
ANYWHERE = "*"
Pages = dict[str, str]


@dataclass(frozen=True)
class Difference:
    """One thing that a page says and the rows do not.

    Attributes:
        page: from the repository's root.
        line: counted from 1.
        stands: what the page has there.
        due: what the rows say, or what to do.
    """

    page: str
    line: int
    stands: str
    due: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: stands: {self.stands!r}; due: {self.due!r}"


def read_pages() -> Pages:
    """README and docs, by their paths from the repository's root."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def read_allowed(text: str) -> dict[str, list[str]]:
    """The fragments by page; each line is `FRAGMENT  # REASON`, under a `[PAGE]`."""
    found: dict[str, list[str]] = {}
    page = ANYWHERE
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("[docs/") or line in ("[README.md]", f"[{ANYWHERE}]"):
            page = line.strip("[]")
        elif line.strip() and not line.startswith("# "):
            fragment, _, reason = line.rpartition("  # ")
            if not fragment.strip() or not reason.strip():
                raise ValueError(f"{ALLOWED.name}, line {number}: write FRAGMENT  # REASON")
            found.setdefault(page, []).append(fragment.strip())
    return found


def written(pages: Pages) -> Pages:
    """The pages with every figure that is due in its place; sentences that need other words are left as they are."""
    made = {page: filled(text, BLOCKS) for page, text in pages.items()}
    for page, sentences in SENTENCES.items():
        for sentence in sentences():
            flat = Flat.of(made[page])
            like = [] if flat.find(sentence) else flat.like(sentence)
            if len(like) == 1:
                start, end = like[0]
                made[page] = made[page][:start] + with_figures_of(made[page][start:end], sentence) + made[page][end:]
    return made


def differences(pages: Pages, allowed: dict[str, list[str]]) -> Iterator[Difference]:
    """All that pages and rows do not agree in, page by page."""
    yield from _strangers(pages)
    for page, text in pages.items():
        yield from _blocks(page, text)
        known = list(_sentences(page, text))
        yield from (each for each in known if isinstance(each, Difference))
        spans = [each for each in known if not isinstance(each, Difference)]
        flat = Flat.of(text)
        for fragment in allowed.get(page, []):
            found = flat.find(fragment)
            spans += found
            if not found:
                yield Difference(page, 1, "", f"{fragment} (no longer here: take the line out of {ALLOWED.name})")
        spans += [span for fragment in allowed.get(ANYWHERE, []) for span in flat.find(fragment)]
        yield from _others(page, text, sorted(spans))


def _strangers(pages: Pages) -> Iterator[Difference]:
    """Names that only the registry or the pages know."""
    shown = {found[2] for text in pages.values() for found in BLOCK.finditer(text)}
    for name in sorted(set(BLOCKS) - shown):
        yield Difference("README.md", 1, "", f"the block <!-- figures: {name} -->, which stands in no page")
    for page in sorted(set(SENTENCES) - set(pages)):
        yield Difference(page, 1, "", "a page: registry.py has sentences of it")


def _blocks(page: str, text: str) -> Iterator[Difference]:
    for found in BLOCK.finditer(text):
        start = line_of(text, found.start(3))
        if found[2] not in BLOCKS:
            yield Difference(page, start, found[2], "a block that registry.py knows")
            continue
        if not re.search(r"\d", found[3]):
            continue  # laid out before the figures were in: it says nothing yet
        stands, due = found[3].strip().splitlines(), BLOCKS[found[2]]().splitlines()
        start += found[3][: len(found[3]) - len(found[3].lstrip())].count("\n")
        for number in range(max(len(stands), len(due))):
            here, there = ("".join(lines[number : number + 1]) for lines in (stands, due))
            if here != there:
                yield Difference(page, start + number, here, there)


def _sentences(page: str, text: str) -> Iterator[Difference | Span]:
    """Where the sentences of a page stand, or what stands in their place."""
    if page not in SENTENCES:
        return
    flat = Flat.of(text)
    for sentence in SENTENCES[page]():
        found = flat.find(sentence)
        yield from found
        if not found:
            like = flat.like(sentence)
            start, end = like[0] if like else (0, 0)
            yield from like  # told once
            yield Difference(page, line_of(text, start), " ".join(text[start:end].split()), sentence)


def _others(page: str, text: str, spans: list[Span]) -> Iterator[Difference]:
    """Figures that nothing accounts for."""
    plain = prose(hidden(text, [found.span() for found in BLOCK.finditer(text)]))
    for start, end in figures(plain):
        if not covered((start, end), spans):
            around = " ".join(text[max(0, start - 30) : end + 20].split())
            yield Difference(
                page, line_of(text, start), around, f"a sentence in claims/, or a line in {ALLOWED.name}"
            )


def main(arguments: list[str] | None = None) -> int:
    """Compare, and write first where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--write",
        nargs="*",
        metavar="PAGE",
        help="put the figures due in their places first, of all pages or of these",
    )
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")
    chosen = parser.parse_args(arguments)
    pages = read_pages()
    if chosen.write is not None:
        for page, text in written(pages).items():
            if text != pages[page] and page in (chosen.write or pages):
                write_text(ROOT / page, text)
                pages[page] = text
    found = list(differences(pages, read_allowed(ALLOWED.read_text(encoding="utf-8"))))
    if chosen.json:
        print(json.dumps({"pages": len(pages), "differences": [asdict(each) for each in found]}, ensure_ascii=False))
    else:
        for each in found:
            print(each)
        print(f"{len(pages)} pages, {len(found)} differences", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
