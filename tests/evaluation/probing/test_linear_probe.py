"""The probe protocol: what is chosen, on which shapes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from pointvae.errors import InputError
from pointvae.evaluation.probing import linear_probe
from pointvae.evaluation.probing.linear_probe import cross_validate, fit_probe, standardisation, stratified_folds

CLASSES = ["cup", "jug", "pan", "pot"]


def blobs(n=80, dim=5, classes=4, spread=1.5, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    centres = rng.standard_normal((classes, dim))
    return centres[labels] + spread * rng.standard_normal((n, dim)) + 5, labels


def test_cross_validation_counts_what_scikit_learn_counts():
    features, labels = blobs()
    fold = stratified_folds(labels, 5, seed=0)
    ours = cross_validate(features, labels, fold)
    for c in (1e-3, 1e-1, 1.0):
        pipeline = make_pipeline(StandardScaler(), LinearSVC(C=c, tol=1e-8, max_iter=100_000))
        predicted = cross_val_predict(pipeline, features, labels, cv=PredefinedSplit(fold))
        assert ours[c] == pytest.approx((predicted == labels).mean(), abs=1 / len(labels))


def test_the_chosen_c_is_the_smallest_of_the_best(monkeypatch):
    tried = {1e-4: 0.5, 1e-3: 0.8, 1e-2: 0.8, 1.0: 0.7}
    monkeypatch.setattr(linear_probe, "cross_validate", lambda *_, **__: tried)
    assert fit_probe(*blobs(), CLASSES).c == 1e-3


def test_the_probe_is_refitted_on_all_training_shapes_with_the_chosen_c():
    features, labels = blobs()
    probe = fit_probe(features, labels, CLASSES)
    pipeline = make_pipeline(StandardScaler(), LinearSVC(C=probe.c, tol=1e-8, max_iter=100_000))
    fresh, _ = blobs(300, seed=7)
    agreement = (probe.predict(fresh) == pipeline.fit(features, labels).predict(fresh)).mean()
    assert agreement > 0.99


def test_the_search_ends_once_the_accuracy_has_clearly_fallen(monkeypatch):
    class Falling:
        def __init__(self, features, labels, classes, tolerance):
            self.truth = labels

        def fit(self, c):
            class Guess:
                def predict(self, features):
                    wrong = c > 1e-3
                    return np.full(len(features), 1 if wrong else 0)

            return Guess()

    monkeypatch.setattr(linear_probe, "LinearSVMPath", Falling)
    labels = np.array([0] * 90 + [1] * 10)
    accuracy = cross_validate(np.ones((100, 2)), labels, stratified_folds(labels, 5, 0))
    assert accuracy == {1e-4: 0.9, 1e-3: 0.9, 3e-3: 0.1}


def test_the_scale_of_a_feature_does_not_matter():
    features, labels = blobs()
    fresh, _ = blobs(100, seed=3)
    scale = np.array([1, 1000, 1e-3, 7, 1])
    plain = fit_probe(features, labels, CLASSES).predict(fresh)
    np.testing.assert_array_equal(fit_probe(features * scale, labels, CLASSES).predict(fresh * scale), plain)


def test_standardisation_is_that_of_scikit_learn():
    features, _ = blobs()
    features[:, 2] = 3.3
    scaler = StandardScaler().fit(features)
    mean, scale = standardisation(features)
    np.testing.assert_allclose(mean, scaler.mean_)
    np.testing.assert_allclose(scale, scaler.scale_)
    _, scale = standardisation(features.astype(np.float32))
    assert scale[2] == 1


@given(st.lists(st.integers(2, 9), min_size=2, max_size=6), st.integers(2, 5), st.integers(0, 99))
def test_folds_share_out_every_class_evenly(sizes, folds, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    fold = stratified_folds(labels, folds, seed)
    for label in range(len(sizes)):
        counts = np.bincount(fold[labels == label], minlength=folds)
        assert counts.max() - counts.min() <= 1
    counts = np.bincount(fold, minlength=folds)
    assert counts.max() - counts.min() <= 1


def test_the_smallest_class_limits_the_folds():
    features, _ = blobs(43)
    labels = np.array([0] * 20 + [1] * 20 + [2] * 3)
    assert fit_probe(features, labels, CLASSES).folds == 3


def test_a_class_of_one_is_refused_by_name():
    features, _ = blobs(21)
    with pytest.raises(InputError, match=r"class 'pan' has one training shape.*add shapes"):
        fit_probe(features, np.array([0] * 10 + [1] * 10 + [2]), CLASSES)


def test_a_single_class_is_refused():
    features, _ = blobs(10)
    with pytest.raises(InputError, match="the train split holds 1 class; a probe needs at least 2"):
        fit_probe(features, np.zeros(10, np.int64), CLASSES)


def test_features_that_are_not_numbers_are_refused():
    features, labels = blobs()
    features[3, 1] = np.nan
    with pytest.raises(InputError, match="NaN or infinity: the model diverged"):
        fit_probe(features, labels, CLASSES)


def test_a_class_without_training_shapes_is_never_predicted():
    features, labels = blobs(classes=3)
    labels = np.where(labels == 2, 3, labels)
    probe = fit_probe(features, labels, CLASSES)
    assert set(probe.predict(features).tolist()) == {0, 1, 3}


def test_fewer_shapes_than_classes_allow_is_still_solved():
    features, _ = blobs(8, dim=30)
    probe = fit_probe(features.astype(np.float32), np.arange(8) % 4, CLASSES)
    assert probe.folds == 2
    assert probe.svm.converged


def test_features_that_all_stand_still_give_some_class():
    probe = fit_probe(np.ones((12, 3), np.float32), np.arange(12) % 3, CLASSES)
    assert set(probe.predict(np.ones((5, 3), np.float32))) <= {0, 1, 2}


def test_the_search_is_solved_so_well_that_no_closer_solution_moves_a_shape(monkeypatch):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        labels = np.arange(240) % 6
        features = rng.normal(size=(240, 40)) + 0.7 * rng.normal(size=(6, 40))[labels]
        found = fit_probe(features, labels, list("abcdef")).cv_accuracy
        with monkeypatch.context() as patch:
            patch.setattr(linear_probe, "TOLERANCE", 1e-10)
            assert fit_probe(features, labels, list("abcdef")).cv_accuracy == found
        with monkeypatch.context() as patch:
            patch.setattr(linear_probe, "TOLERANCE", 0.3)  # the features are such that it matters
            assert fit_probe(features, labels, list("abcdef")).cv_accuracy != found
