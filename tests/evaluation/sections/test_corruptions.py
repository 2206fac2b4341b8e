"""The report's section on corruptions."""

import re
from itertools import pairwise

import pytest

from pointvae.corruptions import CORRUPTIONS
from pointvae.evaluation.results import Evaluation
from pointvae.evaluation.robustness import measure_corruptions
from pointvae.evaluation.sections.corruptions import section
from pointvae.evaluation.subject import Subject
from tests.evaluation.test_robustness import SHAPES, SUBJECTS, VIEW

FEW = SHAPES[:5]


def evaluation(name: str, part=None, metrics=None) -> Evaluation:
    metrics = {"corruptions": part.figures} if part else metrics or {}
    arrays = {f"corruptions/{key}": values for key, values in part.arrays.items()} if part else {}
    return Evaluation(name, metrics, {}, {}, [], [], arrays)


@pytest.fixture(scope="module")
def part():
    return measure_corruptions(SUBJECTS, FEW, VIEW)


def test_every_corruption_has_its_row_and_its_picture(part):
    html = section([evaluation("run", part)])
    for corruption in CORRUPTIONS.values():
        assert f'<th scope="row">{corruption.label}</th>' in html
        assert f"<figcaption>{corruption.label}</figcaption>" in html
    told = part.figures["scores"]["trained"]["posterior_mean"]
    for values in told["accuracy"].values():
        assert all(f">{100 * value:.1f}</td>" in html for value in values)
    assert "mCE" in html and "untrained" in html and html.count('<svg class="chart"') == 4


def test_two_runs_stand_side_by_side_under_their_escaped_names(part):
    html = section([evaluation("a<b", part), evaluation("second", part)])
    assert "a<b" not in html and "a&lt;b" in html and "untrained second" in html
    assert html.count('class="corruptions"') == 2


def test_without_labels_the_shift_is_shown(part):
    bare = measure_corruptions({"trained": Subject(SUBJECTS["trained"].model)}, FEW, VIEW)
    html = section([evaluation("run", bare)])
    assert "prior standard deviations" in html and "mCE" not in html and "linear SVM" not in html
    assert f"{bare.figures['shift']['trained']['by_corruption']['lidar'][0]:.2f}" in html


def test_the_trained_encoder_may_stand_alone():
    alone = measure_corruptions({"trained": SUBJECTS["trained"]}, FEW, VIEW)
    html = section([evaluation("run", alone)])
    assert "CE</th>" in html and ">untrained<" not in html


def test_a_worse_accuracy_is_darker(part):
    html = section([evaluation("run", part)])
    cells = re.findall(r"rgb\(194 73 61/([\d.]+)\)\">([\d.]+)<", html)
    assert len(cells) == 75
    for (first, a), (second, b) in pairwise(sorted(cells, key=lambda cell: float(cell[1]))):
        assert float(b) >= float(a) and float(second) <= float(first)


def test_a_part_left_out_says_why():
    assert "took <long>" not in section([evaluation("run", metrics={"corruptions": {"left_out": "took <long>"}})])
    assert "took &lt;long&gt;" in section([evaluation("run", metrics={"corruptions": {"left_out": "took <long>"}})])
    assert 'class="empty"' in section([evaluation("run")])
