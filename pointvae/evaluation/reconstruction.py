"""How well shapes come back through the latent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pointvae.errors import InputError
from pointvae.evaluation.features import to_array, to_tensors
from pointvae.evaluation.results import Part
from pointvae.evaluation.scores import standard_error
from pointvae.evaluation.work import Work
from pointvae.geometry.distances import chamfer_distance, nearest_both_ways
from pointvae.geometry.fidelity import FIDELITY, fidelity
from pointvae.geometry.transport import EMD, earth_movers_distance
from pointvae.models.modes import evaluation_mode
from pointvae.models.vae import PointVAE

Floats = npt.NDArray[np.float32]

PROTOCOL = "reconstruction/1"
EMD_SHAPES, QUICK_EMD_SHAPES, EMD_POINTS = 200, 50, 256
_THIN, _TARGET = 0, 1  # the streams of the points drawn from reconstructions and from inputs


@dataclass(frozen=True)
class Reconstructions:
    """Decoded posterior means and their errors.

    Attributes:
        points: the reconstructions (n, M, 3).
        cd_l2_mean: Chamfer distance of each to its input (n,): squared distances, means, both directions added.
    """

    points: Floats
    cd_l2_mean: Floats


def reconstruct(
    model: PointVAE, points: Floats, mask: npt.NDArray[np.bool_] | None = None, *, work: Work | None = None
) -> Reconstructions:
    """Reconstruct clouds and measure the error of each.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        points: clouds (n, N, 3), float32.
        mask: which points exist (n, N); all when absent.
        work: how much is done at a time.

    Raises:
        InputError: there is no cloud.
    """
    if not len(points):
        raise InputError("no shape to reconstruct: the split or folder is empty")
    device = next(model.parameters()).device

    def reconstruct_tile(places: range) -> tuple[Floats, Floats]:
        part = slice(places.start, places.stop)
        clouds, there = to_tensors(points[part], None if mask is None else mask[part], device)
        made = model.reconstruct(clouds, there)
        return to_array(made), to_array(chamfer_distance(made, clouds, y_mask=there))

    with evaluation_mode(model):
        parts = (work or Work()).tiles(reconstruct_tile, len(points), "reconstructing")
    return Reconstructions(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def measure_reconstruction(
    clouds: Floats,
    made: Floats,
    *,
    again: Floats | None = None,
    names: Sequence[str] | None = None,
    seed: int = 0,
    quick: bool = False,
    work: Work | None = None,
) -> Part:
    """How far reconstructions lie from their inputs, by every measure, beside what another sample of the shape gets.

    Two samples of one surface are not at distance zero, and come closer as points are added. So a measure means
    little without its *floor*: that of another sample of the same shape, of as many points on each side. With
    ``again`` the floor is at the clouds' own count. Without, each cloud is cut into two disjoint halves; the
    reconstruction, thinned to as many points, is scored against the same half as the other half is. Either way the
    model has seen the points that the reconstruction is scored against, and the floor's sample has not.

    Args:
        clouds: the inputs (n, N, 3).
        made: their reconstructions (n, M, 3); the measures take all points of both.
        again: other points of the same shapes (n, N, 3), none of them in ``clouds``.
        names: measures as in `fidelity`, and ``emd_l1_mean`` and ``emd_l2_mean``, which see shapes spread evenly over
            the places, 200 or 50, and at most 256 points of each; all default ones when absent.
        seed: what points are drawn from, with the place of the shape.
        quick: fewer shapes for the earth mover's distance.
        work: how much is done at a time.

    Returns:
        For each measure ``mean``, ``standard_error`` and ``median`` over the shapes: in ``measures`` of all points,
        in ``floor`` the ``reconstruction`` and the ``same_shape`` at its number of points. Arrays: each measure of
        each shape (n,), those of the earth mover's distance at ``emd_places``.

    Raises:
        InputError: there is no shape, the sets do not fit each other, a reconstruction is not finite, or a measure is
            unknown.
    """
    names = [*FIDELITY, *EMD] if names is None else list(names)
    _check(clouds, made, again)
    emd, near = [name for name in names if name in EMD], [name for name in names if name not in EMD]
    n, count = len(clouds), clouds.shape[1]
    emd_places = _spread(n, min(n, QUICK_EMD_SHAPES if quick else EMD_SHAPES))

    def values(x: Floats, y: Floats, what: str) -> dict[str, Floats]:
        return _near_values(x, y, near, what, work) | _emd_values(x, y, emd_places, emd, seed, what, work)

    whole = values(made, clouds, "reconstructions")
    figures: dict[str, Any] = {
        "protocol": PROTOCOL,
        "seed": seed,
        "n_shapes": n,
        "points": count,
        "made_points": int(made.shape[1]),
        "emd_shapes": len(emd_places),
        "emd_points": min(count, made.shape[1], EMD_POINTS),
        "measures": _describe(whole),
    }
    if again is None and count > 1:
        order = np.stack([np.random.default_rng((seed, _TARGET, place)).permutation(count) for place in range(n)])
        halves = [_take(clouds, order[:, part]) for part in (slice(count // 2), slice(count // 2, count // 2 * 2))]
    else:
        halves = [] if again is None else [clouds, again]
    if halves:
        target, other = halves
        thinned = _thin(made, target.shape[1], seed)
        same = again is not None and thinned.shape == made.shape  # nothing was drawn: as measured already
        figures["floor"] = {
            "points": int(target.shape[1]),
            "made_points": int(thinned.shape[1]),
            "from": "halves of the points" if again is None else "other points",
            "emd_points": min(int(thinned.shape[1]), EMD_POINTS),
            "reconstruction": _describe(
                whole if same else values(thinned, target, "reconstructions beside the floor")
            ),
            "same_shape": _describe(values(other[:, : thinned.shape[1]], target, "the floor")),
        }
    return Part(figures, whole | ({"emd_places": emd_places} if emd else {}))


def _near_values(x: Floats, y: Floats, names: Sequence[str], what: str, work: Work | None) -> dict[str, Floats]:
    """Measures that are made of nearest points, of pairs of clouds, each (n,)."""

    def measure(places: range) -> Floats:
        part = slice(places.start, places.stop)
        near = nearest_both_ways(torch.tensor(x[part]), torch.tensor(y[part]))
        return to_array(torch.stack([fidelity(near, name) for name in names]))

    if not names:
        return {}
    found = np.concatenate((work or Work()).tiles(measure, len(x), f"measuring {what}"), axis=1)
    return dict(zip(names, found, strict=True))


def _emd_values(
    x: Floats,
    y: Floats,
    places: npt.NDArray[np.int64],
    names: Sequence[str],
    seed: int,
    what: str,
    work: Work | None,
) -> dict[str, Floats]:
    """Earth mover's distances of the pairs at some places, of equal numbers of points, each (k,)."""
    count = min(x.shape[1], y.shape[1], EMD_POINTS)

    def measure(place: int) -> list[float]:
        pair = [
            draw_points(clouds[place], count, (seed, stream, place)) for stream, clouds in ((_THIN, x), (_TARGET, y))
        ]
        a, b = (torch.tensor(cloud).unsqueeze(0) for cloud in pair)
        return [float(earth_movers_distance(a, b, name)) for name in names]

    if not names:
        return {}
    found = (work or Work()).each(measure, places.tolist(), f"earth mover's distance of {what}")
    return dict(zip(names, np.array(found, np.float32).T, strict=True))


