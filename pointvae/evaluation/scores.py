"""Scores of a classifier on test shapes, with intervals over the shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]

RESAMPLES = 10_000
LEVEL = 0.95
MOST_LEVELS = 64  # distinct values whose counts are drawn in place of the values
CHUNK = 1 << 20  # values drawn at a time


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
    """95 % percentile bootstrap interval of the mean of values (n,).

    Where the values are few distinct ones (right or wrong, or the difference of two such), drawing n of them with
    replacement makes the counts of each multinomial, so no resample is ever built; other values are drawn a few
    thousand at a time.
    """
    array = np.asarray(values)
    array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    levels = np.unique(array)
    if len(levels) <= 3 and np.isin(levels, (-1, 0, 1)).all():
        levels = np.array([-1, 0, 1])
    rng = np.random.default_rng(seed)
    if len(levels) <= MOST_LEVELS:
        shares = np.array([(array == level).mean() for level in levels])
        counts = rng.multinomial(len(array), shares / shares.sum(), size=RESAMPLES)
        means = (counts * levels).sum(axis=1) / len(array)
    else:
        rows = max(1, CHUNK // len(array))
        parts = [
            array[rng.integers(0, len(array), (min(rows, RESAMPLES - start), len(array)))].mean(axis=1)
            for start in range(0, RESAMPLES, rows)
        ]
        means = np.concatenate(parts)
    tail = (1 - LEVEL) / 2
    return [float(end) for end in np.quantile(means, [tail, 1 - tail])]


def standard_error(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Standard error of the mean over the last axis, in float64; 0 of a single value."""
    array = np.asarray(values)
    n = array.shape[-1]
    return np.asarray(array.std(axis=-1, dtype=np.float64, ddof=min(1, n - 1)) / np.sqrt(n))
