"""Closed surface parts from which the procedural shapes are put together.

Nearly everything is a loft: a stack of rings joined by triangles and closed at both ends. A part is a pair of
vertices (V, 3) and faces (F, 3), wound so that normals point outwards; units are arbitrary and z is up.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Part: TypeAlias = tuple[Array, npt.NDArray[np.int64]]
Values: TypeAlias = float | Sequence[float] | Array


def loft(rings: npt.ArrayLike, start: npt.ArrayLike | None = None, end: npt.ArrayLike | None = None) -> Part:
    """Join rings (R, S, 3) into a closed part; each end is a fan around its apex (3,), the ring's mean unless given.

    A ring runs counter-clockwise as seen from the next ring.
    """
    stack = np.asarray(rings, dtype=np.float64)
    count, sections = stack.shape[:2]
    first = stack[0].mean(axis=0) if start is None else np.asarray(start, dtype=np.float64)
    last = stack[-1].mean(axis=0) if end is None else np.asarray(end, dtype=np.float64)
    vertices = np.concatenate([stack.reshape(-1, 3), first[None], last[None]])
    here = np.arange(sections)
    after = (here + 1) % sections
    row = sections * np.arange(count - 1)[:, None]
    a, b, c, d = row + here, row + after, row + sections + after, row + sections + here
    top = sections * (count - 1)
    sides = np.stack([np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)]).reshape(-1, 3)
    bottom_fan = np.stack([np.full(sections, count * sections), after, here], axis=-1)
    top_fan = np.stack([np.full(sections, count * sections + 1), top + here, top + after], axis=-1)
    return vertices, np.concatenate([sides, bottom_fan, top_fan])


def section(power: float = 2.0, sections: int = 16) -> Array:
    """Outline (S, 2) of the superellipse |x|^p + |y|^p = 1: a circle at 2, a square with 4 corners at infinity."""
    if np.isinf(power):
        return np.array([[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]])
    angle = 2.0 * np.pi * (np.arange(sections) + 0.5) / sections
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return np.asarray(np.sign(circle) * np.abs(circle) ** (2.0 / power), dtype=np.float64)


def column(
    z: Values, width: Values, depth: Values, *, x: Values = 0.0, y: Values = 0.0, power: float = 2.0, sides: int = 16
) -> Part:
    """Stack horizontal superellipses of half-width and half-depth, centred at (x, y), at rising heights z (R,)."""
    height, wide, deep, left, back = np.broadcast_arrays(
        *(np.asarray(v, dtype=np.float64) for v in (z, width, depth, x, y))
    )
    outline = section(power, sides)
    rings = np.empty((len(height), len(outline), 3))
    rings[..., 0] = left[:, None] + wide[:, None] * outline[:, 0]
    rings[..., 1] = back[:, None] + deep[:, None] * outline[:, 1]
    rings[..., 2] = height[:, None]
    return loft(rings)


def box(width: float, depth: float, height: float, *, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Part:
    """A box of full sizes whose bottom face is centred at (x, y, z)."""
    return column([z, z + height], width / 2, depth / 2, x=x, y=y, power=np.inf)


def lathe(profile: npt.ArrayLike, sections: int = 24, power: float = 2.0) -> Part:
    """Turn a profile (P, 2) of (radius, z) about z; its first and last radius lie on the axis and close the part."""
    points = np.asarray(profile, dtype=np.float64)
    radius, height = points[1:-1, 0], points[1:-1, 1]
    outline = section(power, sections)
    rings = np.empty((len(radius), len(outline), 3))
    rings[..., :2] = radius[:, None, None] * outline
    rings[..., 2] = height[:, None]
    return loft(rings, start=(0.0, 0.0, points[0, 1]), end=(0.0, 0.0, points[-1, 1]))


def hollow(
    radius: Array, height: Array, wall: float, *, floor: float = 0.05, sections: int = 24, power: float = 2.0
) -> Part:
    """A vessel open at the top: outer profile (P,) radii at rising heights (P,), inner one a wall further in."""
    inside = np.maximum(radius - wall, 0.4 * radius)
    floor_height = height[0] + floor * (height[-1] - height[0])
    inner_height = np.maximum(height, floor_height + 1e-3 * np.arange(len(height)))
    outer = np.stack([radius, height], axis=-1)
    inner = np.stack([inside, inner_height], axis=-1)[::-1]
    ends = np.array([[0.0, height[0]], [0.0, floor_height]])
    return lathe(np.concatenate([ends[:1], outer, inner, ends[1:]]), sections, power)


def band(profile: npt.ArrayLike, sections: int = 24) -> Part:
    """Turn a closed profile (P, 2) of (radius, z), counter-clockwise and off the axis, about z: a shade, a rim."""
    points = np.asarray(profile, dtype=np.float64)
    outline = section(2.0, sections)
    vertices = np.empty((len(points), sections, 3))
    vertices[..., :2] = points[:, :1, None] * outline
    vertices[..., 2] = points[:, 1:]
    here, row = np.arange(sections), sections * np.arange(len(points))[:, None]
    after, above = (here + 1) % sections, np.roll(row, -1, axis=0)
    a, b, c, d = row + here, row + after, above + after, above + here
    faces = np.stack([np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)]).reshape(-1, 3)
    return vertices.reshape(-1, 3), faces


def tube(path: npt.ArrayLike, radius: Values, *, flat: float = 1.0, sides: int = 8) -> Part:
    """Sweep an ellipse along a path (P, 3): radius in the path's own plane, radius * flat across it.

    The plane is the one the path bends in, or for a straight path any that holds it and, if possible, z.
    """
    points = np.asarray(path, dtype=np.float64)
    tangent = np.gradient(points, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    across = np.cross(tangent[0], tangent[len(tangent) // 2])
    for other in ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0)):
        if np.linalg.norm(across) < 1e-6:
            across = np.cross(tangent[0], other)
    across /= np.linalg.norm(across)
    outline = section(2.0, sides)
    wide = np.broadcast_to(np.asarray(radius, dtype=np.float64), (len(points),))[:, None, None]
    normal = np.cross(across, tangent)
    rings = points[:, None] + wide * (outline[:, :1] * normal[:, None] + flat * outline[:, 1:] * across)
    return loft(rings)


def rod(start: Sequence[float], end: Sequence[float], radius: float, end_radius: float | None = None) -> Part:
    """A straight round bar from start (3,) to end (3,), thinning to end_radius."""
    return tube([start, end], [radius, radius if end_radius is None else end_radius])


def blade(
    root: Sequence[float], tip: Sequence[float], chords: tuple[float, float], thickness: float, along: Sequence[float]
) -> Part:
    """A flat wing from root (3,) to tip (3,): chords at both along the direction (3,), lens-shaped in section."""
    u = np.asarray(along, dtype=np.float64)
    v = np.cross(np.subtract(tip, root), u)
    v /= np.linalg.norm(v)
    outline = section(2.0, 6)[:, :, None]
    flat = outline[:, 0] * u
    thick = 0.5 * thickness * outline[:, 1] * v
    rings = [np.asarray(p) + 0.5 * c * flat + thick for p, c in zip((root, tip), chords, strict=True)]
    return loft(np.stack(rings))


def ball(radius: Values, *, x: float = 0.0, y: float = 0.0, z: float = 0.0, upper: bool = False) -> Part:
    """An ellipsoid of radii (3,) or one radius, centred at (x, y, z); `upper` keeps the half above the centre."""
    size = np.broadcast_to(np.asarray(radius, dtype=np.float64), (3,))
    angle = np.linspace(0.0 if upper else -0.5 * np.pi, 0.5 * np.pi, 5 if upper else 8)
    angle = angle[:-1] if upper else angle[1:-1]
    outline = section(2.0, 12)
    rings = np.empty((len(angle), len(outline), 3))
    rings[..., :2] = np.cos(angle)[:, None, None] * outline
    rings[..., 2] = np.sin(angle)[:, None]
    vertices, faces = loft(rings, start=(0.0, 0.0, 0.0 if upper else -1.0), end=(0.0, 0.0, 1.0))
    return vertices * size + np.array([x, y, z]), faces


def wheel(radius: float, width: float, *, x: float, y: float) -> Part:
    """A disc of full width whose axle lies along x, standing on the floor at (x, y)."""
    return tube([[x - width / 2, y, radius], [x + width / 2, y, radius]], radius, sides=14)


def move(part: Part, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Part:
    """Shift a part."""
    return part[0] + np.array([x, y, z]), part[1]


def stretch(part: Part, x: float, y: float, z: float) -> Part:
    """Scale a part along each axis, by positive factors."""
    return part[0] * np.array([x, y, z]), part[1]


def turn(part: Part, axis: str, degrees: float) -> Part:
    """Rotate a part about the x, y or z axis through the origin, counter-clockwise as the axis points at you."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    vertices = part[0].copy()
    vertices[:, i], vertices[:, j] = c * part[0][:, i] - s * part[0][:, j], s * part[0][:, i] + c * part[0][:, j]
    return vertices, part[1]


