"""What README and docs show of the rows: the makers of the blocks by name, and of the sentences by page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import literature_page
import pretrained
import streaming

import costs
import methods_page
import modelnet40
import page
import pitfalls
import soak
import speed
import viewer
from claims import methods as of_methods
from claims import others, readme
from claims import pitfalls as of_pitfalls
from runs import ROOT

sys.path.append(str(ROOT))
from tests.faults import kills, summary

BLOCKS: dict[str, Callable[[], str]] = {
    "modelnet40": modelnet40.table,
    "modelnet40-paired": modelnet40.paired,
    **methods_page.BLOCKS,
    **literature_page.BLOCKS,
    **costs.BLOCKS,
    **speed.BLOCKS,
    **pitfalls.BLOCKS,
    "pretrained": pretrained.table,
    "streaming": streaming.table,
    "viewer": viewer.table,
    "faults": summary.table,
    "kills": kills.table,
    "soak": lambda: f"{soak.sentence()}.",
    **page.BLOCKS,
}
"""A block stands between `<!-- figures: NAME -->` and `<!-- end figures -->`, every one in some page."""

SENTENCES: dict[str, Callable[[], Iterator[str]]] = {
    "README.md": readme.sentences,
    "docs/evaluation.md": readme.cited,
    "docs/mathematics/pitfalls.md": of_pitfalls.sentences,
    "docs/methods.md": of_methods.sentences,
    "docs/speed.md": others.about_speed,
    "docs/costs.md": others.about_costs,
    "docs/viewer.md": others.about_viewer,
    "docs/streaming.md": others.about_streaming,
    "docs/pretrained.md": others.about_pretrained,
    "docs/literature.md": others.about_literature,
    "docs/faults.md": others.about_faults,
    "docs/hostile-files.md": others.about_hostile_files,
    "docs/results.md": others.about_results,
}
