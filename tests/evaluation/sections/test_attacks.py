"""The section on attacks, on figures that were measured."""

import copy
from functools import cache
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from pointvae.evaluation.attack import measure_attacks
from pointvae.evaluation.attacking.plan import AttackSettings
from pointvae.evaluation.sections.attacks import section
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import View
from tests.evaluation.shapes import make_model, make_shapes
from tests.evaluation.test_attack import subjects

FEW = AttackSettings(6, (0.02, 0.05, 0.1), steps=2, restarts=1)


@cache
def part(labelled=True):
    shapes = make_shapes(9)
    if labelled:
        return measure_attacks(subjects(), shapes, View(24), settings=FEW)
    shapes = type(shapes)(shapes.points, None, shapes.names, [])
    return measure_attacks({"trained": Subject(make_model())}, shapes, View(24), settings=FEW)


def run_of(name="a<b", labelled=True, figures=None):
    figures = figures or part(labelled).figures
    arrays = {f"attacks/{key}": value for key, value in part(labelled).arrays.items()}
    return SimpleNamespace(name=name, metrics={"attacks": figures}, arrays=arrays)


def words(html: str) -> str:
    """The text of a section, which must be well formed."""
    return "".join(ElementTree.fromstring(f"<div>{html}</div>").itertext())


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("names", [["a<b"], ["a<b", "c&d"]])
def test_it_is_well_formed_and_names_every_run(labelled, names):
    html = section([run_of(name, labelled) for name in names])
    told = words(html)
    assert all(name in told for name in names)
    assert ("shapes still right" in html) is labelled
    assert "http" not in html.replace("http://www.w3.org", "")


def test_the_figures_at_the_middle_radius_are_told():
    told = words(section([run_of()]))
    row = part().figures["subjects"]["trained"]["linf"]["margin"][1]
    assert "At radius 0.05" in told and f"{100 * row['accuracy']:.1f}" in told and f"{row['kl']:.3g}" in told


def test_a_failed_check_is_told_in_words():
    figures = copy.deepcopy(part().figures)
    for check in figures["checks"]:
        check["passed"] = True
    assert "✗" not in section([run_of(figures=figures)])
    figures["checks"][0]["passed"] = False
    html = section([run_of(figures=figures)])
    assert "✗ fails in 1 of 6" in html and "(fails)" in html


def test_every_shown_shape_is_drawn_before_and_in_every_norm():
    html = section([run_of()])
    for name in part().figures["shown"]["names"]:
        assert html.count(f'aria-label="{name}, ') == 3


def test_what_was_left_out_says_why():
    run = SimpleNamespace(name="a", metrics={"attacks": {"left_out": "too <slow>"}}, arrays={})
    assert "too &lt;slow&gt;" in section([run])
    assert 'class="empty"' in section([SimpleNamespace(name="a", metrics={}, arrays={})])


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_an_error_that_is_no_number_is_a_dash(nothing):
    figures = copy.deepcopy(part().figures)
    figures["subjects"]["trained"]["clean"]["cd_l2_mean"] = nothing
    assert "before –" in words(section([run_of(figures=figures)]))
