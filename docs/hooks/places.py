"""Links that lead somewhere on GitHub lead somewhere on the site, too: where each file of the repository is shown."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
PAGES = {"README.md": "readme.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages at the root of the repository, and their names on the site."""

_FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def on_site(path: str) -> str:
    """Where the site shows a file of the repository, as the source path of a page or a picture."""
    if path in PAGES:
        return PAGES[path]
    inside = PurePosixPath(path)
    if inside.parts[0] == "docs":
        return posixpath.join(*inside.parts[1:])
    if inside.parts[0] == "notebooks":
        page = f"{inside.stem}.md" if inside.suffix in (".py", ".ipynb") else posixpath.join(*inside.parts[1:])
        return f"tutorials/{page}"
    if inside.parts[0] == "results" and inside.suffix == ".csv":
        return f"results/{inside.stem}.md"
    return f"files/{path}.md"


def links(text: str, source: str) -> list[str]:
    """The files of the repository that a page links to; ``source`` is the page's own path in it."""
    found = [target for _, target, _ in _LINK.findall(_FENCE.sub("", text))]
    return [_resolve(target, source) for target in found if not re.match(r"[a-z]+:|#", target)]


def relinked(text: str, source: str) -> str:
    """A page's text with the links of the repository turned into links of the site."""
    here = posixpath.dirname(on_site(source))

    def one(match: re.Match[str]) -> str:
        target = match[2]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        anchor = target[target.index("#") :] if "#" in target else ""
        return f"{match[1]}{posixpath.relpath(on_site(_resolve(target, source)), here or '.')}{anchor}{match[3]}"

    parts = _FENCE.split(text)
    return "".join(part if part.startswith("```") else _LINK.sub(one, part) for part in parts)


def _resolve(target: str, source: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target.partition("#")[0]))
