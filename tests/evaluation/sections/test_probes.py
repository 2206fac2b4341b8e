"""The section on the other protocols."""

from types import SimpleNamespace

import pytest

from pointvae.evaluation.features import encode
from pointvae.evaluation.probe_protocols import measure_protocols
from pointvae.evaluation.probing.training import Encoded, encode_training
from pointvae.evaluation.sections.probes import section
from pointvae.evaluation.views import View
from tests.evaluation.shapes import make_model, make_shapes


@pytest.fixture(scope="module")
def figures():
    train, test = make_shapes(36, seed=1), make_shapes(15, seed=2)
    pair = [
        Encoded(encode_training(model, train, View(24)), encode(model, test, View(24)))
        for model in (make_model(seed=1), make_model(seed=0))
    ]
    return measure_protocols(*pair, test).figures


def run(figures, name="tiny"):
    return SimpleNamespace(name=name, metrics={"probe_protocols": figures})


def test_every_figure_stands_in_the_table_beside_the_untrained_one(figures):
    html = section([run(figures)])
    for probe in figures["probes"]:
        for row in probe.get("settings", [probe]):
            if "left_out" in row:
                assert row["left_out"] in html
            else:
                assert f"<strong>{100 * row['accuracy']:.1f}</strong>" in html
                assert f">{100 * row['untrained_accuracy']:.1f}</span>" in html
    assert html.count("<polyline") + html.count('class="line s') >= 2
    assert "<code>knn/1</code>" in html and "36 training and 15 test shapes" in html


def test_runs_stand_side_by_side_and_names_are_escaped(figures):
    html = section([run(figures, "a<b"), run(figures, "second"), run({"left_out": "no labels"}, "third")])
    assert "a&lt;b" in html and "a<b" not in html and "second" in html and "third" not in html


def test_a_part_that_is_missing_says_why():
    assert "no &lt;labels&gt;" in section([run({"left_out": "no <labels>"})])
    assert 'class="empty"' in section([SimpleNamespace(name="x", metrics={})])
    assert 'class="empty"' in section([])
