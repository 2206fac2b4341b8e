"""Every figure in README and docs is one that the rows of results/ give, or has a reason why none has to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import methods
import modelnet40
import speed
import verify
from prose import Flat, figures, prose
from runs import ROOT, add_rows, read_rows

ALLOWED = verify.read_allowed(verify.ALLOWED.read_text(encoding="utf-8"))
PAGES = verify.read_pages()
SHIPPED = {str(each) for each in verify.differences(PAGES, ALLOWED)}


@pytest.fixture
def pages(monkeypatch):
    """The shipped pages, to be changed; `verify.py` reads these, and writes none."""
    changed = dict(PAGES)
    monkeypatch.setattr(verify, "read_pages", lambda: changed)
    monkeypatch.setattr(verify, "write_text", lambda path, text: pytest.fail("a page was written"))
    return changed


@pytest.fixture
def rows(monkeypatch, tmp_path):
    """Changes a column in those rows of a module that have certain values."""

    def change(module, column, value, **where):
        found = read_rows(module.RESULTS)
        for row in found:
            if all(row[name] == wanted for name, wanted in where.items()):
                row[column] = value
        path = tmp_path / module.RESULTS.name
        add_rows(path, list(found[0]), found)
        monkeypatch.setattr(module, "RESULTS", path)

    return change


def change(pages, page, old, new):
    assert pages[page].count(old) == 1, old
    pages[page] = pages[page].replace(old, new)


def told(capsys):
    """The lines that verify.py prints, without those of the shipped pages, of which one test tells."""
    code, lines = verify.main([]), capsys.readouterr().out.splitlines()
    assert code == bool(lines)
    return [line for line in lines if line not in SHIPPED]


def test_every_figure_of_the_shipped_pages_is_what_the_rows_say():
    script = Path(verify.__file__)
    done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_a_changed_row_is_told_with_page_line_and_both_figures(pages, rows, capsys):
    rows(modelnet40, "accuracy", "0.5", config="cr-vae", seed="1", rotation="z", feature="posterior_mean")
    found = told(capsys)
    line = PAGES["README.md"].split("| cr-vae |")[0].count("\n") + 1
    stands, due = "stands: '| cr-vae | 82.9 ± 0.3 | 73.1 ± 0.2", "due: '| cr-vae | 82.9 ± 0.3 | 65.5 ± 13.4"
    assert any(each.startswith(f"README.md:{line}: {stands}") and due in each for each in found)
    assert any("`cr-vae` by 1.6 to 7.1" in each and "`cr-vae` by -0.6 to 3.8" in each for each in found)


def test_figures_that_are_words_change_with_their_rows(pages, rows, capsys):
    rows(methods, "consistency_gap", "105.8", method="ladder")
    assert any("its gap is eight times" in each and "its gap is two times" in each for each in told(capsys))


def test_words_that_no_longer_hold_are_told(pages, rows, capsys):
    rows(speed, "ratio", "1.70", row="sample-open3d")
    assert any("[no longer: **Open3D** draws points" in each for each in told(capsys))


CHANGED = [
    ("README.md", "| cr-vae | 82.9 ± 0.3 |", "| cr-vae | 83.9 ± 0.3 |"),
    ("README.md", "by 0.37 nats per point", "by 0.47 nats per point"),
    ("docs/evaluation.md", "82.9 ± 0.3 %", "84.9 ± 0.3 %"),
    ("docs/methods.md", "its gap is eight\ntimes", "its gap is nine\ntimes"),
]


def test_changed_figures_of_pages_are_told_and_written_anew(pages, capsys):
    for page, old, new in CHANGED:
        change(pages, page, old, new)
    found = told(capsys)
    assert len(found) == len(CHANGED)
    for line, (page, old, _) in zip(found, CHANGED, strict=True):
        where = PAGES[page].split(old)[0].count("\n") + 1
        assert line.startswith(page + ":") and abs(int(line.split(":")[1]) - where) <= 2  # a sentence may begin above
    written = verify.written(pages)
    assert all(written[page] == PAGES[page] for page, _, _ in CHANGED)


NEW = """
It is 12.5 % better.
It gains 3 points.
It gains three
points.
It takes 71 seconds.
It takes a fifth of the time.
It is seven times as fast.
It needs 1/17 of the memory.
It ends at 0.24.
It has 14 ± 2 of them.
It needs 230 MiB.
It loses 5 nats.
It reads 300 shapes a second.