def _describe(values: dict[str, Floats]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "mean": float(each.mean(dtype=np.float64)),
            "standard_error": float(standard_error(each)),
            "median": float(np.median(each.astype(np.float64))),
        }
        for name, each in values.items()
    }


def _spread(n: int, count: int) -> npt.NDArray[np.int64]:
    """``count`` of the places 0 to n - 1, evenly spread."""
    return np.arange(count, dtype=np.int64) * n // count


def _thin(clouds: Floats, count: int, seed: int) -> Floats:
    """At most ``count`` points of each cloud, drawn by (seed, place)."""
    return np.stack([draw_points(cloud, count, (seed, _THIN, place)) for place, cloud in enumerate(clouds)])


def draw_points(cloud: Floats, count: int, key: tuple[int, ...]) -> Floats:
    """At most ``count`` points of a cloud (N, 3), drawn from the integers of a key, in their stored order."""
    if len(cloud) <= count:
        return cloud
    return cloud[np.sort(np.random.default_rng(key).permutation(len(cloud))[:count])]


def _take(clouds: Floats, order: npt.NDArray[np.int64]) -> Floats:
    """The points of each cloud at its own places (n, k)."""
    taken: Floats = np.take_along_axis(clouds, order[..., None], axis=1)
    return taken


def _check(clouds: Floats, made: Floats, again: Floats | None) -> None:
    if not len(clouds):
        raise InputError("no shape to measure: the split or folder is empty")
    if len(made) != len(clouds):
        raise InputError(
            f"{len(clouds)} shapes and {len(made)} reconstructions: give one reconstruction of each shape"
        )
    if not np.isfinite(made).all():
        raise InputError("reconstructions: some coordinates are not finite; the model's weights are damaged")
    if again is not None and again.shape != clouds.shape:
        raise InputError(
            f"again {again.shape}: must be {clouds.shape} as the clouds are: as many other points of each shape"
        )
