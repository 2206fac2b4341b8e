"""scikit-learn's linear `SVC` on frozen features: hinge loss, one plane for each pair of classes, one vote each."""

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

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairwiseSVM:
    """A fitted probe.

    Attributes:
        mean: of each feature (D,).
        scale: deviation of each feature, 1 where it never varies (D,).
        svm: the `sklearn.svm.SVC` of scaled features, which knows the dataset's labels.
        c: the C that was given or chosen.
        folds: of the cross-validation; 0 where C was given.
        cv_accuracy: accuracy over all held-out shapes for each C that was tried; empty where C was given.
    """

    mean: Floats
    scale: Floats
    svm: Any
    c: float
    folds: int
    cv_accuracy: dict[float, float]

    def predict(self, features: Floats) -> Labels:
        """Labels (n,) of features (n, D)."""
        with one_thread():
            predicted: Labels = self.svm.predict((features - self.mean) / self.scale)
        return predicted

    def describe(self) -> dict[str, Any]:
        """What was chosen on train, as JSON-able data."""
        accuracy = {f"{c:g}": share for c, share in self.cv_accuracy.items()}
        return {"C": self.c, "cv_accuracy": accuracy, "converged": int(self.svm.fit_status_) == 0}


def fit_svc(
    features: Floats,
    labels: Labels,
    classes: list[str],
    *,
    c_grid: Sequence[float],
    folds: int = 5,
    scaled: bool = False,
    seed: int = 0,
    work: Work | None = None,
) -> PairwiseSVM:
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
    _, own = classes_present(labels, classes, least=2 if len(c_grid) > 1 else 1)

    def held_out(c: float, held: npt.NDArray[np.bool_]) -> int:
        probe = _solve(features[~held], labels[~held], c, scaled)
        return int(np.sum(probe.predict(features[held]) == labels[held]))

    c, used, cv_accuracy = choose_c(held_out, own, c_grid, folds=folds, seed=seed, work=work)
    with one_thread():
        return dataclasses.replace(_solve(features, labels, c, scaled), folds=used, cv_accuracy=cv_accuracy)


def _solve(features: Floats, labels: Labels, c: float, scaled: bool) -> PairwiseSVM:
    from sklearn.svm import SVC

    mean, scale = standardisation(features) if scaled else unscaled(features)
    svm = SVC(C=c, kernel="linear").fit((features - mean) / scale, labels)
    return PairwiseSVM(mean, scale, svm, c, 0, {})
