"""The probe protocol ``linear_svm_c_cv``: a linear SVM whose C is chosen on the training shapes alone.

1. Each feature is standardised with its mean and standard deviation over the training shapes.
2. C is the best of a fixed grid by stratified cross-validation on the training shapes (5 folds, or as many as the
   smallest class has members; standardisation is learned anew in each), counted over all held-out shapes; the
   smaller C on ties. C grows, and the search ends early once the accuracy lies more than one point and two
   standard errors under the best.
3. The SVM is solved once more on all training shapes with that C.
4. The test shapes are scored once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError
from pointvae.evaluation.probing.cross_validation import best_of, classes_present, search, stratified_folds
from pointvae.evaluation.probing.linear_svm import LinearSVM, LinearSVMPath
from pointvae.evaluation.work import Work, one_thread

NAME = "linear_svm_c_cv"
PROTOCOL = f"{NAME}/1"

C_GRID = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)
FOLDS = 5
TOLERANCE = 1e-5
"""Relative suboptimality, in the search too: at 1e-3 two values of C that one shape set apart changed places, and the
test accuracy moved by a point."""

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe.

    Attributes:
        labels: the dataset's label of each class that the SVM knows (classes,).
        mean: mean of each feature (D,).
        scale: standard deviation of each feature, 1 where it never varies (D,).
        svm: the classifier of standardised features.
        c: the C that was chosen.
        folds: folds of the cross-validation; 0 where C was given.
        cv_accuracy: accuracy over all held-out shapes for each C that was tried; empty where C was given.
    """

    labels: Labels
    mean: Floats
    scale: Floats
    svm: LinearSVM
    c: float
    folds: int
    cv_accuracy: dict[float, float]

    def predict(self, features: Floats) -> Labels:
        """Labels (n,) of features (n, D)."""
        with one_thread():
            predicted: Labels = self.labels[self.svm.predict((features - self.mean) / self.scale)]
        return predicted

    def describe(self) -> dict[str, Any]:
        """What was chosen on train, as JSON-able data."""
        accuracy = {f"{c:g}": share for c, share in self.cv_accuracy.items()}
        return {"C": self.c, "cv_accuracy": accuracy, "converged": self.svm.converged}


def fit_probe(
    features: Floats,
    labels: Labels,
    classes: list[str],
    *,
    seed: int = 0,
    c_grid: Sequence[float] = C_GRID,
    folds: int = FOLDS,
    scaled: bool = True,
    work: Work | None = None,
) -> LinearProbe:
    """Fit the protocol's probe to training shapes; other settings than the defaults make another protocol.

    Args:
        features: (n, D).
        labels: indices into ``classes`` (n,).
        classes: names of the classes, for messages.
        seed: what the folds are drawn from.
        c_grid: values of C, growing; a single one is taken without cross-validation.
        folds: at most.
        scaled: standardise the features.
        work: how much is done at a time; each fold is solved on one thread.

    Raises:
        InputError: a feature is not finite, there are fewer than two classes, or one has a single member.
    """
    check_finite(features)
    present, own = classes_present(labels, classes, least=2 if len(c_grid) > 1 else 1)
    used, cv_accuracy, c = 0, {}, c_grid[0]
    if len(c_grid) > 1:
        used = min(folds, int(np.bincount(own).min()))
        fold = stratified_folds(own, used, seed)
        cv_accuracy = cross_validate(features, own, fold, c_grid, scaled=scaled, work=work)
        c = best_of(cv_accuracy)
    with one_thread():
        mean, scale = standardisation(features) if scaled else unscaled(features)
        path = LinearSVMPath((features - mean) / scale, own, len(present), tolerance=TOLERANCE)
        return LinearProbe(present, mean, scale, path.fit(c), c, used, cv_accuracy)


def cross_validate(
    features: Floats,
    labels: Labels,
    fold: Labels,
    c_grid: Sequence[float] = C_GRID,
    *,
    scaled: bool = True,
    work: Work | None = None,
) -> dict[float, float]:
    """Accuracy over all held-out shapes for each C of the grid, in growing order, as far as it is worth going.

    Args:
        features: (n, D).
        labels: classes 0, 1, ... (n,).
        fold: the fold in which each shape is held out (n,).
        c_grid: values of C, growing.
        scaled: standardise the features, anew in each fold.
        work: how much is done at a time.
    """
    classes = int(labels.max()) + 1
    silent = dataclasses.replace(work or Work(), progress=False)

    def prepare(k: int) -> Callable[[float], int]:
        held = fold == k
        mean, scale = standardisation(features[~held]) if scaled else unscaled(features)
        path = LinearSVMPath((features[~held] - mean) / scale, labels[~held], classes, tolerance=TOLERANCE)
        return lambda c: int(np.sum(path.fit(c).predict((features[held] - mean) / scale) == labels[held]))

    parts = silent.each(prepare, range(int(fold.max()) + 1), "preparing folds")

    def right(c: float) -> int:
        return sum(silent.each(lambda part: part(c), parts, "solving folds"))

    return search(c_grid, right, len(labels))


def standardisation(features: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each feature (D,), in the features' type; 1 for one that never varies."""
    mean = features.mean(axis=0, dtype=np.float64)
    scale = features.std(axis=0, dtype=np.float64)
    constant = scale <= 1e-6 * np.abs(mean)  # what rounding leaves of a float32 feature that never varies
    return mean.astype(features.dtype), np.where(constant, 1, scale).astype(features.dtype)


def unscaled(features: Floats) -> tuple[Floats, Floats]:
    """The mean and deviation (D,) that leave features as they are."""
    return np.zeros_like(features[0]), np.ones_like(features[0])


def check_finite(features: Floats) -> None:
    """Refuse NaN and infinity."""
    if not np.isfinite(features).all():
        raise InputError("the features hold NaN or infinity: the model diverged in training; train it anew")
