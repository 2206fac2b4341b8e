"""The vote of the nearest shapes, beside a loop that reads like the rule."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointvae.evaluation.probing import neighbour_probe
from pointvae.evaluation.probing.cross_validation import stratified_folds
from pointvae.evaluation.probing.neighbour_probe import fit_neighbours
from pointvae.evaluation.work import Work
from tests.evaluation.probing.test_linear_probe import CLASSES, blobs


def one_by_one(train, labels, fresh, k, metric):
    """Each shape's class by sorting all training shapes."""
    found = []
    for row in fresh:
        if metric == "cosine":
            far = [-float(row @ other) / np.linalg.norm(row) / np.linalg.norm(other) for other in train]
        else:
            far = [float(np.square(row - other).sum()) for other in train]
        votes = [
            labels[place] for place in sorted(range(len(train)), key=lambda place: (round(far[place], 12), place))
        ]
        counts = Counter(votes[:k])
        found.append(next(label for label in votes if counts[label] == max(counts.values())))
    return np.array(found)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [1, 2, 5, 80])
def test_the_vote_is_that_of_sorting_every_shape(metric, k, monkeypatch):
    monkeypatch.setattr(neighbour_probe, "BLOCK", 7)
    features, labels = blobs()
    fresh, _ = blobs(40, seed=4)
    fitted = fit_neighbours(features, labels, CLASSES, k_grid=(k,), metric=metric)
    np.testing.assert_array_equal(fitted.predict(fresh), one_by_one(features, labels, fresh, k, metric))


@given(st.integers(0, 1000), st.integers(1, 6))
def test_whole_numbers_full_of_ties_are_settled_by_the_stated_rule(seed, k):
    rng = np.random.default_rng(seed)
    features, labels = rng.integers(0, 3, (12, 2)).astype(float), np.arange(12) % 3
    fresh = rng.integers(0, 3, (6, 2)).astype(float)
    fitted = fit_neighbours(features, labels, CLASSES, k_grid=(k,), metric="euclidean")
    np.testing.assert_array_equal(fitted.predict(fresh), one_by_one(features, labels, fresh, k, "euclidean"))


def test_k_is_the_smallest_of_the_best_by_folds_on_train():
    features, labels = blobs()
    fitted = fit_neighbours(features, labels, CLASSES, k_grid=(1, 3, 9), metric="cosine", seed=2)
    fold = stratified_folds(labels, 5, 2)
    for k in (1, 3, 9):
        right = 0
        for held in (fold == place for place in range(5)):
            guess = one_by_one(features[~held], labels[~held], features[held], k, "cosine")
            right += int(np.sum(guess == labels[held]))
        assert fitted.cv_accuracy[k] == right / len(labels)
    best = max(fitted.cv_accuracy.values())
    assert fitted.k == min(k for k, share in fitted.cv_accuracy.items() if share == best)


def test_more_neighbours_than_shapes_are_left_out():
    features, labels = blobs(8)
    fitted = fit_neighbours(features, labels, CLASSES, k_grid=(3, 5, 20), metric="cosine")
    assert list(fitted.cv_accuracy) == [3]


def test_threads_change_nothing_and_a_shape_of_zeros_is_no_trouble():
    features, labels = blobs(300)
    features[7] = 0
    one, two = (
        fit_neighbours(features, labels, CLASSES, k_grid=(1, 5), metric="cosine", work=Work(jobs=jobs))
        for jobs in (1, 3)
    )
    assert one.cv_accuracy == two.cv_accuracy
    np.testing.assert_array_equal(one.predict(features), two.predict(features))
