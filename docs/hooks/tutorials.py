"""The notebooks as pages, from their scripts; with what they show where `make notebooks` has run them."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
from collections.abc import Iterator
from typing import Any

from places import ROOT

NOTEBOOKS = ROOT / "notebooks"
EXECUTED = ROOT / "build" / "notebooks"
NOT_RUN = "\n*This page was made without running the notebook: `make notebooks` runs it and adds what it shows.*\n"

_spec = importlib.util.spec_from_file_location("notebooks_build", NOTEBOOKS / "build.py")
assert _spec is not None and _spec.loader is not None
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)


def names() -> list[str]:
    """The notebooks, by the names of their scripts."""
    return [script.stem for script in build.scripts()]


def pages(name: str) -> Iterator[tuple[str, str | bytes]]:
    """The page of a notebook and its pictures, as (path on the site, content)."""
    cells = build.cells((NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8"))
    shown = _shown(name, cells)
    text: list[str] = []
    number = 0
    for place, (kind, source) in enumerate(cells):
        text.append(source if kind == "markdown" else f"```python\n{source}\n```")
        for output in shown.get(place, []):
            if "image/png" in output.get("data", {}):
                picture = f"tutorials/images/{name}-{number:02d}.png"
                yield picture, base64.b64decode(output["data"]["image/png"])
                text.append(f"![What the cell above shows](images/{picture.rsplit('/', 1)[1]})")
                number += 1
            elif words := output.get("text") or output.get("data", {}).get("text/plain"):
                text.append(f"```text\n{_bare(words)}\n```")
        if place == 0:
            told = f"\nA notebook: `notebooks/{name}.ipynb` in the repository, for Jupyter.\n"
            text.append(told if shown else told + NOT_RUN)
    yield f"tutorials/{name}.md", "\n\n".join(text) + "\n"


def _shown(name: str, cells: list[tuple[str, str]]) -> dict[int, list[dict[str, Any]]]:
    """The outputs of each cell, where the notebook that was run is this script's; nothing where it is older."""
    path = EXECUTED / f"{name}.ipynb"
    if not path.is_file():
        return {}
    made = json.loads(path.read_text(encoding="utf-8"))["cells"]
    if [(cell["cell_type"], "".join(cell["source"])) for cell in made] != cells:
        return {}
    return {place: cell.get("outputs", []) for place, cell in enumerate(made)}


def _bare(words: str | list[str]) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", "".join(words)).rstrip("\n")