| a | 337 |

> It is 12.6 % better.
"""


def test_new_figures_that_nothing_accounts_for_are_told(pages, capsys):
    pages["docs/faq.md"] += NEW
    last = PAGES["docs/faq.md"].count("\n")
    lines = [last + place for place, line in enumerate(NEW.split("\n"), 1) if line not in ("", "points.")]
    found = told(capsys)
    assert [each.split(": ")[0] for each in found] == [f"docs/faq.md:{line}" for line in lines]
    assert all("allowed.txt" in each for each in found)


@pytest.mark.parametrize(
    "text",
    [
        "```\nloss 0.5\n```",
        "`--sigma 0.05`",
        "A formula:\n\n    L = 0.5 x\n\nno more.",
        "<!-- 12 % -->",
        "[a](figure-0.5.md)",
        "See https://example.org/0.5.",
        "1,024 points of each, three seeds, 64 latents",
        "Version 0.1.0 of pointvae, Python 3.10",
        "| column | 3 bits |\n|---|---|",
        "arXiv 1512.03012",
    ],
)
def test_code_names_settings_and_counts_are_no_figures(text):
    assert not [prose(text)[start:end] for start, end in figures(prose(text))]


def test_figures_are_told_as_json(pages, capsys):
    pages["docs/faq.md"] += "\nIt is 12.5 % better.\n"
    assert verify.main(["--json"]) == 1
    found = json.loads(capsys.readouterr().out)["differences"]
    assert [each["page"] for each in found if "It is 12.5 %" in each["stands"]] == ["docs/faq.md"]


def test_a_block_that_is_gone_or_unknown_is_told(pages, capsys):
    change(pages, "README.md", "<!-- figures: modelnet40 -->", "<!-- figures: modelnet -->")
    found = told(capsys)
    assert len(found) == 2 and "<!-- figures: modelnet40 -->" in found[0] and "registry.py" in found[1]


def test_a_fragment_that_its_page_holds_no_longer_is_told(pages, capsys):
    change(pages, "docs/methods.md", "Adam at 0.003", "Adam at 3/1000")
    (found,) = told(capsys)
    assert "Adam at 0.003 (no longer here: take the line out of allowed.txt)" in found


def test_a_page_that_waits_for_its_first_rows_is_not_told(pages, capsys):
    block = next(verify.BLOCK.finditer(PAGES["docs/viewer.md"]))
    pages["docs/viewer.md"] = PAGES["docs/viewer.md"].replace(block[3], "*Not run yet.*\n")
    assert told(capsys) == []


def test_a_sentence_is_found_over_lines_and_in_quotations():
    flat = Flat.of("a > b\n> It is\n> 5 % of\n  it.")
    ((start, end),) = flat.find("It is 5 % of it.")
    assert (start, end) == (8, 28) and flat.like("It is 6 % of it.") == [(8, 28)] and flat.find("a > b It")


def test_a_fragment_without_a_reason_is_refused():
    with pytest.raises(ValueError, match="line 2"):
        verify.read_allowed("[docs/faq.md]\n0.05 of it\n")
    assert verify.read_allowed("[docs/faq.md]\n| 1 | # | 2 |  # a setting\n") == {"docs/faq.md": ["| 1 | # | 2 |"]}


def test_figures_measured_once_are_few():
    text = verify.ALLOWED.read_text(encoding="utf-8")
    assert text.count("  # measured once, no row kept") <= 40


def test_figures_of_one_page_are_written_alone(pages, monkeypatch):
    for page, old, new in CHANGED:
        change(pages, page, old, new)
    files = {}
    monkeypatch.setattr(verify, "write_text", lambda path, text: files.update({path: text}))
    verify.main(["--write", "docs/evaluation.md"])
    assert files == {ROOT / "docs" / "evaluation.md": PAGES["docs/evaluation.md"]}
    assert pages["docs/evaluation.md"] == PAGES["docs/evaluation.md"] and pages["README.md"] != PAGES["README.md"]
