"""From a mesh or a raw cloud to N normalised points: sampling, subsampling, turning, scaling; plain numpy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError

Floats = npt.NDArray[np.float64]
Up = Literal["y", "z"]
Normalize = Literal["sphere", "cube", "none"]

FLAT = 1e-12
"""A mesh whose area is below this fraction of its squared extent has none: rounding leaves that much."""

BLOCK = 4096
"""Triangles looked at together: what they need stays in the cache, and is not asked of the system anew each time."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """What a reader returns: a mesh, or a cloud where ``faces`` is None.

    Attributes:
        vertices: corners of the mesh or points of the cloud [V, 3].
        faces: indices of each triangle's corners [F, 3]; None for a cloud.
        factors: the numbers a procedural shape was built from.
    """

    vertices: Floats
    faces: npt.NDArray[np.int64] | None = None
    factors: dict[str, float] | None = None

    def digest(self) -> str:
        """Sixteen digits that are equal for equal triangles, or points, in the same order."""
        with np.errstate(over="ignore"):
            soup = self.vertices.astype(np.float32)
        if self.faces is not None:
            soup = soup.take(self.faces, axis=0)
        return hashlib.sha256(np.ascontiguousarray(soup).data).hexdigest()[:16]


def shape_rng(seed: int, name: str) -> np.random.Generator:
    """The generator of one shape, made from the seed and the shape's name alone.

    So neither the order of files nor the number of workers changes what is drawn.
    """
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return np.random.default_rng(np.random.SeedSequence(int.from_bytes(digest[:16], "little")))


def sample_surface(
    vertices: Floats, faces: npt.NDArray[np.int64], count: int, rng: np.random.Generator
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Points drawn uniformly by area from a triangle mesh, and the face that each lies on.

    A face is drawn in proportion to its area, then a point in it as (1 - √r) a + √r (1 - s) b + √r s c with r, s
    uniform (Osada et al., "Shape Distributions", ACM ToG 2002, eq. 1).

    Args:
        vertices: corners [V, 3].
        faces: indices into ``vertices`` [F, 3].
        count: number of points.
        rng: where the randomness comes from.

    Returns:
        points [count, 3] and face indices [count].

    Raises:
        InputError: the mesh has no faces, or their area is zero.
    """
    if len(faces) == 0:
        raise InputError("the mesh has no faces; give it faces, or save its points as a cloud")
    areas = _scaled_areas(vertices, faces)
    total = np.cumsum(areas)
    if not total[-1] > FLAT:
        raise InputError("the surface has zero area: all its triangles are degenerate")
    last = int(np.flatnonzero(areas)[-1])
    chosen = np.minimum(np.searchsorted(total, rng.random(count) * total[-1], side="right"), last)
    root = np.sqrt(rng.random((count, 1)))
    along = rng.random((count, 1))
    a, b, c = np.moveaxis(vertices[faces[chosen]], 1, 0)
    return (1 - root) * a + root * (1 - along) * b + root * along * c, chosen


def _scaled_areas(vertices: Floats, faces: npt.NDArray[np.int64]) -> Floats:
    """The area of each triangle once the mesh is scaled to the extent 1 [F]; zeros where it has no extent."""
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    columns = np.ascontiguousarray(vertices.T if used.all() else vertices[used].T)
    extent = float((columns.max(axis=1) - columns.min(axis=1)).max())
    areas = np.zeros(len(faces))
    if extent > 0:
        scaled = np.ascontiguousarray(vertices.T) / extent
        for start in range(0, len(faces), BLOCK):
            corners = [scaled.take(corner, axis=1) for corner in faces[start : start + BLOCK].T]
            areas[start : start + BLOCK] = _areas(*corners)
    return areas


def face_areas(corners: Floats) -> Floats:
    """The area of each triangle, from its corners [F, 3, 3]."""
    return _areas(*np.ascontiguousarray(corners.reshape(-1, 9).T).reshape(3, 3, -1))


def _areas(a: Floats, b: Floats, c: Floats) -> Floats:
    """Half the length of the cross product of two sides, from corners as rows of one coordinate [3, F]."""
    (ux, uy, uz), (vx, vy, vz) = b - a, c - a
    x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    return np.asarray(np.sqrt(x * x + y * y + z * z) / 2, dtype=np.float64)


