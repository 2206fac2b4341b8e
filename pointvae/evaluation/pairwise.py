"""Distances between all shapes of two sets, in tiles: memory is bounded, and a killed run goes on where it was.

A tile is 32 by 32 pairs. With a store each finished tile is a file, under a key that is a hash of both sets of clouds
and the distance: a SHA-256 of that key, the tile's place and its figures, then the figures. A file that does not
answer to its hash (torn, or of another matrix) is computed anew. Finished tiles are kept, so that a run that is
killed later need not compute them again: whoever owns the store removes it once the results are written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pointvae.errors import InputError
from pointvae.evaluation.work import Work
from pointvae.geometry.chunks import row_chunks
from pointvae.geometry.transport import EMD, matched_cost
from pointvae.writing import whole_file

SIDE = 32
"""Shapes on each side of a tile."""

VERSION = "pairwise/1"

Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

Tile = Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64], bool], Matrix]
"""Distances (a, b) of clouds (a, N, 3) and (b, M, 3); where told, only those to the right of the diagonal."""


def pairwise_distances(
    x: Floats,
    y: Floats | None = None,
    distance: str = "cd_l2_mean",
    *,
    store: Path | None = None,
    description: str | None = None,
    work: Work | None = None,
) -> Matrix:
    """The distance of every shape of one set to every shape of another, or of the same.

    Args:
        x: clouds (a, N, 3).
        y: clouds (b, M, 3); x itself when absent: then one half is computed, and the diagonal is zero.
        distance: ``cd_l2_mean``, ``emd_l1_mean`` or ``emd_l2_mean``.
        store: a folder for finished tiles, which stay there; none when absent.
        description: the bar's words.
        work: how much is done at a time.

    Returns:
        Distances (a, b), float64: the same digits whatever the store held.

    Raises:
        InputError: the distance is unknown, a set is empty, or the clouds' sizes do not fit the distance.
    """
    _check(x, x if y is None else y, distance)
    columns = x if y is None else y
    key = _key(x, y, distance)
    folder = None if store is None else store / key[:32]
    made = np.zeros((len(x), len(columns)))

    def fill(place: tuple[int, int]) -> tuple[slice, slice, Matrix]:
        rows, across = (slice(at * SIDE, (at + 1) * SIDE) for at in place)
        a, b = x[rows].astype(np.float64), columns[across].astype(np.float64)
        upper = y is None and place[0] == place[1]
        compute = partial(DISTANCES[distance], a, b, upper)
        return rows, across, _stored(folder, key, place, (len(a), len(b)), compute)

    places = [
        (i, j) for i in range(-(-len(x) // SIDE)) for j in range(-(-len(columns) // SIDE)) if y is not None or j >= i
    ]
    for rows, across, tile in (work or Work()).each(fill, places, description or f"{distance} of pairs"):
        made[rows, across] = tile
    if y is None:
        made = np.triu(made, 1)
        made += made.T
    return made


def chamfer_tile(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], upper: bool = False) -> Matrix:
    """``cd_l2_mean`` of all pairs of clouds (a, N, 3) and (b, M, 3), (a, b).

    One table of |x|² - 2xy + |y|² for each pair gives the least both ways. In double precision what the expanded form
    loses is 1e-16 of a unit sphere's square; `chamfer_distance` looks for the nearest first and is slower by far.
    """
    left, right = torch.from_numpy(x), torch.from_numpy(y)
    lifted = torch.cat([-2.0 * left, left.square().sum(-1, keepdim=True)], dim=-1)
    facing = torch.cat([right, torch.ones_like(right[..., :1])], dim=-1).transpose(1, 2)
    offset = right.square().sum(-1).unsqueeze(1)
    made = np.zeros((len(x), len(y)))
    for i in range(len(x)):
        first = i + 1 if upper else 0
        made[i, first:] = _chamfer_row(lifted[i], facing[first:], offset[first:]).numpy()
    return made


def _chamfer_row(lifted: Tensor, facing: Tensor, offset: Tensor) -> Tensor:
    """Distances [b] of one lifted cloud [N, 4] to others [b, 4, M] with their squares [b, 1, M]."""
    n, m = len(lifted), offset.shape[2]
    made = torch.empty(len(facing), dtype=lifted.dtype)
    cell = m * lifted.element_size()
    for clouds in row_chunks(lifted, len(facing), n * cell):
        count = len(facing[clouds])
        forward = torch.zeros(count, dtype=lifted.dtype)
        backward = torch.full((count, m), torch.inf, dtype=lifted.dtype)
        for rows in row_chunks(lifted, n, count * cell):
            table = torch.baddbmm(offset[clouds], lifted[rows].expand(count, -1, -1), facing[clouds])
            forward += table.amin(dim=2).clamp_min_(0.0).sum(dim=1)
            backward = torch.minimum(backward, table.amin(dim=1))
        made[clouds] = forward / n + backward.clamp_min_(0.0).mean(dim=1)
    return made


def emd_tile(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], upper: bool = False, *, convention: str
) -> Matrix:
    """Exact earth mover's distance of all pairs of clouds (a, N, 3) and (b, N, 3), (a, b)."""
    made = np.zeros((len(x), len(y)))
    for i, cloud in enumerate(x):
        for j in range(i + 1 if upper else 0, len(y)):
            made[i, j] = matched_cost(cloud, y[j], convention)
    return made


DISTANCES: Mapping[str, Tile] = {
    "cd_l2_mean": chamfer_tile,
    **{name: partial(emd_tile, convention=name) for name in EMD},
}
"""What a pair of shapes can be measured by."""


def _stored(
    folder: Path | None, key: str, place: tuple[int, int], shape: tuple[int, int], compute: Callable[[], Matrix]
) -> Matrix:
    """The tile in the store if it is there whole; else computed, and put there."""
    if folder is None:
        return compute()
    path = folder / f"tile-{place[0]:05d}-{place[1]:05d}.bin"
    head = f"{key} {place[0]} {place[1]}".encode()
    held = path.read_bytes() if path.is_file() else b""
    digest, body = held[:32], held[32:]
    if len(body) == 8 * shape[0] * shape[1] and digest == hashlib.sha256(head + body).digest():
        return np.frombuffer(body, "<f8").reshape(shape).astype(np.float64)
    made = compute()
    body = made.astype("<f8").tobytes()
    with whole_file(path) as temporary:
        temporary.write_bytes(hashlib.sha256(head + body).digest() + body)
    return made


def _key(x: Floats, y: Floats | None, distance: str) -> str:
    """What a matrix depends on, as hexadecimal."""
    digest = hashlib.sha256(f"{VERSION} {distance} {SIDE}".encode())
    for clouds in (x, y):
        digest.update(b"itself" if clouds is None else f"{clouds.shape}".encode())
        if clouds is not None:
            digest.update(np.ascontiguousarray(clouds, dtype="<f4").tobytes())
    return digest.hexdigest()


def _check(x: Floats, y: Floats, distance: str) -> None:
    if distance not in DISTANCES:
        raise InputError(f"distance {distance}: unknown; choose from {', '.join(DISTANCES)}")
    for clouds in (x, y):
        if clouds.ndim != 3 or not clouds.size:
            raise InputError(f"distances of pairs: clouds of the form {clouds.shape}; must be (shapes, points, 3)")
    if distance in EMD and x.shape[1] != y.shape[1]:
        raise InputError(
            f"{distance}: clouds of {x.shape[1]} and of {y.shape[1]} points; it matches points one to one, so draw "
            "both down to the same number"
        )
