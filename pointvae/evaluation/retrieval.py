"""Retrieval: each test shape asks for its like among all others, nearest first in frozen features.

Protocol: every feature is standardised over the gallery; the others are ranked by cosine similarity (and, beside it,
by Euclidean distance), ties by place. Average precision is taken over the whole ranking: the mean over a query's R
relevant shapes (those of its class, itself left out) of the precision at the rank of each. Its mean over queries is
mAP. Classes with one member have nothing to find; their shapes stay in the gallery and ask nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.features import FEATURES, Codes
from pointvae.evaluation.probing.linear_probe import check_finite, standardisation
from pointvae.evaluation.results import Part
from pointvae.evaluation.scores import standard_error
from pointvae.evaluation.selection import spread_over_classes
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work

PROTOCOL = "retrieval/1"
DEPTHS = (1, 5, 10)
METRICS = ("cosine", "euclidean")
BLOCK = 128
"""Queries ranked together."""
SHOWN, NEIGHBOURS, DOTS = 8, 5, 256

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


class Rankings(NamedTuple):
    """What n queries found.

    Attributes:
        average_precision: over the whole ranking (n,).
        found: relevant shapes among the first 1, 5 and 10 (n, 3).
        nearest: places of the first 10 (n, 10), or as many as there are.
    """

    average_precision: Numbers
    found: Labels
    nearest: Labels


def measure_retrieval(
    codes: Mapping[str, Codes],
    shapes: Shapes,
    view: View,
    *,
    turned: Mapping[str, Codes] | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Part:
    """Measure mAP and what stands first, for every subject, feature and metric.

    Args:
        codes: of the test shapes, by subject: the gallery, and the queries too.
        shapes: the test shapes.
        view: how they were seen, for the pictures.
        turned: codes of the same shapes, each turned by its own rotation: queries to the same gallery.
        seed: what the queries of the pictures are drawn from.
        work: how much is done at a time.

    Returns:
        Figures: under ``aligned`` (and ``turned``) by subject, feature and metric ``map`` with its standard error
        over queries and 95 % interval (normal, the gallery held), ``map_class_mean``, ``map_per_class``,
        ``precision``, ``hit`` and ``recall`` at 1, 5 and 10; ``chance_map`` and ``chance_precision`` of a ranking
        by lot; ``shown``, the queries of the pictures with their nearest by the trained (else first) subject's
        posterior mean. Arrays: ``places`` of the queries (n,), ``SUBJECT_FEATURE_METRIC_ap`` (n,) (``turned_…``),
        ``query_clouds`` (q, points, 3) and ``neighbour_clouds`` (q, 5, points, 3), thinned.

    Raises:
        InputError: the shapes have no labels, no class has two members, or a feature is not finite.
    """
    if shapes.labels is None:
        raise InputError("the shapes have no labels, which retrieval needs; give each class a folder")
    labels = shapes.labels
    sizes = np.bincount(labels, minlength=len(shapes.classes))
    queries = np.flatnonzero(sizes[labels] > 1)
    if not len(queries):
        raise InputError("no class of the test shapes has two members, so there is nothing to retrieve; add shapes")
    sides = {"aligned": codes} | ({"turned": turned} if turned is not None else {})
    items = [(side, name, key, how) for side in sides for name in codes for key in FEATURES for how in METRICS]
    spread = [queries[start : start + BLOCK] for start in range(0, len(queries), BLOCK)]
    scaled = {
        (name, key): standardisation(_checked(getattr(own, key)).astype(np.float64))
        for name, own in codes.items()
        for key in FEATURES
    }

    def one(item: tuple[str, str, str, str]) -> Rankings:
        side, name, key, how = item
        mean, scale = scaled[name, key]
        gallery = (getattr(codes[name], key) - mean) / scale
        asking = gallery if side == "aligned" else (_checked(getattr(sides[side][name], key)) - mean) / scale
        blocks = [rank(asking[rows], gallery, rows, labels, how) for rows in spread]
        return Rankings(*(np.concatenate(part) for part in zip(*blocks, strict=True)))

    found = dict(zip(items, (work or Work()).each(one, items, "retrieving"), strict=True))
    figures: dict[str, Any] = {
        "protocol": PROTOCOL,
        "seed": seed,
        "queries": len(queries),
        "gallery": len(labels) - 1,
        "left_out_classes": [name for name, size in zip(shapes.classes, sizes, strict=True) if size == 1],
        "depths": list(DEPTHS),
        **chance(sizes),
        **{side: {name: {key: {} for key in FEATURES} for name in codes} for side in sides},
    }
    arrays: dict[str, npt.NDArray[Any]] = {"places": queries}
    for (side, name, key, how), made in found.items():
        figures[side][name][key][how] = _describe(made, labels[queries], sizes, shapes.classes)
        prefix = "" if side == "aligned" else f"{side}_"
        arrays[f"{prefix}{name}_{key}_{how}_ap"] = made.average_precision.astype(np.float32)
    first = "trained" if "trained" in codes else next(iter(codes))
    nearest = found["aligned", first, FEATURES[0], METRICS[0]].nearest
    figures["shown"], pictures = _shown(shapes, view, queries, nearest, seed)
    return Part(figures, arrays | pictures)


def rank(asking: Numbers, gallery: Numbers, own: Labels, labels: Labels, how: str) -> Rankings:
    """Rank a gallery (n, D) for queries (m, D), each of which is the shape at its own place (m,) of the gallery."""
    order = np.argsort(distances(asking, gallery, own, how), axis=1, kind="stable")[:, :-1]  # itself comes last
    relevant = labels[order] == labels[own][:, None]
    so_far = relevant.cumsum(axis=1)
    ranks = np.arange(1, order.shape[1] + 1)
    precision = (so_far / ranks * relevant).sum(axis=1) / so_far[:, -1]
    found = np.stack([so_far[:, min(depth, len(ranks)) - 1] for depth in DEPTHS], axis=1)
    return Rankings(precision, found, order[:, : max(DEPTHS)])


def distances(asking: Numbers, gallery: Numbers, own: Labels, how: str) -> Numbers:
    """Distances (m, n), infinite to the query's own shape: minus the cosine, or the Euclidean distance squared.

    A feature of no length has the cosine 0 with every other.
    """
    if how == "cosine":
        asking, gallery = (
            part / np.maximum(np.linalg.norm(part, axis=1), 1e-12)[:, None] for part in (asking, gallery)
        )
        far = -(asking @ gallery.T)
    else:
        far = np.square(asking).sum(axis=1)[:, None] + np.square(gallery).sum(axis=1) - 2 * (asking @ gallery.T)
    far[np.arange(len(own)), own] = np.inf
    return far


def chance(sizes: Labels) -> dict[str, float]:
    """Expected mAP and precision of rankings by lot, from the classes' sizes (K,); exact.

    Of n shapes, R relevant, in random order the average precision is H/n + (1 - H/n) (R - 1)/(n - 1) in the mean,
    H = 1 + 1/2 + ... + 1/n (derived: the shape at rank k is relevant with chance R/n, and each before it then with
    (R - 1)/(n - 1)).
    """
    asking = sizes[sizes > 1]
    n, relevant = int(sizes.sum()) - 1, asking - 1
    harmonic = float(np.sum(1 / np.arange(1, n + 1)))
    expected = harmonic / n + (1 - harmonic / n) * (relevant - 1) / max(n - 1, 1)
    return {
        "chance_map": float(np.average(expected, weights=asking)),
        "chance_precision": float(np.average(relevant / n, weights=asking)),
    }


def _describe(made: Rankings, labels: Labels, sizes: Labels, classes: list[str]) -> dict[str, Any]:
    each = made.average_precision
    mean, error = float(each.mean()), float(standard_error(each))
    per_class = {classes[label]: float(each[labels == label].mean()) for label in np.unique(labels)}
    told: dict[str, Any] = {
        "map": mean,
        "map_standard_error": error,
        "map_interval": [mean - 1.96 * error, mean + 1.96 * error],
        "map_class_mean": float(np.mean(list(per_class.values()))),
        "map_per_class": per_class,
        "precision": {},
        "hit": {},
        "recall": {},
    }
    for column, depth in enumerate(DEPTHS):
        found = made.found[:, column]
        told["precision"][str(depth)] = float((found / min(depth, int(sizes.sum()) - 1)).mean())
        told["hit"][str(depth)] = float((found > 0).mean())
        told["recall"][str(depth)] = float((found / (sizes[labels] - 1)).mean())
    return told


def _shown(
    shapes: Shapes, view: View, queries: Labels, nearest: Labels, seed: int
) -> tuple[list[dict[str, Any]], dict[str, Floats]]:
    """A few queries, drawn by lot over the classes, with their nearest; and the clouds of all."""
    assert shapes.labels is not None
    labels = shapes.labels
    rows = spread_over_classes(shapes[queries], SHOWN, seed=seed)
    others = nearest[rows, :NEIGHBOURS]

    def told(place: int) -> dict[str, Any]:
        return {"name": shapes.names[place], "class": shapes.classes[labels[place]]}

    shown = [
        told(place) | {"nearest": [told(other) | {"right": bool(labels[other] == labels[place])} for other in near]}
        for place, near in zip(queries[rows].tolist(), others.tolist(), strict=True)
    ]
    clouds = view.clouds(shapes, queries[rows].tolist())[:, :DOTS]
    around = view.clouds(shapes, others.ravel().tolist())[:, :DOTS]
    return shown, {"query_clouds": clouds, "neighbour_clouds": around.reshape(*others.shape, *clouds.shape[1:])}


def _checked(features: Floats) -> Floats:
    check_finite(features)
    return features