def face_normals(vertices: Floats, faces: npt.NDArray[np.int64]) -> Floats:
    """The unit normal of each triangle, by the right-hand rule [F, 3]; zero for degenerate ones."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    cross = np.cross(b - a, c - a)
    length = np.linalg.norm(cross, axis=1, keepdims=True)
    return np.asarray(np.divide(cross, length, out=np.zeros_like(cross), where=length > 0), dtype=np.float64)


def turn_z_up(points: npt.NDArray[Any], up: Up) -> npt.NDArray[Any]:
    """Turn a cloud whose up axis is y by +90 degrees about x, (x, y, z) -> (x, -z, y); z-up ones stay."""
    if up == "z":
        return points
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def normalize_points(points: npt.NDArray[Any], how: Normalize) -> npt.NDArray[Any]:
    """Centre and scale one cloud [N, 3], whatever its unit.

    Args:
        points: the cloud.
        how: ``sphere``: centred on the mean of the points, largest norm 1; ``cube``: centred on the middle of the
            bounding box, largest half extent 1; ``none``: as it is.

    Raises:
        InputError: all points coincide, so that no scale exists.
    """
    if how == "none":
        return points
    greatest = float(np.abs(points).max())
    # not by what is left of a mean's rounding, which would be made a shape of; sums of 1e308 would overflow
    if greatest == 0 or (points == points[0]).all():
        raise InputError("all points coincide, so the shape has no size")
    _, power = np.frexp(greatest)
    scaled = np.ldexp(points, -power)
    middle = scaled.mean(axis=0) if how == "sphere" else (scaled.max(axis=0) + scaled.min(axis=0)) / 2
    centred = scaled - middle
    centred = centred / float(np.abs(centred).max())
    if how == "cube":
        return np.asarray(centred)
    return np.asarray(centred / np.sqrt(np.einsum("ni,ni->n", centred, centred).max()))


def to_cloud(
    geometry: Geometry, *, points: int, up: Up, normalize: Normalize, rng: np.random.Generator, normals: bool = False
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
    """Exactly ``points`` points of a mesh or cloud, z up and normalised.

    Meshes are sampled by area; clouds of more points are thinned without replacement, those of equal count keep
    their order.

    Returns:
        points [points, 3] and, if asked for, the normals of the faces they lie on [points, 3].

    Raises:
        InputError: no faces, no area, NaN, too few points, or normals asked of a cloud.
    """
    vertices = geometry.vertices
    if not np.isfinite(vertices).all():
        bad = int((~np.isfinite(vertices).all(axis=1)).sum())
        raise InputError(f"{bad} of {len(vertices)} vertices are NaN or infinite")
    drawn_normals = None
    if geometry.faces is None:
        if normals:
            raise InputError("a cloud has no faces to take normals from; leave out the normals")
        drawn = thin(vertices, points, rng)
        if len(drawn) < 2:
            raise InputError("the cloud holds a single point")
    else:
        drawn, chosen = sample_surface(vertices, geometry.faces, points, rng)
        if normals:
            drawn_normals = turn_z_up(face_normals(vertices, geometry.faces)[chosen], up).astype(np.float32)
    with np.errstate(over="ignore"):
        cloud = normalize_points(turn_z_up(drawn, up), normalize).astype(np.float32)
    if not np.isfinite(cloud).all():
        raise InputError(f"coordinates of {np.abs(vertices).max():.3g} are beyond float32; normalise the shape")
    return np.ascontiguousarray(cloud), drawn_normals


def thin(points: npt.NDArray[Any], count: int, rng: np.random.Generator) -> npt.NDArray[Any]:
    """``count`` of the points [V, 3], drawn without replacement; all of them, in order, where V equals ``count``."""
    if len(points) == count:
        return points
    return np.asarray(points[thin_index(len(points), count, rng)])


def thin_index(have: int, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Which ``count`` of ``have`` points stay, in random order."""
    if have < count:
        raise InputError(f"the cloud holds {have} points, fewer than the {count} asked for; use --points {have}")
    return rng.permutation(have)[:count]
