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

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError
from pointvae.evaluation.linear_svm import LinearSVM, LinearSVMPath

NAME = "linear_svm_c_cv"
PROTOCOL = f"{NAME}/1"

C_GRID = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)
FOLDS = 5
SEARCH_TOLERANCE = 1e-2  # relative suboptimality; 1e-3 gives the same accuracies to 0.2 points, half as fast
FINAL_TOLERANCE = 1e-5

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
        folds: folds of the cross-validation.
        cv_accuracy: accuracy over all held-out shapes for each C that was tried.
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
        predicted: Labels = self.labels[self.svm.predict((features - self.mean) / self.scale)]
        return predicted


def fit_probe(features: Floats, labels: Labels, classes: list[str], *, seed: int = 0) -> LinearProbe:
    """Fit the protocol's probe to training shapes.

    Args:
        features: (n, D).
        labels: indices into ``classes`` (n,).
        classes: names of the classes, for messages.
        seed: what the folds are drawn from.

    Raises:
        InputError: a feature is not finite, there are fewer than two classes, or one has a single member.
    """
    check_finite(features)
    present, own = np.unique(labels, return_inverse=True)
    sizes = np.bincount(own)
    if len(present) < 2:
        raise InputError(
            f"the train split holds {len(present)} class{'es' * (len(present) != 1)}; a probe needs at least 2"
        )
    if sizes.min() < 2:
        lonely = classes[present[sizes.argmin()]]
        raise InputError(
            f"class {lonely!r} has one training shape; cross-validation needs at least 2 of each: add shapes to the "
            "class or leave it out"
        )
    folds = min(FOLDS, int(sizes.min()))
    cv_accuracy = cross_validate(features, own, stratified_folds(own, folds, seed))
    c = max(cv_accuracy, key=lambda tried: (cv_accuracy[tried], -tried))
    mean, scale = standardisation(features)
    path = LinearSVMPath((features - mean) / scale, own, len(present), tolerance=FINAL_TOLERANCE)
    return LinearProbe(present, mean, scale, path.fit(c), c, folds, cv_accuracy)


def cross_validate(features: Floats, labels: Labels, fold: Labels) -> dict[float, float]:
    """Accuracy over all held-out shapes for each C of the grid, in growing order, as far as it is worth going.

    Args:
        features: (n, D).
        labels: classes 0, 1, ... (n,).
        fold: the fold in which each shape is held out (n,).
    """
    classes = int(labels.max()) + 1
    parts = []
    for held in (fold == k for k in range(int(fold.max()) + 1)):
        mean, scale = standardisation(features[~held])
        path = LinearSVMPath((features[~held] - mean) / scale, labels[~held], classes, tolerance=SEARCH_TOLERANCE)
        parts.append((path, held, mean, scale))
    accuracy: dict[float, float] = {}
    for c in C_GRID:
        right = 0
        for path, held, mean, scale in parts:
            right += int(np.sum(path.fit(c).predict((features[held] - mean) / scale) == labels[held]))
        accuracy[c] = right / len(labels)
        best = max(accuracy.values())
        if best - accuracy[c] > max(0.01, 2 * math.sqrt(best * (1 - best) / len(labels))):
            break
    return accuracy


def stratified_folds(labels: Labels, folds: int, seed: int) -> Labels:
    """The fold of each shape (n,): every class is shuffled and dealt out in turn, each going on from the last."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(labels), np.int64)
    dealt = 0
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return fold


def standardisation(features: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each feature (D,), in the features' type; 1 for one that never varies."""
    mean = features.mean(axis=0, dtype=np.float64)
    scale = features.std(axis=0, dtype=np.float64)
    constant = scale <= 1e-6 * np.abs(mean)  # what rounding leaves of a float32 feature that never varies
    return mean.astype(features.dtype), np.where(constant, 1, scale).astype(features.dtype)


def check_finite(features: Floats) -> None:
    """Refuse NaN and infinity."""
    if not np.isfinite(features).all():
        raise InputError("the features hold NaN or infinity: the model diverged in training; train it anew")
