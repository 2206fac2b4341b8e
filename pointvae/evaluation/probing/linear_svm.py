"""One-versus-rest linear support vector machines, all classes solved at once in the primal.

The objective is that of ``sklearn.svm.LinearSVC`` with its defaults (squared hinge, L2, a regularised
intercept), for each class k with targets y = +1 for its members and -1 for the rest:

    f_k(w, b) = 1/2 (|w|^2 + b^2) + C sum_i max(0, 1 - y_ik (w . x_i + b))^2

It is minimised by nonlinear conjugate gradients (Polak & Ribière 1969, restarted where they would turn back) with
exact line searches, which cost no matrix product. Newton's method with conjugate gradients inside needs three to ten
times the products: each of its steps solves a system for rows that are not the active ones at its end. Two more
things make it fast: one matrix product serves every class, and the features are turned into their principal axes
first, where the diagonal of the Hessian is an excellent preconditioner. A turn of the axes changes neither |w| nor
w . x, so the optimum is the same.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pointvae.models.precision import product

Array = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]

_log = logging.getLogger(__name__)

_MAX_STEPS = 3000
_MAX_TRIALS = 8
_LEVEL = 0.3
"""A line search ends where the slope has fallen to this share; a tenth saves no step."""
_CAUTION = 4.0
"""What the gap's estimate is multiplied by, to be an upper bound in practice."""


@dataclass(frozen=True)
class LinearSVM:
    """A fitted one-versus-rest linear SVM.

    Attributes:
        coef: weights (classes, features).
        intercept: (classes,).
        objective: value of f_k at the solution (classes,).
        gap: cautious estimate of f_k - min f_k before the last step (classes,).
        steps: steps taken.
        products: products with the feature matrix, the unit of cost.
        converged: whether every class reached the tolerance.
    """

    coef: Array
    intercept: Array
    objective: Float64s
    gap: Float64s
    steps: int
    products: int
    converged: bool

    def decision_function(self, features: Array) -> Array:
        """Margins (n, classes) of features (n, D)."""
        margins: Array = features @ self.coef.T + self.intercept
        return margins

    def predict(self, features: Array) -> npt.NDArray[np.int64]:
        """Index of the class with the largest margin (n,); the first one on ties."""
        best: npt.NDArray[np.int64] = np.argmax(self.decision_function(features), axis=1).astype(np.int64)
        return best


class LinearSVMPath:
    """One training set, solved for several C in turn, each started from the last.

    The features are copied once into their principal axes; they should be standardised. Float64 features are
    solved in float64, anything else in float32.

    Args:
        features: (n, D).
        labels: class indices (n,), each in [0, classes).
        classes: number of one-versus-rest problems.
        tolerance: relative suboptimality of each class's objective at which its problem counts as solved.
    """

    def __init__(
        self, features: Array, labels: npt.NDArray[np.int64], classes: int, *, tolerance: float = 1e-4
    ) -> None:
        dtype: type[np.floating[Any]] = np.float64 if features.dtype == np.float64 else np.float32
        columns: Array = np.ascontiguousarray(features, dtype=dtype)
        scatter = _times(columns.T, columns.T)
        eigenvalues, self._axes = (part.numpy() for part in torch.linalg.eigh(torch.from_numpy(scatter)))
        self._design = np.ones((len(columns), columns.shape[1] + 1), dtype=dtype)
        self._design[:, :-1] = _times(columns, self._axes.T)
        self._spread = np.append(np.maximum(eigenvalues, 0) / len(columns), 1).astype(dtype)
        self._signs = np.where(labels == np.arange(classes)[:, None], 1, -1).astype(dtype)
        self._tolerance = tolerance
        self._weights = np.zeros((classes, self._design.shape[1]), dtype=dtype)

    def fit(self, c: float) -> LinearSVM:
        """The optimum at one C, started from the last one found."""
        self._weights, turned = _minimise(self._design, self._signs, c, self._spread, self._weights, self._tolerance)
        if not turned.converged:
            _log.warning("the linear SVM at C=%g stopped short of its tolerance", c)
        return dataclasses.replace(turned, coef=turned.coef @ self._axes.T, intercept=turned.intercept.copy())


