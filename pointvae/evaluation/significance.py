"""How far differences can be trusted: between two runs on the same test shapes, and over training seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError
from pointvae.evaluation.scores import LEVEL, mean_interval


def paired_test(right_a: npt.ArrayLike, right_b: npt.ArrayLike, *, seed: int = 0) -> dict[str, Any]:
    """Whether run b is right more often than run a on the same test shapes.

    The p-value is McNemar's, exact: that of so uneven a split of the shapes which one run alone gets right, were both
    equally likely to (McNemar 1947, "Note on the sampling error of the difference between correlated proportions").
    It tells nothing of the spread over training seeds.

    Args:
        right_a: whether a is right on each shape (n,).
        right_b: whether b is (n,).
        seed: what the interval's resamples are drawn from.

    Returns:
        ``accuracy_a``, ``accuracy_b``, ``difference`` (b minus a), its paired 95 % ``interval``, ``p_value``
        (two-sided), ``only_a``, ``only_b``, ``both``, ``neither`` (counts) and ``n``.

    Raises:
        InputError: the two are not of the same shapes, or there are none.
    """
    from scipy.stats import binomtest

    a, b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    if a.shape != b.shape or not a.size:
        raise InputError(f"a paired test needs the same shapes of both runs, got {a.size} and {b.size}")
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    p_value = float(binomtest(only_b, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return {
        "n": int(a.size),
        "accuracy_a": float(a.mean()),
        "accuracy_b": float(b.mean()),
        "difference": (only_b - only_a) / int(a.size),
        "interval": mean_interval(b.astype(int) - a.astype(int), seed=seed),
        "p_value": p_value,
        "only_a": only_a,
        "only_b": only_b,
        "both": int(np.sum(a & b)),
        "neither": int(np.sum(~a & ~b)),
    }


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean and spread of one figure over runs that differ in their seed alone.

    Args:
        values: the figure of each run.

    Returns:
        ``n``, ``mean``, ``standard_deviation`` (n - 1) and the 95 % t-``interval`` of the mean; both None of one run.

    Raises:
        InputError: there is no run.
    """
    from scipy.stats import t

    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        raise InputError("no run to take the mean over")
    mean, n = float(array.mean()), int(array.size)
    if n == 1:
        return {"n": 1, "mean": mean, "standard_deviation": None, "interval": None}
    spread = float(array.std(ddof=1))
    reach = float(t.ppf((1 + LEVEL) / 2, n - 1)) * spread / n**0.5
    return {"n": n, "mean": mean, "standard_deviation": spread, "interval": [mean - reach, mean + reach]}


def paired_over_seeds(a: Sequence[float], b: Sequence[float]) -> dict[str, Any]:
    """`over_seeds` of the differences b minus a of two methods that were trained with the same seeds, in order.

    Raises:
        InputError: there are not as many of one as of the other, or none.
    """
    if len(a) != len(b):
        raise InputError(f"a paired difference needs the same seeds of both methods, got {len(a)} and {len(b)} runs")
    return over_seeds([float(y) - float(x) for x, y in zip(a, b, strict=True)])
