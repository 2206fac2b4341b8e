"""The task ``label_efficiency``: how much of the accuracy is left where few of the training shapes are labelled.

1. In each draw every class's training shapes are shuffled once; of each class the first round(share x its size) are
   labelled, and never fewer than one. So within a draw the smaller parts lie within the larger.
2. Everything is learned from the labelled shapes: standardisation, C (or k) by stratified cross-validation among
   them, and the classifier. Where a class has one labelled shape no fold can hold it out, and C is ``lone_c`` (k the
   smallest of the grid).
3. All test shapes are scored; the accuracy is the mean over the draws, its interval the bootstrap over test shapes of
   each one's share of draws, its standard deviation that between the draws.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.evaluation.probing.classifiers import Classifier, fit_classifier
from pointvae.evaluation.probing.cross_validation import classes_present
from pointvae.evaluation.probing.protocols import Protocol
from pointvae.evaluation.probing.tasks import Outcome
from pointvae.evaluation.scores import mean_interval
from pointvae.evaluation.significance import over_seeds
from pointvae.evaluation.work import Work

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]

STREAM = 11


@dataclass(frozen=True)
class Parts:
    """Classifiers fitted to parts of the labels: shares, labels used, and a classifier of each draw."""

    shares: tuple[float, ...]
    counts: list[int]
    classifiers: list[list[Classifier]]

    def outcomes(self, features: Floats, labels: Labels, classes: list[str], *, seed: int) -> list[Outcome]:
        """Score test features (n, D) against their labels (n,), one outcome a share."""
        found = []
        for share, count, fitted in zip(self.shares, self.counts, self.classifiers, strict=True):
            right = np.stack([one.predict(features) == labels for one in fitted])
            each = right.mean(axis=0)
            draws = over_seeds(right.mean(axis=1).tolist())
            chosen = [one.describe() for one in fitted]
            figures: dict[str, Any] = {
                "accuracy": draws["mean"],
                "accuracy_interval": mean_interval(each, seed=seed),
                "standard_deviation": draws["standard_deviation"],
                "draw_accuracies": right.mean(axis=1).tolist(),
                "folds": [one.folds for one in fitted],
            }
            figures |= {name: [told[name] for told in chosen] for name in chosen[0] if name != "cv_accuracy"}
            found.append(Outcome({"share": share, "labels": count}, figures, each))
        return found


def fit_parts(
    protocol: Protocol,
    features: Floats,
    labels: Labels,
    classes: list[str],
    *,
    seed: int = 0,
    work: Work | None = None,
) -> Parts:
    """Fit the protocol's classifier to every share and draw of the training labels.

    Args:
        protocol: a protocol of this task.
        features: of the training shapes (n, D).
        labels: indices into ``classes`` (n,).
        classes: names of the classes, for messages.
        seed: what draws and folds are made from.
        work: how much is done at a time; each fit is on one thread.

    Raises:
        InputError: a feature is not finite, or there are fewer than two classes.
    """
    classes_present(labels, classes, least=1)
    units = [(share, draw) for share in protocol.shares for draw in range(protocol.draws)]
    units.sort(key=lambda unit: -unit[0])  # the long ones first
    inner = Work(jobs=1)

    def fit(unit: tuple[float, int]) -> Classifier:
        chosen = labelled(labels, *unit, seed=seed)
        own = protocol
        if np.bincount(labels[chosen])[np.unique(labels[chosen])].min() < 2:
            lone = () if protocol.lone_c is None else (protocol.lone_c,)
            own = dataclasses.replace(protocol, c_grid=lone, k_grid=protocol.k_grid[:1])
        return fit_classifier(own, features[chosen], labels[chosen], classes, seed=seed, work=inner)

    fitted = dict(zip(units, (work or Work()).each(fit, units, "fitting parts of the labels"), strict=True))
    counts = [len(labelled(labels, share, 0, seed=seed)) for share in protocol.shares]
    return Parts(
        protocol.shares,
        counts,
        [[fitted[share, draw] for draw in range(protocol.draws)] for share in protocol.shares],
    )


def labelled(labels: Labels, share: float, draw: int, *, seed: int = 0) -> Labels:
    """Places of the training shapes that are labelled, growing; a smaller share's lie within a larger one's."""
    rng = np.random.default_rng((seed, STREAM, draw))
    chosen = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen.append(members[: max(1, int(share * len(members) + 0.5))])
    return np.sort(np.concatenate(chosen))
