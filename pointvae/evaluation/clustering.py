"""How well k-means finds the classes in frozen features, without having seen a label.

Protocol: k-means with as many clusters as the dataset has classes, on the test shapes' features, each standardised
over these shapes; the best of some restarts (k-means++) by inertia; repeated with several seeds. Normalised mutual
information takes the arithmetic mean of the two entropies; the Rand index is adjusted for chance (Hubert & Arabie
1985); the accuracy gives each cluster a class of its own such that most shapes fit (assignment). Beside each stands
what the same clusters score on shuffled labels: many clusters share some information with any labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError
from pointvae.evaluation.features import FEATURES, Codes
from pointvae.evaluation.probing.linear_probe import check_finite, standardisation
from pointvae.evaluation.results import Part
from pointvae.evaluation.work import Work

PROTOCOL = "clustering/1"
SEEDS, RESTARTS = 5, 3
QUICK_SEEDS, QUICK_RESTARTS = 3, 1
STREAM = 72
SCORES = ("nmi", "ari", "accuracy")

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def measure_clustering(
    codes: Mapping[str, Codes],
    labels: Labels,
    classes: int,
    *,
    seed: int = 0,
    quick: bool = False,
    work: Work | None = None,
) -> Part:
    """Agreement of k-means clusters with the classes, for every subject and feature.

    Args:
        codes: of the test shapes, by subject.
        labels: of the test shapes (n,).
        classes: how many classes there are: k.
        seed: what k-means starts from and what labels are shuffled with.
        quick: 3 seeds without restarts in place of 5 with the best of 3.
        work: how much is done at a time.

    Returns:
        Figures: by subject and feature the mean over seeds of ``nmi``, ``ari`` and ``accuracy``, each also with
        ``_each`` (by seed), ``_deviation`` (over seeds) and ``shuffled_`` (mean on shuffled labels). Arrays:
        ``SUBJECT_FEATURE`` (seeds, n), the clusters.

    Raises:
        InputError: there is no shape, fewer than one class, or a feature is not finite.
    """
    if not len(labels) or classes < 1:
        raise InputError(f"nothing to cluster: {len(labels)} shapes of {classes} classes")
    seeds, restarts = (QUICK_SEEDS, QUICK_RESTARTS) if quick else (SEEDS, RESTARTS)
    features = {
        (name, feature): _standard(getattr(own, feature)) for name, own in codes.items() for feature in FEATURES
    }
    clusters = {key: min(classes, len(np.unique(values, axis=0))) for key, values in features.items()}
    items = [(key, turn) for key in features for turn in range(seeds)]

    def one(item: tuple[tuple[str, str], int]) -> tuple[Labels, dict[str, float]]:
        key, turn = item
        found = k_means(features[key], clusters[key], restarts, seed=_state(seed, turn))
        shuffled = np.random.default_rng((seed, STREAM, turn)).permutation(labels)
        chance = {f"shuffled_{name}": value for name, value in agreement(found, shuffled).items()}
        return found, agreement(found, labels) | chance

    results = dict(zip(items, (work or Work()).each(one, items, "clustering"), strict=True))
    figures: dict[str, Any] = {
        "protocol": PROTOCOL,
        "seed": seed,
        "seeds": seeds,
        "restarts": restarts,
        "clusters": classes,
        "n_shapes": len(labels),
        "nmi_normalisation": "arithmetic mean of the entropies",
    }
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, feature in features:
        turns = [results[(name, feature), turn] for turn in range(seeds)]
        figures.setdefault(name, {})[feature] = _describe([scores for _, scores in turns])
        arrays[f"{name}_{feature}"] = np.stack([found for found, _ in turns]).astype(np.int32)
    return Part(figures, arrays)


def k_means(features: Floats, clusters: int, restarts: int, *, seed: int) -> Labels:
    """The cluster (n,) of each feature (n, D)."""
    from sklearn.cluster import KMeans

    found: Labels = KMeans(clusters, n_init=restarts, random_state=seed).fit(features).labels_.astype(np.int64)
    return found


def agreement(found: Labels, labels: Labels) -> dict[str, float]:
    """Agreement of clusters (n,) with labels (n,): ``nmi``, ``ari`` and ``accuracy`` (best one-to-one matching)."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    table = np.zeros((int(found.max()) + 1, int(labels.max()) + 1), np.int64)
    np.add.at(table, (found, labels), 1)
    rows, columns = linear_sum_assignment(table, maximize=True)
    return {
        "nmi": float(normalized_mutual_info_score(labels, found)),
        "ari": float(adjusted_rand_score(labels, found)),
        "accuracy": float(table[rows, columns].sum() / len(labels)),
    }


def _standard(features: Floats) -> Floats:
    check_finite(features)
    mean, scale = standardisation(features)
    standard: Floats = ((features - mean) / scale).astype(np.float32)
    return standard


def _state(seed: int, turn: int) -> int:
    return int(np.random.SeedSequence((seed, STREAM, turn)).generate_state(1)[0])


def _describe(scores: list[dict[str, float]]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name in SCORES:
        each = [score[name] for score in scores]
        told[name] = float(np.mean(each))
        told[f"{name}_deviation"] = float(np.std(each, ddof=1))
        told[f"{name}_each"] = each
        told[f"shuffled_{name}"] = float(np.mean([score[f"shuffled_{name}"] for score in scores]))
    return told