def _minimise(
    design: Array, signs: Array, c: float, spread: Array, start: Array, tolerance: float
) -> tuple[Array, LinearSVM]:
    """Conjugate gradients on every row of ``start`` (classes, D + 1) at once; solved classes drop out.

    The gap is estimated by g . g / 2 in the metric of the preconditioner M's inverse, which would be exact if M were
    the Hessian H; d M d / d H d for the last direction d tells by how much it is not. On features of encoders and on
    random ones the estimate was right in the median and at most three times too small, at values of C up to 1.
    """
    weights = start.copy()
    room: Array = 1 - signs * _times(start, design)  # the slack where it is positive
    gap, objective = np.full(len(weights), np.inf), np.empty(len(weights))
    todo, w, r, y = np.arange(len(weights)), weights, room, signs
    slack: Array = np.maximum(r, 0)
    last: Array = np.zeros_like(w)
    direction: Array = last
    energy: Float64s = np.ones(len(w))
    steps = 0
    while len(todo) and steps < _MAX_STEPS:
        gradient = w - 2 * c * _times(y * slack, design.T)
        metric = 1 + 2 * c * np.count_nonzero(slack, axis=1).astype(w.dtype)[:, None] * spread
        scaled = gradient / metric
        before, energy = energy, _dots(gradient, scaled)
        conjugate = np.maximum((energy - _dots(last, scaled)) / before, 0)
        direction = _column(conjugate, w) * direction - scaled
        turned_back = _dots(gradient, direction) >= 0
        direction[turned_back] = -scaled[turned_back]
        last = gradient
        fall = y * _times(direction, design)  # of the room, along the direction
        size, slack, curvature = _line_search(w, direction, r, fall, slack, c)
        w = w + _column(size, w) * direction
        r = r - _column(size, w) * fall
        gap[todo] = _CAUTION * energy / 2 * _ratio(_dots(direction, metric * direction), curvature)
        objective[todo] = _dots(w, w) / 2 + c * _dots(slack, slack)
        weights[todo] = w
        keep = gap[todo] > tolerance * objective[todo]
        if not keep.all():
            todo, energy = todo[keep], energy[keep]
            w, r, y, slack, last, direction = (part[keep] for part in (w, r, y, slack, last, direction))
        steps += 1
    converged = bool(np.all(gap <= tolerance * objective))
    return weights, LinearSVM(weights[:, :-1], weights[:, -1], objective, gap, steps, 2 * steps + 1, converged)


def _line_search(
    weights: Array, direction: Array, room: Array, fall: Array, slack: Array, c: float
) -> tuple[Float64s, Array, Float64s]:
    """How far to go (classes,) for the least f along each direction, the slack there, and d H d at the start.

    Along a line f is convex and piecewise quadratic: Newton's method on its slope, kept between a place that is too
    near and one that is too far.
    """
    straight, square = _dots(weights, direction), _dots(direction, direction)
    start: Float64s = straight - 2 * c * _dots(slack, fall)
    slope: Float64s = start
    size: Float64s = np.zeros(len(weights))
    near, far = size, np.full(len(weights), np.inf)
    first: Float64s | None = None
    for _ in range(_MAX_TRIALS):
        bend = square + 2 * c * _dots((slack > 0) * fall, fall)
        first = bend if first is None else first
        near, far = np.where(slope < 0, size, near), np.where(slope > 0, size, far)
        size = size - _ratio(slope, bend)
        size = np.where((size < near) | (size > far), (near + far) / 2, size)
        slack = np.maximum(room - _column(size, weights) * fall, 0)
        slope = straight + size * square - 2 * c * _dots(slack, fall)
        if np.all(np.abs(slope) <= _LEVEL * np.abs(start)):
            break
    assert first is not None
    return size, slack, first


def _times(left: Array, right: Array) -> Array:
    """``left`` times the transpose of ``right``, by torch.

    numpy's threads spin while they wait, which on a busy machine costs tenfold.
    """
    made: Array = product(torch.from_numpy(left), torch.from_numpy(right)).numpy()
    return made


def _dots(left: Array, right: Array) -> Float64s:
    """The dot product of each row of one (k, m) with that of the other, as float64 (k,)."""
    dots: Float64s = np.einsum("km,km->k", left, right).astype(np.float64)
    return dots


def _ratio(part: Float64s, whole: Float64s) -> Float64s:
    """One over the other, 0 where both are."""
    return part / np.maximum(whole, np.finfo(np.float64).tiny)


def _column(values: Float64s, like: Array) -> Array:
    """Numbers (k,) as a column (k, 1) of the type of others."""
    column: Array = values[:, None].astype(like.dtype)
    return column
