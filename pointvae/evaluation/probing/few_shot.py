"""The task ``few_shot``: some classes, some shapes of each to learn from, unseen shapes to tell apart.

1. A draw takes ``ways`` classes at random among those with at least ``shots`` training shapes, and of each ``shots``
   training shapes: the support. Where too few classes have so many, the setting is left out, with the reason.
2. The classifier, and the standardisation, are learned from the support alone. Classes and supports are the same for
   every model.
3. Of each class ``queries`` test shapes are scored, all there are where there are fewer (``fewest_queries``). The
   accuracy is the mean over the draws, with the standard deviation (n - 1) and the t-interval over them, cut off at 0
   and 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.evaluation.probing.classifiers import Classifier, fit_classifier
from pointvae.evaluation.probing.protocols import Protocol
from pointvae.evaluation.probing.tasks import Outcome
from pointvae.evaluation.significance import over_seeds
from pointvae.evaluation.work import Work

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]

SUPPORT_STREAM, QUERY_STREAM = 12, 13


@dataclass(frozen=True)
class Setting:
    """So many classes and shapes of each, with the classes of every draw; or why it is left out."""

    ways: int
    shots: int
    drawn: list[Labels]
    left_out: str | None = None


@dataclass(frozen=True)
class Episodes:
    """Classifiers fitted to the supports of every setting's draws."""

    settings: list[Setting]
    classifiers: list[list[Classifier]]
    queries: int
    seed: int

    def outcomes(self, features: Floats, labels: Labels, classes: list[str], *, seed: int) -> list[Outcome]:
        """Score test features (n, D) against their labels (n,), one outcome a setting."""
        return [
            self._outcome(setting, fitted, features, labels)
            for setting, fitted in zip(self.settings, self.classifiers, strict=True)
        ]

    def _outcome(self, setting: Setting, fitted: list[Classifier], features: Floats, labels: Labels) -> Outcome:
        told: dict[str, Any] = {"ways": setting.ways, "shots": setting.shots}
        if setting.left_out is not None:
            return Outcome(told | {"left_out": setting.left_out}, {}, np.empty(0), "draws")
        accuracies, fewest = [], self.queries
        for draw, (drawn, one) in enumerate(zip(setting.drawn, fitted, strict=True)):
            asked = query(labels, drawn, self.queries, (setting.ways, setting.shots, draw), seed=self.seed)
            fewest = min(fewest, *(int(np.sum(labels[asked] == label)) for label in drawn))
            if len(asked):
                accuracies.append(float(np.mean(one.predict(features[asked]) == labels[asked])))
        if not accuracies:
            return Outcome(told | {"left_out": "no test shape of the classes drawn"}, {}, np.empty(0), "draws")
        draws = over_seeds(accuracies)
        figures = {
            "accuracy": draws["mean"],
            "accuracy_interval": [min(max(end, 0.0), 1.0) for end in draws["interval"] or [draws["mean"]] * 2],
            "standard_deviation": draws["standard_deviation"],
            "draw_accuracies": accuracies,
        }
        return Outcome(told | {"fewest_queries": fewest}, figures, np.array(accuracies), "draws")


def fit_episodes(
    protocol: Protocol,
    features: Floats,
    labels: Labels,
    classes: list[str],
    *,
    seed: int = 0,
    work: Work | None = None,
) -> Episodes:
    """Fit the protocol's classifier to every draw's support.

    Args:
        protocol: a protocol of this task.
        features: of the training shapes (n, D).
        labels: indices into ``classes`` (n,).
        classes: names of the classes, for messages.
        seed: what the draws are made from.
        work: how much is done at a time; each fit is on one thread.

    Raises:
        InputError: a feature is not finite.
    """
    settings: list[Setting] = []
    supports: list[list[Labels]] = []
    units: list[Labels] = []
    for ways in protocol.ways:
        for shots in protocol.shots:
            able = int(np.sum(np.bincount(labels) >= shots))
            if able < ways:
                told = f"{able} classes have {shots} training shapes or more, of {ways} that are needed"
                settings.append(Setting(ways, shots, [], told))
                supports.append([])
                continue
            own = [support(labels, ways, shots, draw, seed=seed) for draw in range(protocol.draws)]
            settings.append(Setting(ways, shots, [np.unique(labels[places]) for places in own]))
            supports.append(own)
            units += own
    inner = Work(jobs=1)

    def fit(places: Labels) -> Classifier:
        return fit_classifier(protocol, features[places], labels[places], classes, seed=seed, work=inner)

    fitted = iter((work or Work()).each(fit, units, "fitting few shapes"))
    return Episodes(settings, [[next(fitted) for _ in own] for own in supports], protocol.queries, seed)


def support(labels: Labels, ways: int, shots: int, draw: int, *, seed: int = 0) -> Labels:
    """Places of the training shapes of one draw (ways x shots,)."""
    rng = np.random.default_rng((seed, SUPPORT_STREAM, ways, shots, draw))
    able = np.flatnonzero(np.bincount(labels) >= shots)
    drawn = rng.choice(able, ways, replace=False)
    return np.concatenate([rng.choice(np.flatnonzero(labels == label), shots, replace=False) for label in drawn])


def query(labels: Labels, drawn: Labels, queries: int, place: tuple[int, int, int], *, seed: int = 0) -> Labels:
    """Places of the test shapes that one draw asks about, ``queries`` of each class or all there are."""
    rng = np.random.default_rng((seed, QUERY_STREAM, *place))
    return np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:queries] for label in drawn])
