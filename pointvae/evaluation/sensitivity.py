"""Accuracy and consistency gap against the size of a change: how much of it a frozen encoder bears.

Each test shape is seen as it is and changed by a known amount. The linear probes, fitted to training shapes as they
are, classify what the encoder makes of it; the gap is KL( q(z|t(x)) || q(z|x) ) (Sinha & Dieng, "Consistency
Regularization for Variational Auto-Encoders", NeurIPS 2021). A gap is measured in widths of the posterior, so the way
that the posterior mean goes, in standard deviations of the prior, stands beside it: it compares models whose
posteriors differ in width. A model that gives all shapes nearly one code, as an untrained one does, moves it little
whatever comes; so the way is also told as a share of that between two shapes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.changes import FEWEST, MORE, STREAM, Change, changes_of
from pointvae.evaluation.features import Codes, to_array
from pointvae.evaluation.probing.linear_probe import PROTOCOL as PROBE
from pointvae.evaluation.results import Part
from pointvae.evaluation.scores import mean_interval, standard_error
from pointvae.evaluation.selection import affordable, spread_over_classes
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.models.modes import evaluation_mode
from pointvae.models.posteriors import HierarchicalPosterior, Posterior
from pointvae.objectives.consistency import kl_between
from pointvae.randomness import generator_for

PROTOCOL = "sensitivity/1"
SHAPES, QUICK_SHAPES = 1000, 200

Row = dict[str, npt.NDArray[Any]]
"""What one subject makes of some shapes at one size: ``gap``, ``way`` and ``right_FEATURE``, each (n,).

