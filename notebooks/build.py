"""Make quickstart.ipynb from quickstart.py, whose cells are parted by lines that start with `# %%`.

    python notebooks/build.py

The notebook is committed without outputs; the tests compare the two and run it.
"""

from __future__ import annotations

from pathlib import Path

import nbformat

HERE = Path(__file__).parent
MARK = "# %%"


def cells(text: str) -> list[tuple[str, str]]:
    """The cells of a percent script as (kind, source), kind ``markdown`` or ``code``."""
    found = []
    for chunk in f"\n{text}".split(f"\n{MARK}")[1:]:
        head, _, body = chunk.partition("\n")
        if head.strip() not in ("", "[markdown]"):
            raise ValueError(f"unknown kind of cell: {MARK}{head}")
        lines = body.strip("\n").splitlines()
        if not head.strip():
            found.append(("code", "\n".join(lines)))
            continue
        bare = [line for line in lines if not line.startswith("#")]
        if bare:
            raise ValueError(f"a line of a markdown cell must start with '#': {bare[0]!r}")
        found.append(("markdown", "\n".join(line[1:].removeprefix(" ") for line in lines)))
    return found


def notebook(text: str) -> str:
    """The notebook's file for a percent script; equal scripts give equal files."""
    made = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    built = nbformat.v4.new_notebook(
        cells=[made[kind](source, id=f"cell-{i:02d}") for i, (kind, source) in enumerate(cells(text))],
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )
    nbformat.validate(built)
    return nbformat.writes(built) + "\n"


if __name__ == "__main__":
    script = HERE / "quickstart.py"
    script.with_suffix(".ipynb").write_text(notebook(script.read_text(encoding="utf-8")), encoding="utf-8")
