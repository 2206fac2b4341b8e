"""One-versus-rest linear support vector machines, all classes solved at once in the primal.

The objective is that of ``sklearn.svm.LinearSVC`` with its defaults (squared hinge, L2, a regularised
intercept), for each class k with targets y = +1 for its members and -1 for the rest:

    f_k(w, b) = 1/2 (|w|^2 + b^2) + C sum_i max(0, 1 - y_ik (w . x_i + b))^2

It is minimised by Newton's method whose steps come from conjugate gradients (Lin, Weng & Keerthi 2008, "Trust
region Newton method for large-scale logistic regression", without the trust region: f is strongly convex and a
line search suffices). Two things make it fast: one matrix product serves every class, and the features are turned
into their principal axes first, where the diagonal of the Hessian is an excellent preconditioner. A turn of the
axes changes neither |w| nor w . x, so the optimum is the same.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[np.floating[Any]]

_log = logging.getLogger(__name__)

_MAX_NEWTON = 60
_MAX_CG = 200
_MAX_HALVINGS = 30
_ARMIJO = 1e-2
_CG_ENERGY = 1e-2


@dataclass(frozen=True)
class LinearSVM:
    """A fitted one-versus-rest linear SVM.

    Attributes:
        coef: weights (classes, features).
        intercept: (classes,).
        objective: value of f_k at the solution (classes,).
        gap: estimate of f_k - min f_k before the last step, half its squared Newton decrement (classes,).
        newton_steps: Newton steps taken.
        products: products with the feature matrix, the unit of cost.
        converged: whether every class reached the tolerance.
    """

    coef: Array
    intercept: Array
    objective: npt.NDArray[np.float64]
    gap: npt.NDArray[np.float64]
    newton_steps: int
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
        scatter = _times(columns.T, columns)
        eigenvalues, self._axes = (part.numpy() for part in torch.linalg.eigh(torch.from_numpy(scatter)))
        self._design = np.empty((len(columns), columns.shape[1] + 1), dtype=dtype)
        np.matmul(columns, self._axes, out=self._design[:, :-1])
        self._design[:, -1] = 1
        self._spread = np.append(np.maximum(eigenvalues, 0) / len(columns), 1).astype(dtype)[:, None]
        self._signs = np.where(labels[:, None] == np.arange(classes), 1, -1).astype(dtype)
        self._tolerance = tolerance
        self._weights = np.zeros((self._design.shape[1], classes), dtype=dtype)

    def fit(self, c: float) -> LinearSVM:
        """The optimum at one C, started from the last one found."""
        self._weights, turned = _minimise(self._design, self._signs, c, self._spread, self._weights, self._tolerance)
        if not turned.converged:
            _log.warning("the linear SVM at C=%g stopped short of its tolerance", c)
        coef = (self._axes @ turned.coef).T
        return dataclasses.replace(turned, coef=coef, intercept=turned.intercept.copy())


def _minimise(
    design: Array, signs: Array, c: float, spread: Array, start: Array, tolerance: float
) -> tuple[Array, LinearSVM]:
    """Newton's method on every column of ``start`` (D + 1, classes) at once; solved classes drop out."""
    weights = start.copy()
    margins = _times(design, weights)
    gap = np.full(weights.shape[1], np.inf)
    objective = _objective(weights, _slack(signs, margins), c)
    todo = np.arange(weights.shape[1])
    steps, products = 0, 1
    while len(todo) and steps < _MAX_NEWTON:
        w, z, y = weights[:, todo], margins[:, todo], signs[:, todo]
        slack = _slack(y, z)
        gradient = w - 2 * c * _times(design.T, y * slack)
        active = (slack > 0).astype(w.dtype)
        curvature = 1 + 2 * c * active.sum(axis=0) * spread
        direction, used = _newton_direction(design, active, c, gradient, curvature)
        move = _times(design, direction)
        slope = np.einsum("dk,dk->k", gradient, direction)
        size = _line_search(w, direction, z, move, y, c, objective[todo], slope)
        weights[:, todo] = w + size * direction
        margins[:, todo] = z + size * move
        gap[todo] = np.maximum(-slope / 2, 0)
        objective[todo] = _objective(weights[:, todo], _slack(y, margins[:, todo]), c)
        todo = todo[(gap[todo] > tolerance * objective[todo]) & (size > 0)]
        steps += 1
        products += used + 2
    converged = bool(np.all(gap <= tolerance * objective))
    return weights, LinearSVM(weights[:-1], weights[-1], objective, gap, steps, products, converged)


def _times(left: Array, right: Array) -> Array:
    """A matrix product, by torch: numpy's threads spin while they wait, which on a busy machine costs tenfold."""
    product: Array = (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()
    return product


def _slack(signs: Array, margins: Array) -> Array:
    """The hinge's slack max(0, 1 - y z) (n, classes)."""
    return np.maximum(1 - signs * margins, 0)


def _objective(weights: Array, slack: Array, c: float) -> npt.NDArray[np.float64]:
    """f_k (classes,) from the weights and the hinge's slack, summed in float64."""
    penalty = np.einsum("dk,dk->k", weights, weights, dtype=np.float64)
    loss = np.einsum("nk,nk->k", slack, slack, dtype=np.float64)
    return np.asarray(penalty / 2 + c * loss)


def _newton_direction(design: Array, active: Array, c: float, gradient: Array, curvature: Array) -> tuple[Array, int]:
    """Conjugate gradients for H d = -g (D + 1, classes), to a tenth in the preconditioned norm; and its products.

    H = I + 2 C A' diag(active) A for the design A; its diagonal's estimate is ``curvature``.
    """
    solution = np.zeros_like(gradient)
    residual = -gradient
    direction: Array = residual / curvature
    energy: Array = np.einsum("dk,dk->k", residual, direction)
    goal: Array = _CG_ENERGY * energy
    live = np.arange(len(energy))
    keep = energy > 0
    products = 0
    for _ in range(_MAX_CG):
        if not keep.all():
            live, goal, energy = live[keep], goal[keep], energy[keep]
            direction, residual, active, curvature = (
                part[:, keep] for part in (direction, residual, active, curvature)
            )
        if not len(live):
            break
        product = direction + 2 * c * _times(design.T, active * _times(design, direction))
        products += 2
        alpha = energy / np.einsum("dk,dk->k", direction, product)
        solution[:, live] += alpha * direction
        residual = residual - alpha * product
        scaled = residual / curvature
        fresh = np.einsum("dk,dk->k", residual, scaled)
        keep = fresh > goal
        direction = scaled + fresh / energy * direction
        energy = fresh
    return solution, products


def _line_search(
    weights: Array,
    direction: Array,
    margins: Array,
    move: Array,
    signs: Array,
    c: float,
    value: npt.NDArray[np.float64],
    slope: Array,
) -> Array:
    """Step sizes (classes,): the largest of 1, 1/2, 1/4, ... that keeps Armijo's promise; 0 if none does."""
    size = np.ones(len(value), dtype=weights.dtype)
    failed = np.ones(len(value), dtype=bool)
    rounding: Array = 8 * np.finfo(weights.dtype).eps * value
    for _ in range(_MAX_HALVINGS):
        trial = _objective(weights + size * direction, _slack(signs, margins + size * move), c)
        failed = trial > value + _ARMIJO * size * slope + rounding
        if not failed.any():
            break
        size = np.where(failed, size / 2, size).astype(weights.dtype)
    return np.where(failed, 0, size).astype(weights.dtype)
