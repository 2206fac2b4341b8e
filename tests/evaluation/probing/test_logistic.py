"""Logistic regression on frozen features."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pointvae.errors import InputError
from pointvae.evaluation.probing.cross_validation import stratified_folds
from pointvae.evaluation.probing.logistic import fit_logistic
from pointvae.evaluation.work import Work
from tests.evaluation.probing.test_linear_probe import CLASSES, blobs

GRID = (1e-2, 1.0)


def test_cross_validation_counts_what_scikit_learn_counts():
    features, labels = blobs()
    found = fit_logistic(features, labels, CLASSES, c_grid=GRID)
    for c in GRID:
        pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=c, tol=1e-8, max_iter=10_000))
        fold = PredefinedSplit(stratified_folds(labels, 5, seed=0))
        right = (cross_val_predict(pipeline, features, labels, cv=fold) == labels).mean()
        assert found.cv_accuracy[c] == pytest.approx(right, abs=1 / len(labels))
    assert found.c == max(GRID, key=lambda c: (found.cv_accuracy[c], -c))


@pytest.mark.parametrize("classes", [2, 4])
def test_no_step_from_the_solution_lowers_the_objective(classes):
    features, labels = blobs(classes=classes)
    fitted = fit_logistic(features, labels, CLASSES, c_grid=(0.1,))
    assert fitted.converged and fitted.folds == 0
    standard = (features - features.mean(0)) / features.std(0)

    def objective(coef, intercept):
        logs = log_softmax(standard @ coef.T + intercept, axis=1)[np.arange(len(labels)), labels]
        return -0.1 * logs.sum() + (coef**2).sum() / 2 * (2 if classes == 2 else 1)

    rng, best = np.random.default_rng(0), objective(fitted.coef, fitted.intercept)
    for _ in range(30):
        step = 0.03 * rng.standard_normal((classes, features.shape[1] + 1))
        if classes == 2:
            step[0] = -step[1]
        assert objective(fitted.coef + step[:, 1:], fitted.intercept + step[:, 0]) > best


def test_threads_change_no_digit():
    features, labels = blobs(120)
    one, two = (fit_logistic(features, labels, CLASSES, c_grid=GRID, work=Work(jobs=jobs)) for jobs in (1, 3))
    assert one.cv_accuracy == two.cv_accuracy
    np.testing.assert_array_equal(one.coef, two.coef)


def test_features_that_are_not_numbers_are_refused():
    features, labels = blobs()
    features[0, 0] = np.inf
    with pytest.raises(InputError, match="NaN or infinity"):
        fit_logistic(features, labels, CLASSES, c_grid=GRID)
