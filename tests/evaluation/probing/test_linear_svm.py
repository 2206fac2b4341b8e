"""Our linear SVM beside scikit-learn's, and beside a plain reading of its objective."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import LinearSVC

from pointvae.evaluation.probing.linear_svm import LinearSVM, LinearSVMPath


def blobs(n=120, dim=6, classes=4, spread=1.5, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    centres = rng.standard_normal((classes, dim))
    return (centres[labels] + spread * rng.standard_normal((n, dim))).astype(dtype), labels


def objective_by_loops(features, labels, coef, intercept, c):
    """f_k as LinearSVC's documentation writes it, one shape at a time."""
    values = []
    for k in range(len(coef)):
        value = 0.5 * (sum(w * w for w in coef[k]) + intercept[k] ** 2)
        for x, label in zip(features, labels, strict=True):
            sign = 1 if label == k else -1
            value += c * max(0.0, 1 - sign * (float(np.dot(coef[k], x)) + intercept[k])) ** 2
        values.append(value)
    return np.array(values)


def newton_by_hand(features, labels, classes, c):
    """The optimum by full Newton steps on the Hessian itself, halved until they descend; (classes, features + 1)."""
    design = np.concatenate([features, np.ones((len(features), 1))], axis=1).astype(np.float64)
    solved = []
    for k in range(classes):
        y = np.where(labels == k, 1.0, -1.0)

        def value(w, y=y):
            return w @ w / 2 + c * np.sum(np.maximum(1 - y * (design @ w), 0) ** 2)

        w = np.zeros(design.shape[1])
        for _ in range(200):
            slack = np.maximum(1 - y * (design @ w), 0)
            gradient = w - 2 * c * design.T @ (y * slack)
            hit = design[slack > 0]
            step = np.linalg.solve(np.eye(len(w)) + 2 * c * hit.T @ hit, -gradient)
            size = 1.0
            while size > 1e-12 and value(w + size * step) > value(w) + 1e-4 * size * (gradient @ step):
                size /= 2
            w = w + size * step
            if -gradient @ step <= 1e-14 * value(w):
                break
        solved.append(w)
    return np.array(solved)


def reference(features, labels, c):
    return LinearSVC(C=c, tol=1e-10, max_iter=100_000, dual=False).fit(features, labels)


@pytest.mark.parametrize("c", [1e-3, 0.1, 10.0])
def test_it_reports_the_objective_of_linear_svc(c):
    features, labels = blobs()
    svm = LinearSVMPath(features, labels, 4).fit(c)
    expected = objective_by_loops(features, labels, svm.coef, svm.intercept, c)
    np.testing.assert_allclose(svm.objective, expected, rtol=1e-9)


