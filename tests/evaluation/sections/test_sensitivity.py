"""The section on changes of a known size."""

import copy
from types import SimpleNamespace

import pytest

from pointvae.evaluation.features import encode
from pointvae.evaluation.probing.linear_probe import fit_probe
from pointvae.evaluation.sections.sensitivity import section
from pointvae.evaluation.sensitivity import measure_sensitivity
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import View
from tests.evaluation.shapes import make_model, make_shapes
from tests.evaluation.test_report import Page

TRAIN, TEST, VIEW = make_shapes(30, seed=1), make_shapes(18), View(24)


def run(name, figures):
    return SimpleNamespace(name=name, metrics={"sensitivity": figures}, arrays={})


@pytest.fixture(scope="module")
def figures():
    subjects = {}
    for name, seed in (("trained", 1), ("untrained", 0)):
        model = make_model(seed=seed)
        codes = encode(model, TRAIN, VIEW)
        probes = {
            key: fit_probe(getattr(codes, key), TRAIN.labels, TRAIN.classes) for key in ("posterior_mean", "encoder")
        }
        subjects[name] = Subject(model, probes)
    return measure_sensitivity(subjects, TEST, VIEW, quick=True).figures


def test_it_draws_three_charts_of_every_change(figures):
    page = section([run("a", figures)])
    Page(page)
    assert page.count('<svg class="chart"') == 3 * len(figures["changes"])
    for change in figures["changes"].values():
        assert change["words"] in page and change["unit"] in page
    assert page.count("<title>untrained</title>") == 2 * len(figures["changes"])


def test_it_tells_every_figure(figures):
    text = " ".join(Page(section([run("a", figures)])).text)
    for change in figures["changes"].values():
        for subject in ("trained", "untrained"):
            for feature in ("posterior_mean", "encoder"):
                assert all(f"{100 * value:.1f}" in text for value in change[subject]["accuracy"][feature])
            assert all(f"{value:.3g}" in text for value in change[subject]["gap"])
            assert all(f"{100 * value:.1f}" in text for value in change[subject]["way_share"])


def test_untrained_twins_that_agree_are_drawn_once_and_others_each(figures):
    twice = section([run("a", figures), run("b", figures)])
    assert twice.count("<title>untrained</title>") == 2 * len(figures["changes"]) and "untrained a" not in twice
    other = copy.deepcopy(figures)
    other["changes"]["turn"]["untrained"]["accuracy"]["posterior_mean"][1] = 0.123
    apart = section([run("a", figures), run("b", other)])
    Page(apart)
    assert "untrained a" in apart and "untrained b" in apart


def test_names_are_escaped(figures):
    assert "<b>" not in section([run("<b>", figures), run("c", figures)])


def test_shapes_without_labels_have_two_charts(figures):
    bare = copy.deepcopy(figures)
    for change in bare["changes"].values():
        for subject in ("trained", "untrained"):
            for name in ("accuracy", "accuracy_interval", "accuracy_change_interval"):
                del change[subject][name]
    page = section([run("a", bare)])
    Page(page)
    assert page.count('<svg class="chart"') == 2 * len(figures["changes"])


def test_what_was_left_out_is_said():
    assert "too <few>" not in section([run("a", {"left_out": "too <few>"})])
    assert "too &lt;few&gt;" in section([run("a", {"left_out": "too <few>"})])
    assert 'class="empty"' in section([SimpleNamespace(name="a", metrics={}, arrays={})])
