"""How good a set of generated shapes is: how near to real ones, how much of them it covers, can one tell them apart.

Every figure depends on the numbers of shapes and points and on the scale of the clouds, so both sides have equal
numbers of both, and real shapes of the training split are scored in the same way: theirs is what a generator can
hope for. That matters most where classes are not mixed in the same shares in both splits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError
from pointvae.evaluation.pairwise import pairwise_distances
from pointvae.evaluation.reconstruction import draw_points
from pointvae.evaluation.results import Part
from pointvae.evaluation.work import Work

Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

PROTOCOL = "generation/1"
SHAPES, QUICK_SHAPES, POINTS = 500, 160, 256
EMD_SHAPES, QUICK_EMD_SHAPES, EMD_POINTS = 150, 48, 128
GRID, HALVES, FEWEST, TIE = 28, 100, 4, 1e-12
READING = {
    "mmd": "lower is better; 0 for a set that holds a copy of every real shape",
    "cov": "share of real shapes, higher is better; 1 at best, but real shapes themselves get less",
    "1_nna": "0.5 is best: generated and real cannot be told apart; 1 where they can; below 0.5 for copies of real",
    "jsd": "bits, lower is better; 0 where both fill space alike, 1 where they share no cell",
}
STREAMS = ("samples", "reference", "real")
_SHAPES, _POINTS, _HALVES = 0, 1, 2  # the streams of what is drawn


def minimum_matching_distance(between: Matrix) -> Matrix:
    """For each reference shape the distance to the nearest sample (r,), of distances (s, r); MMD is their mean.

    Achlioptas et al., "Learning Representations and Generative Models for 3D Point Clouds", ICML 2018, section 2.
    """
    nearest: Matrix = between.min(axis=0)
    return nearest


def coverage(between: Matrix) -> float:
    """Share of the reference shapes that are the nearest of some sample, of distances (s, r).

    Of several equally near the first counts. Achlioptas et al., ICML 2018, section 2.
    """
    return float(len(np.unique(between.argmin(axis=1))) / between.shape[1])


def nearest_neighbour_accuracy(samples: Matrix, between: Matrix, reference: Matrix) -> float:
    """How often a leave-one-out nearest neighbour tells samples from reference shapes: 0.5 if it cannot.

    A tie between both sets (within 1e-12) counts as the share of the nearest that are of the shape's own set. Yang et
    al., "PointFlow", ICCV 2019, equation 17, after Lopez-Paz and Oquab, ICLR 2017.

    Args:
        samples: distances among samples (s, s).
        between: distances (s, r).
        reference: distances among reference shapes (r, r).
    """
    right = 0.0
    for own, other in ((samples, between), (reference, between.T)):
        own = own.copy()
        np.fill_diagonal(own, np.inf)
        least = np.minimum(own.min(axis=1), other.min(axis=1))[:, None] + TIE
        alike, unlike = (own <= least).sum(axis=1), (other <= least).sum(axis=1)
        right += float((alike / (alike + unlike)).sum())
    return right / sum(between.shape)


def occupied_cells(clouds: Floats) -> Places:
    """The cell of each point (n, N) in a grid of 28 x 28 x 28 over the cube [-1, 1]³ around the unit sphere.

    Points outside count in the cell at the border.
    """
    cells = np.clip(np.floor((clouds.astype(np.float64) + 1) / 2 * GRID), 0, GRID - 1).astype(np.int64)
    places: Places = (cells[..., 0] * GRID + cells[..., 1]) * GRID + cells[..., 2]
    return places


def jensen_shannon(a: Places, b: Places) -> float:
    """Jensen-Shannon divergence between the shares of points in each cell, of two sets' cells: bits, 0 to 1.

        JSD(P, Q) = ½ KL(P || M) + ½ KL(Q || M),   M = (P + Q) / 2,   logarithms to base 2

    Achlioptas et al., ICML 2018, section 2; their grid spans the cube of their own scale.
    """
    p, q = (np.bincount(cells.ravel(), minlength=GRID**3) / cells.size for cells in (a, b))
    middle = (p + q) / 2
    divergence = 0.0
    for share in (p, q):
        there = share > 0
        divergence += float((share[there] * np.log2(share[there] / middle[there])).sum()) / 2
    return divergence


def measure_generation(
    samples: Floats,
    reference: Floats,
    *,
    real: Floats | None = None,
    seed: int = 0,
    quick: bool = False,
    store: Path | None = None,
    work: Work | None = None,
) -> Part:
    """MMD, COV and 1-NNA under ``cd_l2_mean`` and exact ``emd_l1_mean``, and JSD, of samples against real shapes.

    Of every set as many shapes and points are drawn as the smallest has, at most 500 shapes (quick: 160) and 256
    points: the cost grows with the square of both. The earth mover's distance sees the first 150 (48) of those, drawn
    down to 128 points. Standard errors are the spread over 100 random halves of both sets (delete-half jackknife;
    Shao and Wu, Annals of Statistics 1989): a half has twice the variance of the whole, and shares half of it. For
    COV and 1-NNA they are approximate.

    Args:
        samples: generated clouds (s, N, 3).
        reference: clouds of the test split (r, N', 3).
        real: clouds of the training split (t, N'', 3), scored as if they were samples.
        seed: what shapes, points and halves are drawn from.
        quick: fewer shapes.
        store: a folder for the tiles of unfinished matrices, see `pairwise_distances`; its owner removes it.
        work: how much is done at a time.

    Returns:
        For ``samples``, and ``real`` where given, each measure's ``value`` and ``standard_error``; what each means
        in ``reading``. Arrays: for each reference shape at ``places`` (``emd_places``) the distance to the nearest
        sample.

    Raises:
        InputError: a set has fewer than 4 shapes, or coordinates that are not finite.
    """
    sets = {"samples": samples, "reference": reference} | ({} if real is None else {"real": real})
    for name, clouds in sets.items():
        _check(name, clouds)
    points = min(POINTS, *(clouds.shape[1] for clouds in sets.values()))
    shapes = min(QUICK_SHAPES if quick else SHAPES, *map(len, sets.values()))
    emd_shapes = min(QUICK_EMD_SHAPES if quick else EMD_SHAPES, shapes)
    emd_points = min(points, EMD_POINTS)
    rows = [name for name in sets if name != "reference"]
    chosen, drawn, small = {}, {}, {}
    for name, clouds in sets.items():
        stream = STREAMS.index(name)  # each set's own, so that what is drawn of one depends on no other
        chosen[name] = np.random.default_rng((seed, _SHAPES, stream)).permutation(len(clouds))[:shapes]
        keys = [(seed, _POINTS, stream, int(place)) for place in chosen[name]]
        drawn[name] = np.stack([draw_points(clouds[key[-1]], points, key) for key in keys])
        small[name] = np.stack([draw_points(clouds[key[-1]], emd_points, key) for key in keys[:emd_shapes]])
    figures: dict[str, Any] = {
        "protocol": PROTOCOL,
        "seed": seed,
        "shapes": shapes,
        "points": points,
        "emd_shapes": emd_shapes,
        "emd_points": emd_points,
        "available": {name: {"shapes": len(clouds), "points": clouds.shape[1]} for name, clouds in sets.items()},
        "jsd_grid": GRID,
        "halves": HALVES,
        "reading": READING,
        **{row: {} for row in rows},
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "places": chosen["reference"],
        "emd_places": chosen["reference"][:emd_shapes],
    }
    for distance, kept in (("cd_l2_mean", drawn), ("emd_l1_mean", small)):
        measure = partial(pairwise_distances, distance=distance, store=store, work=work)
        real_shapes = kept["reference"]
        among = measure(real_shapes, description=f"{distance} within reference")
        for row in rows:
            own = measure(kept[row], description=f"{distance} within {row}")
            between = measure(kept[row], real_shapes, description=f"{distance}, {row} to reference")
            figures[row] |= _scores(distance, own, between, among, seed)
            if row == "samples":
                arrays[f"mmd_{distance}"] = minimum_matching_distance(between)
    for row in rows:
        figures[row]["jsd"] = _occupancy(drawn[row], drawn["reference"], seed)
    return Part(figures, arrays)


def _scores(distance: str, own: Matrix, between: Matrix, reference: Matrix, seed: int) -> dict[str, dict[str, float]]:
    measures: Mapping[str, Callable[[Places, Places], float]] = {
        "mmd": lambda i, j: float(minimum_matching_distance(between[np.ix_(i, j)]).mean()),
        "cov": lambda i, j: coverage(between[np.ix_(i, j)]),
        "1_nna": lambda i, j: nearest_neighbour_accuracy(
            own[np.ix_(i, i)], between[np.ix_(i, j)], reference[np.ix_(j, j)]
        ),
    }
    return {f"{name}_{distance}": _with_error(measure, len(own), seed) for name, measure in measures.items()}


def _occupancy(samples: Floats, reference: Floats, seed: int) -> dict[str, float]:
    a, b = occupied_cells(samples), occupied_cells(reference)
    return _with_error(lambda i, j: jensen_shannon(a[i], b[j]), len(a), seed)


def _with_error(measure: Callable[[Places, Places], float], n: int, seed: int) -> dict[str, float]:
    """A measure of all places of both sets, and its spread over random halves of them."""
    rng = np.random.default_rng((seed, _HALVES))
    halves = [measure(*(np.sort(rng.permutation(n)[: n // 2]) for _ in range(2))) for _ in range(HALVES)]
    everything = np.arange(n)
    return {"value": measure(everything, everything), "standard_error": float(np.std(halves, ddof=1))}


def _check(name: str, clouds: Floats) -> None:
    if clouds.ndim != 3 or len(clouds) < FEWEST:
        raise InputError(
            f"{name}: {len(clouds)} clouds of shape {clouds.shape[1:]}; a set needs at least {FEWEST} of (points, 3)"
        )
    if not np.isfinite(clouds).all():
        bad = int((~np.isfinite(clouds).all(axis=(1, 2))).sum())
        raise InputError(f"{name}: {bad} of {len(clouds)} clouds hold coordinates that are not finite")
