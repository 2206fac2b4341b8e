"""A protocol's task in two steps: everything is fitted to training shapes, then scored once on the test shapes."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pointvae.evaluation.probing.classifiers import Classifier
from pointvae.evaluation.scores import mean_interval, score
from pointvae.evaluation.significance import paired_over_seeds

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """What one setting of a task came to.

    Attributes:
        setting: what was set, the same for every model.
        figures: ``accuracy``, ``accuracy_interval`` and whatever else belongs to the model; none if it was left out.
        each: what the accuracy is the mean of: the share of draws that are right of each shape (n,), or the accuracy
            of each draw (draws,).
        over: which of the two; gains over another model are paired by it.
    """

    setting: dict[str, Any]
    figures: dict[str, Any]
    each: npt.NDArray[np.floating[Any]]
    over: Literal["shapes", "draws"] = "shapes"


class Fit(typing.Protocol):
    """What was fitted to training shapes, before the test shapes' labels were seen."""

    def outcomes(self, features: Floats, labels: Labels, classes: list[str], *, seed: int) -> list[Outcome]:
        """Score test features (n, D) against their labels (n,), one outcome a setting."""


@dataclass(frozen=True)
class Classification:
    """The plain task: one classifier, fitted to all training shapes."""

    classifier: Classifier

    def outcomes(self, features: Floats, labels: Labels, classes: list[str], *, seed: int) -> list[Outcome]:
        """Score test features (n, D) against their labels (n,)."""
        predicted = self.classifier.predict(features)
        figures = score(predicted, labels, classes, seed=seed) | self.classifier.describe()
        return [Outcome({"folds": self.classifier.folds}, figures, (predicted == labels).astype(np.float32))]


def side_by_side(trained: Outcome, untrained: Outcome | None, *, seed: int) -> dict[str, Any]:
    """One setting's figures; those of the second model are named ``untrained_…``, with the ``gain`` over it."""
    figures = {**trained.setting, **trained.figures}
    if untrained is None or not trained.figures:
        return figures
    figures |= {f"untrained_{name}": value for name, value in untrained.figures.items()}
    figures["gain"] = figures["accuracy"] - figures["untrained_accuracy"]
    if trained.over == "draws":
        interval = paired_over_seeds(untrained.each.tolist(), trained.each.tolist())["interval"]
    else:
        interval = mean_interval(_exact(trained.each - untrained.each), seed=seed)
    return figures | {"gain_interval": interval}


def _exact(values: Floats) -> Floats | Labels:
    """Whole numbers where they are."""
    whole = np.round(values).astype(np.int64)
    return whole if np.array_equal(whole, values) else values
