"""The classifier that a protocol names, fitted to training shapes."""

from __future__ import annotations

import typing
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.evaluation.probing.linear_probe import fit_probe
from pointvae.evaluation.probing.logistic import fit_logistic
from pointvae.evaluation.probing.neighbour_probe import fit_neighbours
from pointvae.evaluation.probing.protocols import Protocol
from pointvae.evaluation.probing.support_vectors import fit_svc
from pointvae.evaluation.work import Work

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]


class Classifier(typing.Protocol):
    """A fitted classifier of features."""

    @property
    def folds(self) -> int:
        """Folds by which its setting was chosen; 0 where it was given."""

    def predict(self, features: Floats) -> Labels:
        """Labels (n,) of features (n, D)."""

    def describe(self) -> dict[str, Any]:
        """What was chosen on train, as JSON-able data."""


def fit_classifier(
    protocol: Protocol,
    features: Floats,
    labels: Labels,
    classes: list[str],
    *,
    seed: int = 0,
    work: Work | None = None,
) -> Classifier:
    """Fit the protocol's classifier to training shapes.

    Args:
        protocol: the protocol.
        features: (n, D).
        labels: indices into ``classes`` (n,).
        classes: names of the classes, for messages.
        seed: what the folds are drawn from.
        work: how much is done at a time.

    Raises:
        InputError: a feature is not finite, there are fewer than two classes, or one is too small.
    """
    shared: dict[str, Any] = {
        "folds": protocol.folds,
        "scaled": protocol.scaling == "standardise",
        "seed": seed,
        "work": work,
    }
    if protocol.classifier == "knn":
        assert protocol.metric != "none"
        return fit_neighbours(features, labels, classes, k_grid=protocol.k_grid, metric=protocol.metric, **shared)
    if protocol.classifier == "logistic":
        return fit_logistic(features, labels, classes, c_grid=protocol.c_grid, **shared)
    if protocol.loss == "hinge":
        return fit_svc(features, labels, classes, c_grid=protocol.c_grid, **shared)
    return fit_probe(features, labels, classes, c_grid=protocol.c_grid, **shared)
