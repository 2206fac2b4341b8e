"""The section on retrieval."""

import dataclasses
import re
from types import SimpleNamespace

import pytest

from pointvae.evaluation.features import encode
from pointvae.evaluation.retrieval import measure_retrieval
from pointvae.evaluation.sections.retrieval import section
from pointvae.evaluation.views import View
from tests.evaluation.shapes import make_model, make_shapes
from tests.evaluation.test_report import Page

VIEW = View(24)
SHAPES = make_shapes(18)
SHAPES = dataclasses.replace(SHAPES, names=[f"<{name}>" for name in SHAPES.names])


def run(name, part):
    arrays = {f"retrieval/{key}": value for key, value in part.arrays.items()}
    return SimpleNamespace(name=name, metrics={"retrieval": part.figures}, arrays=arrays)


@pytest.fixture(scope="module")
def part():
    models = {"trained": make_model(seed=1), "untrained": make_model()}
    codes, turned = (
        {name: encode(model, SHAPES, View(24, rotation)) for name, model in models.items()}
        for rotation in ("none", "z")
    )
    return measure_retrieval(codes, SHAPES, VIEW, turned=turned)


def test_it_tells_the_main_figures_and_their_zero(part):
    text = " ".join(Page(section([run("a", part)])).text)
    for side in ("aligned", "turned"):
        for subject in ("trained", "untrained"):
            for feature in ("posterior_mean", "encoder"):
                own = part.figures[side][subject][feature]
                low, high = own["cosine"]["map_interval"]
                for value in (own["cosine"]["map"], low, high, own["cosine"]["hit"]["5"], own["euclidean"]["map"]):
                    assert f"{100 * value:.1f}" in text
    assert f"{100 * part.figures['chance_map']:.1f}" in text and "turned about up" in text


def test_each_neighbour_is_marked_in_words_and_by_its_frame(part):
    page = section([run("a", part)])
    Page(page)
    near = [each for query in part.figures["shown"] for each in query["nearest"]]
    right = sum(each["right"] for each in near)
    assert 0 < right < len(near)
    assert page.count("✓ ") - 1 == page.count("2px solid var(--right)") == right  # one more in the key
    assert page.count("✗ ") - 1 == page.count("2px dashed var(--wrong)") == len(near) - right
    labels = re.findall(r'aria-label="([^"]*)"', page)
    assert len(labels) == len(near) + len(part.figures["shown"])
    assert sum(": wrong" in label or "wrong:" in label for label in labels) == len(near) - right


def test_several_runs_stand_side_by_side(part):
    page = section([run("a", part), run("<b>", part)])
    text = " ".join(Page(page).text)
    assert "<b>" in text and "<h3>a</h3>" in page
    assert page.count('class="gallery"') == 2


def test_a_lonely_class_is_named(part):
    figures = part.figures | {"left_out_classes": ["yurt & co"]}
    assert "yurt &amp; co" in section([run("a", dataclasses.replace(part, figures=figures))])


def test_it_does_without_turned_queries_and_pictures(part):
    figures = {key: value for key, value in part.figures.items() if key != "turned"}
    page = section([SimpleNamespace(name="a", metrics={"retrieval": figures}, arrays={})])
    Page(page)
    assert "turned about up</th>" not in page and "<svg" not in page


def test_what_was_left_out_is_said():
    bare = SimpleNamespace(name="a", metrics={"retrieval": {"left_out": "no <labels>"}}, arrays={})
    assert "no &lt;labels&gt;" in section([bare])
    assert 'class="empty"' in section([SimpleNamespace(name="a", metrics={}, arrays={})])
