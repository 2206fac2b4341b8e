"""What is fitted to frozen features, out of reach of the test split.

A `Training` holds codes and labels of training shapes and nothing else, and every fit belongs to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.dataset import Shapes
from pointvae.evaluation.average import Average
from pointvae.evaluation.features import Codes, encode
from pointvae.evaluation.probing.classifiers import fit_classifier
from pointvae.evaluation.probing.few_shot import fit_episodes
from pointvae.evaluation.probing.label_efficiency import fit_parts
from pointvae.evaluation.probing.linear_probe import LinearProbe
from pointvae.evaluation.probing.protocols import Protocol
from pointvae.evaluation.probing.registry import LINEAR_SVM
from pointvae.evaluation.probing.tasks import Classification, Fit, Outcome, side_by_side
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.models.vae import PointVAE

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Training:
    """Training shapes as one model encodes them, with their labels: all that a fit gets to see.

    Attributes:
        codes: of n shapes.
        labels: indices into ``classes`` (n,).
        classes: names of the classes.
    """

    codes: Codes
    labels: npt.NDArray[np.int64]
    classes: list[str]
    _fitted: dict[tuple[str, str, int], Fit] = field(default_factory=dict, repr=False)

    def fit(self, feature: str, protocol: Protocol = LINEAR_SVM, *, seed: int = 0, work: Work | None = None) -> Fit:
        """Everything that the protocol fits to one feature; a second call finds what the first one fitted."""
        key = (repr(protocol), feature, seed)
        if key not in self._fitted:
            features = self.codes.feature(feature)
            self._fitted[key] = fit_task(protocol, features, self.labels, self.classes, seed=seed, work=work)
        return self._fitted[key]

    def linear_probe(self, feature: str, *, seed: int = 0, work: Work | None = None) -> LinearProbe:
        """The probe of `linear_svm_c_cv` that reads one feature."""
        fitted = self.fit(feature, LINEAR_SVM, seed=seed, work=work)
        assert isinstance(fitted, Classification) and isinstance(fitted.classifier, LinearProbe)
        return fitted.classifier


@dataclass(frozen=True)
class Encoded:
    """What one model makes of the training shapes and of the test shapes, each seen in its own way."""

    train: Training
    test: Codes

    @property
    def average(self) -> Average:
        """The turns that the codes of both splits are averaged over.

        Raises:
            ValueError: they are different ones.
        """
        if self.train.codes.average != self.test.average:
            raise ValueError("the codes of the two splits are averaged over different turns")
        return self.test.average


def encode_training(
    model: PointVAE,
    train: Shapes,
    view: View,
    *,
    average: Average | None = None,
    layers: bool = False,
    work: Work | None = None,
) -> Training:
    """The training split through one model."""
    assert train.labels is not None
    codes = encode(model, train, view, average=average, layers=layers, work=work)
    return Training(codes, train.labels, list(train.classes))


def encode_splits(
    model: PointVAE,
    train: Shapes,
    test: Shapes,
    view: View,
    *,
    average: Average | None = None,
    layers: bool = False,
    work: Work | None = None,
) -> Encoded:
    """Both splits through one model, seen through one view."""
    training = encode_training(model, train, view, average=average, layers=layers, work=work)
    return Encoded(training, encode(model, test, view, average=average, layers=layers, work=work))


def compare_feature(
    trained: Encoded,
    untrained: Encoded | None,
    labels: npt.NDArray[np.int64],
    *,
    feature: str,
    protocol: Protocol = LINEAR_SVM,
    seed: int = 0,
    work: Work | None = None,
) -> tuple[dict[str, Any], list[list[Outcome]]]:
    """One feature's figures, those of the second model named ``untrained_…``; and the outcomes of each model.

    Args:
        trained: what the model makes of the shapes.
        untrained: what the untrained model does.
        labels: of the test shapes (n,).
        feature: the feature.
        protocol: the protocol.
        seed: what folds, draws and intervals are made from.
        work: how much is done at a time, where something has not been fitted yet.
    """
    models = [trained] if untrained is None else [trained, untrained]
    fits = [encoded.train.fit(feature, protocol, seed=seed, work=work) for encoded in models]
    found = [
        fit.outcomes(encoded.test.feature(feature), labels, encoded.train.classes, seed=seed)
        for fit, encoded in zip(fits, models, strict=True)
    ]
    others: Sequence[Outcome | None] = found[1] if len(found) > 1 else [None] * len(found[0])
    rows = [side_by_side(*pair, seed=seed) for pair in zip(found[0], others, strict=True)]
    figures = {
        "feature": feature,
        "dimension": int(trained.train.codes.feature(feature).shape[1]),
        "n_train": len(trained.train.labels),
        "n_test": len(labels),
    }
    return figures | (rows[0] if protocol.task == "classify" else {"settings": rows}), found


def fit_task(
    protocol: Protocol,
    features: Floats,
    labels: Labels,
    classes: list[str],
    *,
    seed: int = 0,
    work: Work | None = None,
) -> Fit:
    """Everything that the protocol fits to features (n, D) of training shapes and their labels (n,)."""
    if protocol.task == "label_efficiency":
        return fit_parts(protocol, features, labels, classes, seed=seed, work=work)
    if protocol.task == "few_shot":
        return fit_episodes(protocol, features, labels, classes, seed=seed, work=work)
    return Classification(fit_classifier(protocol, features, labels, classes, seed=seed, work=work))
