"""The part of an evaluation on the other probe protocols: logistic regression, neighbours, few labels, few shots."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.probing.registry import FEW_SHOT, KNN, LABEL_EFFICIENCY, LOGISTIC
from pointvae.evaluation.probing.tasks import Outcome
from pointvae.evaluation.probing.training import Encoded, compare_feature
from pointvae.evaluation.results import Part
from pointvae.evaluation.work import Work

MEASURED = (  # protocol and feature; what is left out costs more than the rest together
    (LOGISTIC, "posterior_mean"),
    (KNN, "posterior_mean"),
    (KNN, "encoder"),
    (LABEL_EFFICIENCY, "posterior_mean"),
    (FEW_SHOT, "posterior_mean"),
    (FEW_SHOT, "encoder"),
)


def measure_protocols(
    trained: Encoded, untrained: Encoded | None, test: Shapes, *, seed: int = 0, work: Work | None = None
) -> Part:
    """Every protocol of ours but the linear SVM, on shapes as they are.

    Args:
        trained: what the model makes of the shapes.
        untrained: what the untrained model makes of them.
        test: the test shapes; their labels are read once, after every fit.
        seed: what folds, draws and intervals are made from.
        work: how much is done at a time.

    Returns:
        For each of ``probes`` its ``protocol``, its ``protocol_settings``, the ``feature`` and the figures of
        `pointvae.evaluation.probes.probe_run`. Arrays, ``PROTOCOL_FEATURE_trained`` and ``…_untrained``: whether
        each test shape is classified rightly (n,), its share of right draws for each share of the labels (shares, n),
        or the accuracy of each few-shot draw (settings, draws), NaN where the setting is left out.

    Raises:
        InputError: the test shapes have no labels, or the training shapes do not suffice for a probe.
    """
    models = {"trained": trained} | ({} if untrained is None else {"untrained": untrained})
    for protocol, feature in MEASURED:
        for encoded in models.values():
            encoded.train.fit(feature, protocol, seed=seed, work=work)
    labels = test.labels
    if labels is None:
        raise InputError("the test split has no labels, which a probe needs; give each class a folder")
    probes, arrays = [], {}
    for protocol, feature in MEASURED:
        figures, found = compare_feature(trained, untrained, labels, feature=feature, protocol=protocol, seed=seed)
        name = trained.average.named(protocol.identifier)
        probes.append({"protocol": name, "protocol_settings": protocol.to_dict(), **figures})
        for who, outcomes in zip(models, found, strict=True):
            arrays[f"{protocol.name}_{feature}_{who}"] = _each(outcomes, protocol.task, protocol.draws)
    figures = {
        "protocol": "probe_protocols/1",
        "seed": seed,
        "n_train": len(trained.train.labels),
        "n_test": len(labels),
        "probes": probes,
    }
    return Part(figures, arrays)


def _each(outcomes: list[Outcome], task: str, draws: int) -> npt.NDArray[Any]:
    if task == "classify":
        return outcomes[0].each.astype(bool)
    if task == "label_efficiency":
        return np.stack([outcome.each for outcome in outcomes]).astype(np.float32)
    rows = np.full((len(outcomes), draws), np.nan)
    for row, outcome in zip(rows, outcomes, strict=True):
        row[: len(outcome.each)] = outcome.each
    return rows
