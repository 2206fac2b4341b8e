"""The section on clustering."""

from types import SimpleNamespace

import pytest

from pointvae.evaluation.clustering import measure_clustering
from pointvae.evaluation.features import encode
from pointvae.evaluation.sections.clustering import section
from tests.evaluation.shapes import make_model, make_shapes
from tests.evaluation.test_report import Page

SHAPES = make_shapes(18)


def run(name, figures):
    return SimpleNamespace(name=name, metrics={"clustering": figures}, arrays={})


@pytest.fixture(scope="module")
def figures():
    codes = {name: encode(make_model(seed=seed), SHAPES) for name, seed in (("trained", 1), ("untrained", 0))}
    return measure_clustering(codes, SHAPES.labels, 3, quick=True).figures


@pytest.mark.parametrize("names", [["a"], ["a", "b & c"]], ids=str)
def test_it_tells_every_score_with_its_zero(figures, names):
    page = Page(section([run(name, figures) for name in names]))
    text = " ".join(page.text)
    for subject in ("trained", "untrained"):
        for feature in ("posterior_mean", "encoder"):
            for name in ("nmi", "ari", "accuracy"):
                own = figures[subject][feature]
                told = f"± {100 * own[name + '_deviation']:.1f}, shuffled {100 * own['shuffled_' + name]:.1f}"
                assert f"{100 * own[name]:.1f}" in text and told in text
    assert ("b & c" in text) == (len(names) > 1)


def test_it_does_without_the_untrained_twin(figures):
    text = " ".join(Page(section([run("a", {k: v for k, v in figures.items() if k != "untrained"})])).text)
    assert "untrained" not in text and "trained" in text


def test_what_was_left_out_is_said():
    assert "no &lt;labels&gt;" in section([run("a", {"left_out": "no <labels>"})])
    assert 'class="empty"' in section([SimpleNamespace(name="a", metrics={}, arrays={})])
