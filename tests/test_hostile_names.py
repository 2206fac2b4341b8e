"""Names of classes and shapes that would run, format or steer something, from the folder to the report."""

import contextlib
import csv
import dataclasses
import html.parser
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from pointvae import cli
from pointvae.command import run

CLASSES = [
    '<img src=x onerror="alert(1)">',
    "=HYPERLINK(1+1)",
    "\x1b[2J\x1b]0;owned\x07",
    "a\nb\n## Injected | x |",
    "`$(id)` ${HOME} {{7*7}}",
    "\u202egnp.exe",
    "</td></table>' \" & <b>",
    "--- \nlicense: mit",
]


@dataclasses.dataclass
class Told:
    """What a command wrote."""

    stdout: str
    stderr: str


def pointvae(*words: object, code: int = 0) -> Told:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert run(cli.VERBS, [str(word) for word in words]) == code, err.getvalue()
    check_terminal(err.getvalue())
    check_terminal(out.getvalue())
    return Told(out.getvalue(), err.getvalue())


def check_terminal(text: str) -> None:
    """Nothing that a terminal obeys, but ends of lines and what a progress bar needs: there is none here."""
    assert not re.findall(r"[\x00-\x08\x0b-\x1f\x7f\x9b\u202a-\u202e\u2066-\u2069]", text), repr(text)


class Page(html.parser.HTMLParser):
    """What a browser would make of a page: its elements, their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))


def check_page(text: str, allowed_scripts: int) -> None:
    page = Page()
    page.feed(text)
    for _, attributes in page.elements:
        assert not any(name.startswith("on") and "alert" in str(value) for name, value in attributes.items())
        assert "alert(1)" not in str(attributes.get("src", ""))
    assert not any(tag == "img" and attributes.get("src") == "x" for tag, attributes in page.elements)
    assert sum(tag == "script" for tag, _ in page.elements) == allowed_scripts
    assert "<b>" not in text.replace("<body>", "")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset and a run whose classes bear hostile names; and the same with plain ones."""
    root = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    for kind, classes in (("hostile", CLASSES), ("plain", [f"class {i}" for i in range(len(CLASSES))])):
        arrays = {"classes": np.array(classes)}
        for split, count in (("train", 6), ("test", 2)):
            labels = np.arange(count * len(classes)) % len(classes)
            arrays[f"{split}_points"] = (rng.normal(size=(len(labels), 32, 3)) + labels[:, None, None]).astype("f4")
            arrays[f"{split}_labels"] = labels
            arrays[f"{split}_names"] = np.array([f"{classes[label]} {row}" for row, label in enumerate(labels)])
        np.savez(root / f"{kind}.npz", **arrays)
        pointvae("prepare", root / f"{kind}.npz", root / kind, "--points", 16)
    return root


@pytest.fixture(scope="module")
def trained(made: Path) -> Path:
    """With a run of each, and its evaluation."""
    for kind in ("hostile", "plain"):
        sizes = [
            "--model.encoder_args.widths",
            "[8,8]",
            "--model.decoder_args.widths",
            "[8,8]",
            "--model.latent_dim",
            4,
        ]
        few = ["--epochs", 1, "--points", 16, "--batch_size", 8]
        pointvae("train", made / kind, made / f"run-{kind}", *few, *sizes)
        pointvae("evaluate", made / f"run-{kind}", made / kind, "--quick", "--out", made / f"out-{kind}")
    return made


def test_the_terminal_shows_hostile_names_and_obeys_none(made, tmp_path):
    told = pointvae("inspect", made / "hostile").stderr
    assert "HYPERLINK" in told
    assert "\\x1b[2J" in told
    told = pointvae("inspect", made / "hostile", "--json").stdout
    assert sorted(json.loads(told)["classes"]) == sorted(CLASSES)  # the names themselves are kept


def test_a_message_with_a_hostile_name_is_one_line_that_a_terminal_shows(tmp_path):
    name = "a\x1b[31m\nb.off"
    (tmp_path / name).write_bytes(b"junk")
    told = pointvae("inspect", tmp_path, code=2).stderr
    assert len([line for line in told.splitlines() if not line.startswith("reading")]) == 1
    assert "\\x1b[31m" in told


def test_the_cards_of_hostile_names_say_what_those_of_plain_ones_do(made):
    heads, bodies = {}, {}
    for kind in ("hostile", "plain"):
        text = (made / kind / "README.md").read_text(encoding="utf-8")
        head, bodies[kind] = re.fullmatch(r"---\n(.*?\n)---\n(.*)", text, re.DOTALL).groups()
        heads[kind] = yaml.safe_load(head)
    assert heads["hostile"]["pointvae"]["classes"] == CLASSES
    assert heads["hostile"]["license"] == heads["plain"]["license"]
    assert set(heads["hostile"]) == set(heads["plain"])
    bodies = {kind: re.sub(r"```python.*?```", "", body, flags=re.DOTALL) for kind, body in bodies.items()}
    for pattern in (r"^#+ ", r"^\|.*\|$", r"^- ", r"^```"):  # as many headings, rows and items
        counts = [len(re.findall(pattern, bodies[kind], re.MULTILINE)) for kind in ("hostile", "plain")]
        assert counts[0] == counts[1], pattern
    assert "<img" not in bodies["hostile"]
    assert "\x1b" not in bodies["hostile"]
    rows = [row for row in bodies["hostile"].splitlines() if row.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows[: len(CLASSES) + 3]}) == 1


@pytest.mark.slow
def test_the_report_of_hostile_names_runs_nothing_that_one_of_plain_names_does_not(trained):
    scripts = {}
    for kind in ("plain", "hostile"):
        page = Page()
        page.feed((trained / f"out-{kind}" / "report.html").read_text(encoding="utf-8"))
        scripts[kind] = sum(tag == "script" for tag, _ in page.elements)
    text = (trained / "out-hostile" / "report.html").read_text(encoding="utf-8")
    check_page(text, scripts["plain"])
    assert "&lt;img src=x onerror=" in text or "\\u003cimg" in text
    assert "\x1b" not in text


@pytest.mark.slow
def test_no_cell_of_a_table_that_is_written_begins_a_formula(trained):
    names = ("<img", "onerror", "HYPERLINK(1+1)\x1b")
    card = (trained / "run-hostile" / "README.md").read_text(encoding="utf-8")
    assert not any(name in card for name in names)
    files = [path for path in trained.rglob("*.csv") if "hostile" in str(path)]
    assert files
    for path in files:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.reader(stream):
                for cell in row:
                    assert not cell.startswith(("=", "@", "\t", "\r")), (path.name, cell)
                    assert not re.match(r"[+-](?![\d.]|inf|nan)", cell), (path.name, cell)