@pytest.mark.parametrize("c", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize(("n", "dim"), [(120, 6), (30, 50)], ids=["more shapes", "more features"])
def test_it_finds_the_optimum_that_linear_svc_finds(c, n, dim):
    features, labels = blobs(n, dim)
    ours = LinearSVMPath(features, labels, 4, tolerance=1e-12).fit(c)
    theirs = reference(features, labels, c)
    best = objective_by_loops(features, labels, theirs.coef_, theirs.intercept_, c)
    np.testing.assert_allclose(ours.objective, best, rtol=1e-7)
    np.testing.assert_allclose(ours.coef, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.intercept, theirs.intercept_, atol=1e-4)
    fresh, _ = blobs(200, dim, seed=1)
    np.testing.assert_array_equal(ours.predict(fresh), theirs.predict(fresh))


def test_two_classes_predict_as_linear_svc_does():
    features, labels = blobs(classes=2)
    ours = LinearSVMPath(features, labels, 2, tolerance=1e-12).fit(0.1)
    fresh, _ = blobs(300, classes=2, seed=3)
    np.testing.assert_array_equal(ours.predict(fresh), reference(features, labels, 0.1).predict(fresh))


def test_float32_reaches_the_float64_optimum_to_its_tolerance():
    features, labels = blobs(400, 40, spread=3)
    exact = LinearSVMPath(features, labels, 4, tolerance=1e-12)
    single = LinearSVMPath(features.astype(np.float32), labels, 4, tolerance=1e-4)
    for c in (1e-3, 1e-1, 1.0):
        best, found = exact.fit(c), single.fit(c)
        assert found.coef.dtype == np.float32
        assert found.converged
        assert np.all(found.objective <= best.objective * (1 + 2e-4))


def test_the_gradient_vanishes_at_the_solution():
    features, labels = blobs()
    c = 0.3
    svm = LinearSVMPath(features, labels, 4, tolerance=1e-14).fit(c)
    signs = np.where(labels[:, None] == np.arange(4), 1, -1)
    slack = np.maximum(1 - signs * svm.decision_function(features), 0)
    gradient = svm.coef - 2 * c * (signs * slack).T @ features
    assert np.abs(gradient).max() < 1e-6
    assert np.abs(svm.intercept - 2 * c * (signs * slack).sum(axis=0)).max() < 1e-6


def test_starting_from_another_c_leads_to_the_same_optimum():
    features, labels = blobs(spread=3)
    path = LinearSVMPath(features, labels, 4, tolerance=1e-12)
    for c in (1e-4, 10.0, 1e-2):
        warm = path.fit(c)
        cold = LinearSVMPath(features, labels, 4, tolerance=1e-12).fit(c)
        np.testing.assert_allclose(warm.coef, cold.coef, atol=1e-6)


def test_a_later_c_leaves_an_earlier_solution_alone():
    features, labels = blobs()
    path = LinearSVMPath(features, labels, 4)
    first = path.fit(1e-3)
    kept = first.coef.copy(), first.intercept.copy()
    path.fit(1.0)
    np.testing.assert_array_equal(first.coef, kept[0])
    np.testing.assert_array_equal(first.intercept, kept[1])


def test_a_feature_that_never_varies_and_a_copied_one_do_no_harm():
    features, labels = blobs()
    padded = np.concatenate([features, features[:, :1], np.zeros((len(features), 3))], axis=1)
    svm = LinearSVMPath(padded, labels, 4, tolerance=1e-12).fit(0.1)
    assert svm.converged
    np.testing.assert_allclose(svm.coef[:, -3:], 0, atol=1e-12)
    np.testing.assert_allclose(svm.coef[:, 0], svm.coef[:, 6], atol=1e-6)


def alone(n, dim, seed=0):
    """Shapes of which one is all there is of its class."""
    features, labels = blobs(n, dim, classes=2, seed=seed)
    labels[0] = 2
    return features, labels


def doubled(n, dim):
    """Columns that all occur twice, one of them a thousand times as large, beside one that never varies."""
    features, labels = blobs(n, dim, classes=3)
    features[:, 0] *= 1000
    return np.concatenate([features, features, np.full((n, 1), 7.0)], axis=1), labels


@pytest.mark.parametrize("c", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize(
    "made",
    [alone(40, 5), alone(3, 4), doubled(50, 4), blobs(12, 80, 3), blobs(3, 2, 3), blobs(90, 1, 3)],
    ids=["a class of one", "three shapes", "columns twice", "few shapes", "one shape a class", "one feature"],
)
def test_a_plain_newton_method_finds_the_same_optimum(made, c):
    features, labels = made
    svm = LinearSVMPath(features, labels, 3, tolerance=1e-12).fit(c)
    exact = newton_by_hand(features, labels, 3, c)
    best = objective_by_loops(features, labels, exact[:, :-1], exact[:, -1], c)
    assert svm.converged
    np.testing.assert_allclose(svm.objective, best, rtol=1e-8)
    found = objective_by_loops(features, labels, svm.coef, svm.intercept, c)
    np.testing.assert_allclose(found, best, rtol=1e-8)


def test_a_path_up_to_a_huge_c_stays_at_the_optimum():
    features, labels = blobs(200, 12, spread=0.5)
    path = LinearSVMPath(features.astype(np.float32), labels, 4, tolerance=1e-5)
    for c, above in ((1e-4, 1e-5), (1e-2, 1e-5), (1.0, 1e-5), (10.0, 1e-4), (1e2, 1e-3), (1e4, 1e-2)):
        svm = path.fit(c)
        exact = newton_by_hand(features, labels, 4, c)
        best = objective_by_loops(features, labels, exact[:, :-1], exact[:, -1], c)
        assert np.all(objective_by_loops(features, labels, svm.coef, svm.intercept, c) <= best * (1 + above))


def test_stopping_short_is_told(monkeypatch, caplog):
    features, labels = blobs()
    monkeypatch.setattr("pointvae.evaluation.probing.linear_svm._MAX_STEPS", 1)
    svm = LinearSVMPath(features, labels, 4, tolerance=1e-12).fit(10.0)
    assert not svm.converged
    assert "C=10 stopped short" in caplog.text


def test_a_tie_goes_to_the_first_class():
    svm = LinearSVM(np.zeros((3, 2)), np.zeros(3), np.zeros(3), np.zeros(3), 0, 0, True)
    assert svm.predict(np.ones((2, 2))).tolist() == [0, 0]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(4, 40),
    dim=st.integers(1, 12),
    log_c=st.floats(-4, 1),
)
def test_no_small_step_from_the_solution_lowers_the_objective(seed, n, dim, log_c):
    features, labels = blobs(n, dim, classes=3, seed=seed)
    c = 10**log_c
    svm = LinearSVMPath(features, labels, 3, tolerance=1e-10).fit(c)
    rng = np.random.default_rng(seed)
    for scale in (1e-3, 1e-1):
        coef = svm.coef + scale * rng.standard_normal(svm.coef.shape)
        intercept = svm.intercept + scale * rng.standard_normal(3)
        moved = objective_by_loops(features, labels, coef, intercept, c)
        assert np.all(moved >= svm.objective * (1 - 1e-9))