def hull(y: Values, width: Values, low: Values, high: Values, *, power: float = 2.0) -> Part:
    """Stack upright superellipses of half-width, from low to high, along rising y (R,): a car body, a fuselage."""
    bottom, top = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    return turn(column(y, width, (top - bottom) / 2, y=-(top + bottom) / 2, power=power), "x", -90.0)


def both_sides(part: Part) -> list[Part]:
    """A part and its mirror image across the plane x = 0."""
    return [part, (part[0] * np.array([-1.0, 1.0, 1.0]), part[1][:, ::-1])]


def ease(at: Array, knots: Sequence[float], values: Sequence[float]) -> Array:
    """A smooth curve through (knots, values), level at each knot, evaluated at (A,)."""
    x, y = np.asarray(knots, dtype=np.float64), np.asarray(values, dtype=np.float64)
    k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    t = np.clip((at - x[k]) / (x[k + 1] - x[k]), 0.0, 1.0)
    return np.asarray(y[k] + (y[k + 1] - y[k]) * t * t * (3.0 - 2.0 * t), dtype=np.float64)


def assemble(parts: Sequence[Part]) -> Any:
    """One `trimesh.Trimesh` of all parts, each keeping its own vertices."""
    import trimesh

    starts = np.cumsum([0] + [len(vertices) for vertices, _ in parts[:-1]])
    vertices = np.concatenate([vertices for vertices, _ in parts])
    faces = np.concatenate([faces + start for (_, faces), start in zip(parts, starts, strict=True)])
    return trimesh.Trimesh(vertices=vertices, faces=faces, process=False, validate=False)
