"""The rows of `benchmarks/speed.py` about the linear probe: the search for C, on two kinds of features."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

import pointvae
from pointvae.data.dataset import Shapes
from pointvae.data.procedural import CATEGORIES, STYLES
from pointvae.evaluation.features import encode
from pointvae.evaluation.probing.cross_validation import stratified_folds
from pointvae.evaluation.probing.linear_probe import C_GRID, fit_probe, standardisation
from pointvae.evaluation.work import Work
from speed_row import Row, Sides

COUNT, CLASSES = 9843, 40
GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 3.0, 10.0)
assert set(GRID) <= set(C_GRID)
SHARE = 7 * 5 + 1
"""Fits of a grid search over 7 values of C in 5 folds, and the last one on all rows."""
AT = 0.01
"""The C of the one fit of LinearSVC."""
APART = 0.003
"""How far the held-out accuracies at that C may lie apart."""

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def random_features() -> tuple[Features, Labels]:
    """Normal numbers around a mean for each class, as separable as 1,024 dimensions make them."""
    rng = np.random.default_rng(0)
    labels = np.arange(COUNT) % CLASSES
    means = rng.normal(size=(CLASSES, 1024)) * 0.25
    return (means[labels] + rng.normal(size=(COUNT, 1024))).astype(np.float32), labels


def shape_features() -> tuple[Features, Labels]:
    """What an untrained PointNet makes of procedural shapes; their classes are those of `forty_classes`."""
    with tempfile.TemporaryDirectory(prefix="pointvae-speed-") as folder:
        pointvae.prepare(
            "procedural", folder, shapes_per_class=-(-COUNT // len(CATEGORIES)), points=256, test_fraction=0.0
        )
        shapes = pointvae.load_dataset(folder)["train"][:COUNT]
    torch.manual_seed(0)
    codes = encode(pointvae.PointVAE(points=256), shapes, work=Work(jobs=1))
    return codes.encoder, forty_classes(shapes)


def forty_classes(shapes: Shapes) -> Labels:
    """The 32 categories, of which the first eight that have a style of two choices are split by it."""
    assert shapes.labels is not None and shapes.factors is not None
    labels, split = shapes.labels.copy(), 0
    for label, category in enumerate(shapes.classes):
        style = next((name for name, choices in STYLES[category].items() if len(choices) == 2), None)
        if style and len(shapes.classes) + split < CLASSES:
            second = [factors.get(style) == 1 for factors in shapes.factors]
            labels[(shapes.labels == label) & second] = len(shapes.classes) + split
            split += 1
    return labels


def search(make: Callable[[], tuple[Features, Labels]]) -> Callable[[], Sides]:
    """The linear SVM with C by 5 folds, against one fit of LinearSVC that is scaled up to those of a grid search."""

    def sides() -> Sides:
        from sklearn.svm import LinearSVC

        features, labels = make()
        names = [str(label) for label in range(CLASSES)]
        part = stratified_folds(labels, 5, seed=0) > 0  # what one fold trains on
        mean, scale = standardisation(features[part])
        standardised = (features - mean) / scale
        model = LinearSVC(C=AT)

        def theirs() -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it has not converged, which `check` tells
                model.fit(standardised[part], labels[part])

        def check() -> str:
            """Refuse solvers that do not agree on shapes unseen; and say whether the other one has converged."""
            probe = fit_probe(features[part], labels[part], names, c_grid=(AT,))
            right = [
                np.mean(predicted == labels[~part])
                for predicted in (probe.predict(features[~part]), model.predict(standardised[~part]))
            ]
            told = f"{right[0]:.4f} by ours and {right[1]:.4f} by LinearSVC"
            if abs(right[0] - right[1]) > APART:
                raise SystemExit(f"not the same work: held-out accuracies {told} at C = {AT}")
            return " that stops short at its max_iter" if np.max(model.n_iter_) >= model.max_iter else ""

        return {
            "ours": lambda: fit_probe(features, labels, names, c_grid=GRID),
            "theirs": theirs,
            "check": check,
        }

    return sides


def _row(name: str, kind: str, make: Callable[[], tuple[Features, Labels]]) -> Row:
    work = f"linear SVM, {kind}, 9,843 x 1,024, 40 classes, 7 values of C, 5 folds"
    return Row(name, work, "LinearSVC, one fit scaled to 36", search(make), 10, scale=SHARE, turns=1)


PROBE_ROWS = (
    _row("probe", "random features", random_features),
    _row("probe-features", "an untrained PointNet's features", shape_features),
)
