"""What mkdocs calls: pages that are made of other files, and links that fit the site.

Pages are written for GitHub and shown on the site as they stand. Made here are the tutorials (of the notebooks'
scripts), the reference (of the package), the tables of results, the pages at the root of the repository, and any
other file of it that a page links to.
"""

from __future__ import annotations

import posixpath
from typing import Any

import places
import reference
import tutorials
from dialect import for_the_site
from mkdocs.structure.files import File, Files
from places import PAGES, ROOT, links, relinked

import results

_sources: dict[str, str] = {}  # page on the site -> the file of the repository that it shows


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that are made."""
    _sources.clear()

    def add(path: str, content: str | bytes, source: str = "") -> None:
        files.append(File.generated(config, path, content=content))
        if source:
            _sources[path] = source

    for file in files.documentation_pages():
        _sources[file.src_uri] = f"docs/{file.src_uri}"
    for source, page in PAGES.items():
        add(page, (ROOT / source).read_text(encoding="utf-8"), source)
    for name in tutorials.names():
        for path, content in tutorials.pages(name):
            add(path, content, f"notebooks/{name}.py" if path.endswith(".md") else "")
    for name in results.names():
        add(f"results/{name}.md", results.page(name))
    for path, make in reference.PAGES.items():
        add(path, make())
    for path in sorted(_linked(files) - {file.src_uri for file in files}):
        source = path.removeprefix("files/").removesuffix(".md")
        if path.startswith("files/") and (ROOT / source).is_file():
            add(path, _file(source))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """A page as the site wants it."""
    source = _sources.get(page.file.src_uri)
    return markdown if source is None else for_the_site(relinked(markdown, source))


def _linked(files: Files) -> set[str]:
    """Everything on the site that the repository's pages link to."""
    by_path = {file.src_uri: file for file in files}
    return {
        places.on_site(link)
        for path, source in _sources.items()
        for link in links(by_path[path].content_string, source)
    }


def _file(source: str) -> str:
    """A file of the repository as a page."""
    kind = posixpath.splitext(source)[1].lstrip(".")
    text = (ROOT / source).read_text(encoding="utf-8")
    return f"# {source}\n\n````{kind}\n{text.rstrip()}\n````\n"
