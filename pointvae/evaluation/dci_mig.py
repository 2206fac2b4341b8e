"""How well dimensions of a code stand for known factors: DCI and the mutual information gap.

- DCI (Eastwood & Williams, "A framework for the quantitative evaluation of disentangled representations", ICLR 2018):
  a random forest predicts each factor from the standardised codes of the training shapes; its importances, a column
  for each factor that sums to 1, give *disentanglement* (does a dimension serve one factor?) and *completeness* (is a
  factor served by one dimension?), both 1 minus a normalised entropy; *informativeness* is how well held-out test
  shapes are predicted: R² of a continuous factor, and of a discrete style the share of the majority's errors that is
  put right. 1 is perfect, 0 is what a guess without codes gets, less is worse than that.
- MIG (Chen et al., "Isolating sources of disentanglement in VAEs", NeurIPS 2018): the mutual information of a factor
  with its best dimension minus that with the second best, as a share of the factor's entropy. Both are cut into bins
  of equal population, about four shapes for each pair of bins; few shapes overstate mutual information.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

TREES = 30
STYLES_AT_MOST = 6  # whole numbers no more than these are discrete

Doubles = npt.NDArray[np.float64]


def forest_importances(
    codes: npt.NDArray[np.floating[Any]],
    factor: Doubles,
    held_codes: npt.NDArray[np.floating[Any]],
    held_factor: Doubles,
    *,
    seed: int = 0,
) -> tuple[Doubles, float]:
    """Importance of each dimension for a factor (D,), which sum to 1 or 0, and informativeness on held-out shapes.

    Args:
        codes: of the training shapes (n, D).
        factor: theirs (n,); at most 6 whole numbers count as discrete.
        held_codes: of the test shapes (m, D).
        held_factor: theirs (m,).
        seed: the forest's random state.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    settings: dict[str, Any] = {"n_estimators": TREES, "max_features": 1.0, "random_state": seed}
    if is_discrete(factor):
        kinds, counts = np.unique(factor, return_counts=True)
        forest = RandomForestClassifier(**settings).fit(codes, factor)
        wrong = np.mean(forest.predict(held_codes) != held_factor)
        blind = np.mean(held_factor != kinds[counts.argmax()])
    else:
        forest = RandomForestRegressor(**settings).fit(codes, factor)
        wrong = np.mean(np.square(forest.predict(held_codes) - held_factor))
        blind = np.mean(np.square(held_factor - held_factor.mean()))
    informativeness = 1.0 - float(wrong / blind) if blind > 0 else 0.0
    return np.asarray(forest.feature_importances_, np.float64), informativeness


def disentanglement(importances: Doubles) -> float:
    """Mean over dimensions of 1 - H_F(P_d), weighted by their importance; from importances (D, F), F > 1."""
    total = importances.sum(axis=1)
    if not total.sum() > 0:
        return 0.0
    return float(np.sum(total * _concentration(importances)) / total.sum())


def completeness(importances: Doubles) -> Doubles:
    """1 - H_D(P_f) of each factor (F,), from importances (D, F), D > 1; 0 for one that nothing predicts."""
    return _concentration(importances.T)


def _concentration(table: Doubles) -> Doubles:
    """1 minus the entropy of each row as a share of the greatest possible; 0 for a row of nothing."""
    total = table.sum(axis=1, keepdims=True)
    share = np.divide(table, total, out=np.full_like(table, 1.0 / table.shape[1]), where=total > 0)
    entropy = -np.sum(share * np.log(np.maximum(share, 1e-300)), axis=1)
    concentration: Doubles = 1.0 - entropy / max(math.log(table.shape[1]), 1e-300)
    return concentration


def gaps(codes: Doubles, factors: Doubles) -> Doubles:
    """The mutual information gap of each factor (F,), from codes (n, D) and factors (n, F) of the same shapes."""
    bins = bin_count(len(codes))
    cut = _one_hot(codes, bins, ranked=True)  # (D, bins, n)
    result = np.zeros(factors.shape[1])
    for column in range(factors.shape[1]):
        own = _one_hot(factors[:, [column]], bins, ranked=not is_discrete(factors[:, column]))[0]
        joint = cut @ own.T / len(codes)  # (D, bins, bins)
        product = joint.sum(axis=2, keepdims=True) * joint.sum(axis=1, keepdims=True)
        ratio = np.divide(joint, product, out=np.ones_like(joint), where=joint > 0)
        information = np.sort(np.append(np.sum(joint * np.log(ratio), axis=(1, 2)), 0.0))
        marginal = own.mean(axis=1)
        entropy = -np.sum(marginal * np.log(np.maximum(marginal, 1e-300)))
        result[column] = (information[-1] - information[-2]) / entropy if entropy > 0 else 0.0
    return result


def bin_count(shapes: int) -> int:
    """Bins of equal population: about four shapes for each pair of bins, 2 to 20."""
    return int(np.clip(math.isqrt(shapes) // 2, 2, 20))


def is_discrete(values: Doubles) -> bool:
    """Whether a factor is a style: at most 6 whole numbers."""
    kinds = np.unique(values)
    return len(kinds) <= STYLES_AT_MOST and bool(np.all(kinds == np.round(kinds)))


def _one_hot(values: Doubles, bins: int, *, ranked: bool) -> Doubles:
    """The bin of each value, as ones and zeros (columns, bins, n); of equal values the lowest rank counts."""
    index = np.empty(values.shape, np.int64)
    for column in range(values.shape[1]):
        ordered = np.sort(values[:, column]) if ranked else np.unique(values[:, column])
        index[:, column] = np.searchsorted(ordered, values[:, column])
    if ranked:
        index = index * bins // len(values)
    else:
        bins = int(index.max()) + 1
    ones: Doubles = (index.T[:, None, :] == np.arange(bins)[None, :, None]).astype(np.float64)
    return ones
