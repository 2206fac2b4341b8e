"""What the pages say can be done: commands parse, links lead somewhere, blocks marked runnable run."""

import re
import shlex
from pathlib import Path
from textwrap import dedent
from urllib.parse import unquote

import pytest

from pointvae.cli import VERBS
from pointvae.command import make

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [*PAGES, *(path for path in sorted((ROOT / "notebooks").glob("*.py")) if path.name != "build.py")]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNNABLE = re.compile(r"^<!-- runnable -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(text: str) -> list[list[str]]:
    """The arguments of every `pointvae …` in shell blocks and in running text."""
    shell = "\n".join(body for kind, body in FENCE.findall(text) if kind in ("sh", "shell", "bash", "console"))
    lines = [line.removeprefix("$ ") for line in shell.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"(?<!`)`(pointvae\s[^`]+)`", FENCE.sub("", text))
    found = []
    for line in [*lines, *inline]:
        words = shlex.split(line, comments=True)
        if words[:1] == ["pointvae"]:
            end = next((i for i, word in enumerate(words) if word in ("|", ">", "&&", ";")), len(words))
            found.append(words[1:end])
    return [words for words in found if words and not words[0].startswith(("VERB", "--")) and "…" not in words]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


COMMANDS = [(name(page), words) for page in TEXTS for words in commands(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=lambda value: value if isinstance(value, str) else value[0])
def test_a_command_on_a_page_parses(page, words, monkeypatch):
    monkeypatch.chdir(ROOT)  # where configs/ is
    assert words[0] in VERBS, f"{page}: `pointvae {shlex.join(words)}`: there is no such verb"
    if len(words) > 1 and words[1:] != ["--help"]:
        make(words[0], VERBS[words[0]], words[1:])


def other_commands(text: str) -> list[str]:
    """The lines of shell blocks that begin with make or python."""
    shell = "\n".join(body for kind, body in FENCE.findall(text) if kind in ("sh", "shell", "bash", "console"))
    return [line for line in shell.splitlines() if line.split()[:1] in (["make"], ["python"])]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_make_and_python_are_asked_for_on_a_page_is_there(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in other_commands(page.read_text(encoding="utf-8")):
        program, *words = shlex.split(line, comments=True)
        if program == "make":
            assert set(words) <= targets, f"{name(page)}: {line}"
        elif words[0] not in ("-m", "-c"):
            assert (ROOT / words[0]).is_file() or "/" not in words[0], f"{name(page)}: {line}"


def test_every_page_has_a_place_in_the_sites_navigation():
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    shown = re.findall(r"(\S+\.md)$", nav, re.MULTILINE)
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    tutorials = [f"tutorials/{path.stem}.md" for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert set(pages + tutorials) - set(shown) == set(), "name them in mkdocs.yml, under nav"
    assert len(shown) == len(set(shown))


def test_every_page_is_in_the_list_of_pages():
    listed = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in listed, f"docs/README.md does not list {page.name}"
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"](../notebooks/{notebook.name})" in listed, f"docs/README.md does not list {notebook.name}"


def test_every_table_of_results_is_told_with_its_command():
    told = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for table in (ROOT / "results").glob("*.csv"):
        assert f"](../results/{table.name})" in told, f"docs/results.md does not tell of {table.name}"


def test_every_verb_is_shown_on_a_page():
    assert set(VERBS) <= {words[0] for _, words in COMMANDS}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_relative_link_leads_to_a_file_and_a_heading_that_exist(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{name(page)}: {target} does not exist"
        if anchor:
            assert anchor in anchors(place.read_text(encoding="utf-8")), f"{name(page)}: no heading for {target}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if RUNNABLE.search(page.read_text(encoding="utf-8"))], ids=name
)
def test_the_runnable_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(RUNNABLE.findall(page.read_text(encoding="utf-8"))):
        exec(compile(block, f"{name(page)}, block {number + 1}", "exec"), names)


def test_every_mark_of_a_runnable_block_stands_right_above_one():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("<!-- runnable -->") == len(RUNNABLE.findall(text)), name(page)


def test_every_file_of_a_run_and_a_dataset_folder_is_explained(tmp_path):
    import pointvae
    from pointvae.models.build import build_model

    pointvae.prepare("procedural", tmp_path / "shapes", shapes_per_class=2, points=32)
    small = {"latent_dim": 4, "points": 16, "encoder_args": {"widths": (8, 8)}, "decoder_args": {"widths": (8,)}}
    pointvae.fit(build_model(small, 0), tmp_path / "shapes", tmp_path / "run", epochs=1, accelerator="cpu")
    told = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    for folder in ("shapes", "run"):
        for path in (tmp_path / folder).iterdir():
            start = path.name.split("-0")[0]  # of a shard's name: how many there are is nobody's business
            assert f"`{start}" in told, f"{path.name} is not explained in docs/start.md"


def test_commands_are_found_where_people_write_them():
    page = dedent("""
        Use `pointvae inspect DATASET`, or `pointvae` alone, or `pointvae VERB --help`.
        ```sh
        pointvae train D R \\
            --epochs 3   # a comment
        make demo && echo
        pointvae probe R D --json > probe.json
        ```
        ```python
        pointvae = 1
        ```
    """)
    assert commands(page) == [
        ["train", "D", "R", "--epochs", "3"],
        ["probe", "R", "D", "--json"],
        ["inspect", "DATASET"],
    ]


def test_anchors_are_those_of_github():
    assert anchors("# Two likelihoods of a set\n## Other people's `x` distances\n") == {
        "two-likelihoods-of-a-set",
        "other-peoples-x-distances",
    }


def test_the_citation_names_the_version_of_the_package():
    import yaml

    import pointvae

    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert told["version"] == pointvae.__version__
