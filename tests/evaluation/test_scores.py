"""Accuracy, per class and with intervals."""

import statistics

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from pointvae.evaluation.scores import mean_interval, score, standard_error

CLASSES = ["cup", "jug", "pan", "pot"]


def test_figures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    found = score(predicted, labels, CLASSES)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert found["mean_class_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found["confusion_matrix"] == confusion_matrix(labels, predicted).tolist()
    for k, name in enumerate(CLASSES):
        assert found["per_class_accuracy"][name] == pytest.approx((predicted[labels == k] == k).mean())


def test_a_class_without_test_shapes_has_no_accuracy_and_counts_in_no_mean():
    found = score(np.array([0, 1, 1]), np.array([0, 1, 0]), CLASSES)
    assert found["per_class_accuracy"] == {"cup": 0.5, "jug": 1.0, "pan": None, "pot": None}
    assert found["mean_class_accuracy"] == 0.75


def test_the_interval_is_that_of_resampling_the_shapes_one_by_one():
    rng = np.random.default_rng(1)
    values = rng.choice([-1, 0, 1], size=150, p=[0.2, 0.5, 0.3])
    means = [rng.choice(values, size=150).mean() for _ in range(10_000)]
    np.testing.assert_allclose(mean_interval(values), np.quantile(means, [0.025, 0.975]), atol=0.008)


def test_the_interval_follows_its_seed(monkeypatch):
    monkeypatch.setattr("pointvae.evaluation.scores.RESAMPLES", 30)
    values = np.arange(97) % 3 == 0
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_all_right_has_no_spread():
    assert mean_interval(np.ones(10, bool)) == [1.0, 1.0]


def test_an_interval_of_few_levels_is_that_of_resampling_them():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 6, 120) / 5
    means = [rng.choice(values, size=120).mean() for _ in range(10_000)]
    np.testing.assert_allclose(mean_interval(values), np.quantile(means, [0.025, 0.975]), atol=0.01)


@pytest.mark.parametrize("chunk", [1000, 1 << 20])
def test_an_interval_of_real_values_is_that_of_resampling_them_in_chunks_of_any_size(monkeypatch, chunk):
    monkeypatch.setattr("pointvae.evaluation.scores.CHUNK", chunk)
    monkeypatch.setattr("pointvae.evaluation.scores.RESAMPLES", 3000)
    rng = np.random.default_rng(2)
    values = rng.exponential(size=100)
    means = [rng.choice(values, size=100).mean() for _ in range(3000)]
    np.testing.assert_allclose(mean_interval(values), np.quantile(means, [0.025, 0.975]), atol=0.03)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_halves_are_not_cut_off():
    assert mean_interval([0.5] * 9) == [0.5, 0.5]


def test_the_standard_error_is_the_deviation_over_the_root_of_the_count():
    rows = np.random.default_rng(0).standard_normal((3, 40)).astype(np.float32)
    expected = [statistics.stdev(row.astype(float)) / 40**0.5 for row in rows]
    np.testing.assert_allclose(standard_error(rows), expected, rtol=1e-9)
    assert standard_error([2.0]) == 0
