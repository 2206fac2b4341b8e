"""Multinomial logistic regression on frozen features, C by cross-validation on the training shapes alone.

The objective is scikit-learn's: C times the summed cross-entropy plus half the squared weights (the intercepts are
free), minimised by L-BFGS in float64. Standardisation, folds, ties and the end of the search are those of the linear
SVM (`pointvae.evaluation.probing.linear_probe`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.evaluation.probing.cross_validation import choose_c, classes_present
from pointvae.evaluation.probing.linear_probe import check_finite, standardisation, unscaled
from pointvae.evaluation.work import Work, one_thread

SEARCH_TOLERANCE = 1e-3  # of the largest gradient of the mean loss
FINAL_TOLERANCE = 1e-4
MAX_STEPS = 10_000

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Logistic:
    """A fitted probe.

    Attributes:
        labels: the dataset's label of each class that it knows (classes,).
        mean: of each feature (D,).
        scale: deviation of each feature, 1 where it never varies (D,).
        coef: weights (classes, D).
        intercept: (classes,).
        c: the C that was chosen.
        folds: of the cross-validation; 0 where C was given.
        cv_accuracy: accuracy over all held-out shapes for each C that was tried; empty where C was given.
        converged: whether the optimum was reached.
    """

    labels: Labels
    mean: Floats
    scale: Floats
    coef: Floats
    intercept: Floats
    c: float
    folds: int
    cv_accuracy: dict[float, float]
    converged: bool

    def predict(self, features: Floats) -> Labels:
        """Labels (n,) of features (n, D)."""
        with one_thread():
            standard = (features.astype(np.float64) - self.mean) / self.scale
            predicted: Labels = self.labels[np.argmax(standard @ self.coef.T + self.intercept, axis=1)]
        return predicted

    def describe(self) -> dict[str, Any]:
        """What was chosen on train, as JSON-able data."""
        accuracy = {f"{c:g}": share for c, share in self.cv_accuracy.items()}
        return {"C": self.c, "cv_accuracy": accuracy, "converged": self.converged}


def fit_logistic(
    features: Floats,
    labels: Labels,
    classes: list[str],
    *,
    c_grid: Sequence[float],
    folds: int = 5,
    scaled: bool = True,
    seed: int = 0,
    work: Work | None = None,
) -> Logistic:
    """Fit to training shapes.

    Args:
        features: (n, D).
        labels: indices into ``classes`` (n,).
        classes: names of the classes, for messages.
        c_grid: values of C, growing; a single one is taken without cross-validation.
        folds: at most.
        scaled: standardise the features.
        seed: what the folds are drawn from.
        work: how much is done at a time; each fold is solved on one thread.

    Raises:
        InputError: a feature is not finite, there are fewer than two classes, or one has a single member.
    """
    check_finite(features)
    present, own = classes_present(labels, classes, least=2 if len(c_grid) > 1 else 1)
    wide = features.astype(np.float64)

    def held_out(c: float, held: npt.NDArray[np.bool_]) -> int:
        probe = _solve(wide[~held], own[~held], np.arange(len(present)), c, SEARCH_TOLERANCE, scaled)
        return int(np.sum(probe.predict(wide[held]) == own[held]))

    c, used, cv_accuracy = choose_c(held_out, own, c_grid, folds=folds, seed=seed, work=work)
    with one_thread():
        probe = _solve(wide, own, present, c, FINAL_TOLERANCE, scaled)
    return dataclasses.replace(probe, folds=used, cv_accuracy=cv_accuracy)


def _solve(features: Floats, own: Labels, present: Labels, c: float, tolerance: float, scaled: bool) -> Logistic:
    """The optimum at one C, from features (n, D) and classes 0, 1, ... (n,)."""
    from sklearn.linear_model import LogisticRegression

    mean, scale = standardisation(features) if scaled else unscaled(features)
    solver = LogisticRegression(C=c, tol=tolerance, max_iter=MAX_STEPS)
    solver.fit((features - mean) / scale, own)
    coef, intercept = solver.coef_, solver.intercept_
    if len(present) == 2:  # which scikit-learn tells apart by one plane
        coef, intercept = np.concatenate([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    converged = bool(solver.n_iter_.max() < MAX_STEPS)
    return Logistic(present, mean, scale, coef, intercept, c, 0, {}, converged)
