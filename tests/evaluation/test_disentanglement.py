"""DCI and MIG: planted codes, brute force, and what is left out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from pointvae.data.dataset import Shapes
from pointvae.evaluation.dci_mig import (
    bin_count,
    completeness,
    disentanglement,
    forest_importances,
    gaps,
    is_discrete,
)
from pointvae.evaluation.disentanglement import choose_classes, measure_disentanglement
from pointvae.evaluation.features import Codes
from pointvae.evaluation.work import Work

NAMES = ["height", "pitch", "style", "width"]


def shapes_with_factors(n=100, classes=1, seed=0) -> tuple[Shapes, np.ndarray]:
    """Shapes without points, and their factors (n, 4): three continuous, one style of two choices."""
    rng = np.random.default_rng(seed)
    factors = rng.uniform(-1, 1, (n, 4))
    factors[:, 2] = rng.integers(2, size=n)
    rows = [dict(zip(NAMES, row.tolist(), strict=True)) for row in factors]
    labels = np.arange(n) % classes
    names = [f"class {k}" for k in range(classes)]
    return Shapes(np.zeros((n, 1, 3), np.float32), labels, [str(i) for i in range(n)], names, factors=rows), factors


def codes_of(mean) -> Codes:
    return Codes(mean.astype(np.float32), np.ones(mean.shape, np.float32), mean.astype(np.float32))


def measure(make, train_n=160, classes=1, **kw):
    train, known = shapes_with_factors(train_n, classes)
    test, wanted = shapes_with_factors(80, classes, seed=1)
    pair = (codes_of(make(known, 2)), codes_of(make(wanted, 3)))
    return measure_disentanglement({"trained": pair}, train, test, quick=True, **kw).figures


def rotated(factors, seed):
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))
    return factors @ turn


def noise(factors, seed):
    return np.random.default_rng(seed).standard_normal(factors.shape)


@pytest.fixture(scope="module")
def planted():
    return {
        name: measure(make) for name, make in (("factors", lambda f, _: f), ("turned", rotated), ("noise", noise))
    }


def test_codes_that_are_the_factors_score_near_one(planted):
    found = planted["factors"]["trained"]
    assert found["disentanglement"] > 0.8 and found["completeness"] > 0.8
    assert found["informativeness"] > 0.95 and found["mig"] > 0.85


def test_turning_the_codes_lowers_everything(planted):
    factors, turned = planted["factors"]["trained"], planted["turned"]["trained"]
    assert turned["disentanglement"] < factors["disentanglement"] - 0.3
    assert turned["completeness"] < factors["completeness"] - 0.3
    assert turned["informativeness"] < factors["informativeness"] - 0.03
    assert turned["mig"] < 0.5


def test_noise_scores_like_chance_and_factors_do_not(planted):
    found, chance = planted["noise"]["trained"], planted["noise"]["trained_chance"]
    for name, within in (("disentanglement", 0.05), ("completeness", 0.05), ("informativeness", 0.2), ("mig", 0.04)):
        assert found[name] == pytest.approx(chance[name], abs=within)
        assert planted["factors"]["trained"][name] > planted["factors"]["trained_chance"][name] + 0.5


def test_pose_is_told_apart_from_shape():
    blind = measure(lambda f, seed: np.where(np.arange(4) == 1, noise(f, seed), f))
    assert blind["pose_factors"] == ["pitch"]
    assert blind["trained"]["informativeness_shape"] > 0.9 > 0.2 > blind["trained"]["informativeness_pose"]
    assert blind["trained"]["mig_shape"] > 0.8 > 0.1 > blind["trained"]["mig_pose"]
    whole = 0.75 * blind["trained"]["mig_shape"] + 0.25 * blind["trained"]["mig_pose"]
    assert blind["trained"]["mig"] == pytest.approx(whole)


def test_every_class_counts_the_same_and_their_spread_is_told():
    found = measure(lambda f, _: f, classes=3)
    assert found["classes"] == ["class 0", "class 1", "class 2"] and found["n_train"] == 160
    assert 0 < found["trained"]["mig_deviation"] < 0.2
    assert found["factors"]["class 1"] == NAMES


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_figures_are_the_same_for_every_number_of_threads(jobs):
    one, other = (measure(rotated, train_n=40, work=Work(jobs=j)) for j in (2, jobs))
    assert one == other


@pytest.mark.parametrize("classes", [1, 30])
def test_shapes_without_factors_or_with_too_few_are_left_out_with_the_reason(classes):
    train, factors = shapes_with_factors(60, classes)
    pair = (codes_of(factors), codes_of(factors))
    if classes == 1:
        train = Shapes(train.points, train.labels, train.names, train.classes)
    figures = measure_disentanglement({"trained": pair}, train, train).figures
    assert "trained" not in figures
    assert ("no recorded factors" if classes == 1 else "20 training") in figures["left_out"]


def test_at_most_so_many_classes_are_taken_evenly():
    train, _ = shapes_with_factors(240, 8)
    test, _ = shapes_with_factors(240, 8)
    assert choose_classes(train, test, 4) == [0, 2, 4, 6] and choose_classes(train, test, 20) == list(range(8))
    assert 2 not in choose_classes(train, test[test.labels != 2], 7)


def test_disentanglement_and_completeness_equal_their_definitions():
    table = np.array([[0.5, 0.0, 0.2], [0.3, 0.0, 0.8], [0.2, 0.0, 0.0], [0.0, 0.0, 0.0]])
    total, score = table.sum(), 0.0
    for d in range(3):
        share = [value / table[d].sum() for value in table[d]]
        score += table[d].sum() / total * (1 + sum(p * math.log(p, 3) for p in share if p > 0))
    assert disentanglement(table) == pytest.approx(score)
    by_factor = [1 + sum(p * math.log(p, 4) for p in table[:, f] if p > 0) for f in (0, 2)]
    np.testing.assert_allclose(completeness(table), [by_factor[0], 0.0, by_factor[1]], atol=1e-12)
    assert disentanglement(np.eye(3)) == 1 and disentanglement(np.ones((3, 3))) == pytest.approx(0)
    assert disentanglement(np.zeros((3, 2))) == 0


@given(n=st.integers(20, 120), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_gap_equals_that_of_scikit_learns_mutual_information(n, seed):
    rng = np.random.default_rng(seed)
    codes, factors = rng.standard_normal((n, 3)), rng.standard_normal((n, 2))
    factors[:, 1] = rng.integers(3, size=n)
    codes[:, 0] += factors[:, 0]
    bins = bin_count(n)

    def cut(values):
        return np.argsort(np.argsort(values)) * bins // n

    for f, label in ((0, cut(factors[:, 0])), (1, factors[:, 1])):
        information = sorted(mutual_info_score(label, cut(codes[:, d])) for d in range(3))
        expected = (information[2] - information[1]) / mutual_info_score(label, label)
        assert gaps(codes, factors)[f] == pytest.approx(expected, abs=1e-9)


def test_a_constant_code_has_no_information_and_one_dimension_has_no_rival():
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((60, 1))
    assert gaps(np.ones((60, 3)), factors)[0] == pytest.approx(0, abs=1e-12)
    assert gaps(factors, factors)[0] == pytest.approx(1)
    assert gaps(factors[:, [0, 0]], factors)[0] == pytest.approx(0, abs=1e-12)


def test_styles_are_classified_and_numbers_regressed():
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((120, 3))
    for factor in ((codes[:, 1] > 0).astype(float), codes[:, 1]):
        importance, score = forest_importances(codes[:80], factor[:80], codes[80:], factor[80:])
        assert importance.argmax() == 1 and importance.sum() == pytest.approx(1)
        assert score > 0.8
    assert is_discrete(np.array([0.0, 1.0, 5.0])) and not is_discrete(np.array([0.5, 1.0]))
    assert not is_discrete(np.arange(7.0))


def test_there_are_about_four_shapes_for_each_pair_of_bins():
    assert [bin_count(n) for n in (5, 36, 100, 400, 10**6)] == [2, 3, 5, 10, 20]
