"""Scores of a classifier on test shapes, with intervals over the shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]

RESAMPLES = 10_000
LEVEL = 0.95


def score(predicted: Labels, labels: Labels, classes: list[str], *, seed: int = 0) -> dict[str, Any]:
    """Accuracy overall and per class, with the confusion matrix, as plain JSON-able data.

    Args:
        predicted: predicted classes (n,).
        labels: true classes (n,).
        classes: the names that both index.
        seed: what the interval's resamples are drawn from.

    Returns:
        ``accuracy``, ``accuracy_interval`` (95 %), ``mean_class_accuracy`` (over classes with test shapes),
        ``per_class_accuracy`` by name (None without test shapes), ``confusion_matrix`` [true][predicted] counts.
    """
    count = len(classes)
    confusion = np.bincount(labels * count + predicted, minlength=count * count).reshape(count, count)
    sizes = confusion.sum(axis=1)
    hits = confusion.diagonal()
    per_class = {
        name: float(hit / size) if size else None for name, hit, size in zip(classes, hits, sizes, strict=True)
    }
    return {
        "accuracy": float(hits.sum() / len(labels)),
        "accuracy_interval": mean_interval(predicted == labels, seed=seed),
        "mean_class_accuracy": float(np.mean(hits[sizes > 0] / sizes[sizes > 0])),
        "per_class_accuracy": per_class,
        "confusion_matrix": confusion.tolist(),
    }


def mean_interval(values: npt.ArrayLike, *, seed: int = 0) -> list[float]:
    """95 % percentile bootstrap interval of the mean of values (n,) that are -1, 0 or 1.

    Drawing n of them with replacement makes the counts of the three multinomial, so no resample is ever built.
    """
    array = np.asarray(values, dtype=np.int64)
    shares = np.array([(array == value).mean() for value in (-1, 0, 1)])
    counts = np.random.default_rng(seed).multinomial(len(array), shares / shares.sum(), size=RESAMPLES)
    means = (counts[:, 2] - counts[:, 0]) / len(array)
    tail = (1 - LEVEL) / 2
    return [float(end) for end in np.quantile(means, [tail, 1 - tail])]
