"""Make every NAME.ipynb here from NAME.py, whose cells are parted by lines that start with `# %%`.

    python notebooks/build.py               # the notebooks, as committed: without outputs
    python notebooks/build.py --execute     # also run each, and keep it with what it shows in build/notebooks/

The tests compare scripts and notebooks and run them; `make docs` shows what build/notebooks/ holds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HERE = Path(__file__).parent
EXECUTED = HERE.parent / "build" / "notebooks"
MARK = "# %%"


def scripts() -> list[Path]:
    """The scripts that notebooks are made of, in alphabetical order."""
    return sorted(script for script in HERE.glob("*.py") if script.name != Path(__file__).name)


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
    import nbformat

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


def execute(name: str) -> None:
    """Run a notebook in build/notebooks/ and keep it there with its outputs."""
    import nbclient
    import nbformat

    EXECUTED.mkdir(parents=True, exist_ok=True)
    read = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    nbclient.NotebookClient(
        read, timeout=900, kernel_name="python3", resources={"metadata": {"path": EXECUTED}}
    ).execute()
    nbformat.write(read, EXECUTED / f"{name}.ipynb")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--execute", action="store_true")
    parser.add_argument("names", nargs="*", help="only these, by the names of their scripts")
    arguments = parser.parse_args()
    for script in scripts():
        if arguments.names and script.stem not in arguments.names:
            continue
        script.with_suffix(".ipynb").write_text(notebook(script.read_text(encoding="utf-8")), encoding="utf-8")
        if arguments.execute:
            execute(script.stem)