Where nothing is changed also ``mean`` (n, D), of the posterior.
"""


def measure_sensitivity(
    subjects: Mapping[str, Subject],
    shapes: Shapes,
    view: View,
    *,
    changes: Sequence[Change] | None = None,
    seed: int = 0,
    quick: bool = False,
    work: Work | None = None,
) -> Part:
    """Accuracy, consistency gap and way of the posterior mean at every size of every change.

    At most 1,000 shapes, spread over the classes, are taken (200 when ``quick``; fewer of more than 256 points). What
    a change draws depends on ``seed`` and the place of the shape in ``shapes`` alone, and is the same for every
    subject and size.

    Args:
        subjects: the frozen models with their probes, by name.
        shapes: the test shapes.
        view: how they are seen before they are changed.
        changes: what is done to them; the standard ones when absent.
        seed: what the subset and the changes are drawn from.
        quick: take fewer shapes and sizes.
        work: how much is done at a time.

    Returns:
        Figures: under ``changes`` for each change its ``sizes``, and for each subject lists over them: ``gap`` (nats)
        and ``way`` (root mean square over dimensions, standard deviations of the prior) with their standard errors;
        ``gap_median``; ``way_share``, the way over ``way_between_shapes``, the root mean square distance between two
        different shapes' means (None where all have one code); and by feature ``accuracy``, its 95 % interval, and
        that of its change from the shapes as they are. Arrays: ``SUBJECT_CHANGE_gap``, ``_way`` and
        ``_right_FEATURE`` (sizes, n), and ``places`` (n,).

    Raises:
        InputError: there is no shape, or it has too few points for the view.
    """
    if not len(shapes):
        raise InputError("no shape to change: the split or folder is empty")
    most = affordable(QUICK_SHAPES if quick else SHAPES, view.points or shapes.points.shape[1])
    places = spread_over_classes(shapes, most, seed=seed)
    if changes is None:
        changes = changes_of(shapes, view, quick=quick)
    measured = _measure(subjects, shapes, view, places, changes, seed, work or Work())
    figures: dict[str, Any] = {
        "protocol": PROTOCOL,
        "seed": seed,
        "n_shapes": len(places),
        "of_shapes": len(shapes),
        "points": view.points or shapes.points.shape[1],
        "rotation": view.rotation,
        "probe": PROBE,
        "point_counts": f"from {FEWEST}, at most {MORE} times those of the view",
        "changes": {},
    }
    arrays: dict[str, npt.NDArray[Any]] = {"places": places}
    for change in changes:
        told: dict[str, Any] = {
            "words": change.words,
            "unit": change.unit,
            "sizes": list(change.sizes),
            "nothing": change.nothing,
        }
        for name in subjects:
            kept = [measured[name, change.name, size] for size in change.sizes]
            told[name] = _describe(kept, measured[name, "", 0.0], seed)
            keys = [key for key in kept[0] if key != "mean"]
            arrays |= {f"{name}_{change.name}_{key}": np.stack([row[key] for row in kept]) for key in keys}
        figures["changes"][change.name] = told
    return Part(figures, arrays)


def _measure(
    subjects: Mapping[str, Subject],
    shapes: Shapes,
    view: View,
    places: npt.NDArray[np.int64],
    changes: Sequence[Change],
    seed: int,
    work: Work,
) -> dict[tuple[str, str, float], Row]:
    """The rows of all shapes by subject, change and size; those of the shapes as they are under the change ``""``.

    Shapes go through tile by tile, so that the posterior of each as it is is made once and never stored.
    """

    def of_tile(rows: range) -> dict[tuple[str, str, float], Row]:
        own = [int(place) for place in places[rows.start : rows.stop]]
        labels = None if shapes.labels is None else shapes.labels[own]
        found: dict[tuple[str, str, float], Row] = {}
        start: dict[str, Posterior] = {}
        for name, subject in subjects.items():
            codes, start[name] = _encode(subject, view.clouds(shapes, own))
            still = np.zeros(len(own), np.float32)
            moved = {"gap": still, "way": still, "mean": codes.posterior_mean}
            found[name, "", 0.0] = moved | _right(subject, codes, labels)
        for change in changes:
            for size in change.sizes:
                if size == change.nothing:
                    found |= {(name, change.name, size): found[name, "", 0.0] for name in subjects}
                    continue
                clouds = change.clouds(shapes, view, own, size, seed=seed)
                for name, subject in subjects.items():
                    codes, posterior = _encode(subject, clouds)
                    moved = _moved(posterior, start[name], seed, own)
                    found[name, change.name, size] = moved | _right(subject, codes, labels)
        return found

    with ExitStack() as modes:
        for subject in subjects.values():
            modes.enter_context(evaluation_mode(subject.model))
        tiles = work.tiles(of_tile, len(places), "measuring sensitivity")
    return {
        key: {part: np.concatenate([tile[key][part] for tile in tiles]) for part in tiles[0][key]} for key in tiles[0]
    }


def _encode(subject: Subject, clouds: npt.NDArray[np.float32]) -> tuple[Codes, Posterior]:
    points = torch.tensor(clouds, device=next(subject.model.parameters()).device)
    features = subject.model.features(points)
    posterior = subject.model.posterior_of(features, points)
    return Codes(to_array(posterior.mean), to_array(posterior.stddev), to_array(features)), posterior


def _moved(posterior: Posterior, start: Posterior, seed: int, places: Sequence[int]) -> Row:
    """KL( q || q_0 ) and the root mean square way from the mean of q_0 to that of q, each (n,)."""
    noise: Tensor | None = None
    mean = posterior.mean
    if isinstance(posterior, HierarchicalPosterior):  # whose KL is taken along a path, one for each shape
        draws = [generator_for(seed, STREAM, place) for place in places]
        noise = torch.stack([torch.randn(mean.shape[1], generator=g) for g in draws]).to(mean)
    gap = kl_between(posterior, start, noise).sum(dim=1)
    return {"gap": to_array(gap), "way": to_array((mean - start.mean).square().mean(dim=1).sqrt())}


def _right(subject: Subject, codes: Codes, labels: npt.NDArray[np.int64] | None) -> Row:
    if labels is None:
        return {}
    return {f"right_{feature}": right for feature, right in subject.right(codes, labels).items()}


def _describe(rows: Sequence[Row], still: Row, seed: int) -> dict[str, Any]:
    """Means over shapes with their uncertainties, one for each size."""
    told: dict[str, Any] = {}
    for key in ("gap", "way"):
        each = np.stack([row[key] for row in rows]).astype(np.float64)
        told[key] = each.mean(axis=1).tolist()
        told[f"{key}_standard_error"] = standard_error(each).tolist()
    between = math.sqrt(2 * still["mean"].astype(np.float64).var(axis=0, ddof=min(1, len(still["mean"]) - 1)).mean())
    told["way_between_shapes"] = between
    told["way_share"] = [way / between if between > 0 else None for way in told["way"]]
    told["gap_median"] = [float(np.median(row["gap"])) for row in rows]
    features = [key.removeprefix("right_") for key in still if key.startswith("right_")]
    if features:
        told |= {name: {} for name in ("accuracy", "accuracy_interval", "accuracy_change_interval")}
    for feature in features:
        right, before = [row[f"right_{feature}"] for row in rows], still[f"right_{feature}"]
        told["accuracy"][feature] = [float(each.mean()) for each in right]
        told["accuracy_interval"][feature] = [mean_interval(each, seed=seed) for each in right]
        told["accuracy_change_interval"][feature] = [
            mean_interval(each.astype(int) - before.astype(int), seed=seed) for each in right
        ]
    return told
