"""The site is built without a warning, asks nothing of other servers, and leaves nothing public out."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pointvae
from pointvae.cli import VERBS

ROOT = Path(__file__).parents[1]
HOOKS = ROOT / "docs" / "hooks"
FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|object|embed)\b[^>]*\b(?:src|data)=[\"']?(https?:)?//", re.I
)
LINKED = re.compile(r"<link\b[^>]*\bhref=[\"']?(https?:)?//[^>]*", re.I)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    pytest.importorskip("mkdocs", reason="the site's packages are absent: pip install 'pointvae[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return folder


def test_no_page_asks_anything_of_another_server(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not FETCHED.search(text), page.name
        assert not LINKED.search(text), page.name
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import )[\"']?https?:", style.read_text(encoding="utf-8")), style.name


def test_what_would_ask_another_server_is_recognised():
    for asking in (
        '<script src="https://e.org/x.js">',
        "<img alt=a src=//e.org/z.png>",
        "<iframe src='http://e.org'>",
    ):
        assert FETCHED.search(asking)
    assert LINKED.search('<link rel="stylesheet" href="https://e.org/css?family=Roboto">')
    assert not FETCHED.search('<script src="assets/x.js"></script><a href="https://e.org">e</a>')
    assert not LINKED.search('<link rel="stylesheet" href="style.css">')


def test_every_public_name_and_every_command_with_its_options_is_in_the_reference(site):
    python = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in pointvae.__all__:
        assert name == "__version__" or re.search(rf'id="pointvae\.[\w.]*\b{name}"', python), name
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    for verb in VERBS:
        assert f'id="{verb}"' in commands
    assert "--shapes_per_class" in commands and "--learning_rate" in commands


def test_what_lies_outside_of_docs_is_reachable(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    for page in (
        "readme.html",
        "contributing.html",
        "changelog.html",
        "decisions/index.html",
        "tutorials/quickstart.html",
    ):
        assert (site / page).is_file()
        assert page in home, page


def test_lists_and_links_are_turned_into_those_of_the_site(monkeypatch):
    monkeypatch.syspath_prepend(str(HOOKS))
    from dialect import for_the_site
    from places import relinked

    assert for_the_site("Text:\n- a\n  b\n\n      code\n") == "Text:\n\n- a\n    b\n\n        code\n"
    assert for_the_site("```\na\n- b\n```\n") == "```\na\n- b\n```\n"
    text = "[a](../README.md#x) [b](faq.md) [c](../notebooks/quickstart.ipynb) [d](https://e.org) [e](#f)\n"
    told = "[a](readme.md#x) [b](faq.md) [c](tutorials/quickstart.md) [d](https://e.org) [e](#f)\n"
    assert relinked(text, "docs/start.md") == told
    assert relinked("[a](../bound.md) [b](../../results/speed.csv)", "docs/mathematics/iwae.md") == (
        "[a](../bound.md) [b](../results/speed.md)"
    )
