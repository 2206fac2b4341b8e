"""Clouds as small SVG drawings: dots in a parallel projection, near ones strong and far ones faint."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.picture import project

Points = npt.NDArray[np.floating[Any]]

SIZE = 500  # half the side of a drawing, in its own units
LAYERS = 4
MAX_DOTS = 640


@dataclass(frozen=True)
class Frame:
    """The ball that fills a drawing, so that two clouds can be drawn to one scale.

    Attributes:
        centre: its middle (3,).
        radius: its radius, in the clouds' units.
    """

    centre: npt.NDArray[np.float64]
    radius: float

    @classmethod
    def of(cls, points: Points) -> Frame:
        """The ball around the bounding box's middle that holds a cloud (N, 3), without points at infinity."""
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            return cls(np.zeros(3), 1.0)
        centre = (points.max(axis=0).astype(np.float64) + points.min(axis=0)) / 2
        return cls(centre, max(float(np.linalg.norm(points - centre, axis=1).max()), 1e-9))


def cloud_svg(points: Points, label: str, frame: Frame | None = None, *, colour: str | None = None) -> str:
    """One cloud as an ``<svg>`` element, coloured by CSS or by ``colour``.

    The layers have the classes ``d0`` (far) to ``d3`` (near) within ``svg.cloud``; the page's style gives them their
    opacity. Clouds with more points than can be told apart are drawn by a part of them; points that are no numbers
    are not drawn.

    Args:
        points: the cloud (N, 3), z up.
        label: what a reader who cannot see it is told.
        frame: the ball to fill the drawing with; the cloud's own when absent.
        colour: a CSS colour.
    """
    frame = frame or Frame.of(points)
    style = f' style="color:{escape(colour)}"' if colour else ""
    return (
        f'<svg class="cloud" viewBox="{-SIZE} {-SIZE} {2 * SIZE} {2 * SIZE}" role="img" '
        f'aria-label="{escape(label)}"{style}>{cloud_paths(points, frame)}</svg>'
    )


def cloud_paths(points: Points, frame: Frame) -> str:
    """The dots of a cloud, in the units of `cloud_svg`, as one ``<path>`` for each layer of depth."""
    points = points[np.isfinite(points).all(axis=1)]
    thinned = points[np.linspace(0, len(points) - 1, min(len(points), MAX_DOTS)).astype(int)]
    flat, depth = project((thinned - frame.centre) / frame.radius)
    pixels = np.clip(np.round(flat * [0.96 * SIZE, -0.96 * SIZE]), -2 * SIZE, 2 * SIZE).astype(int)
    layer = np.clip((LAYERS * (1 - depth) / 2).astype(int), 0, LAYERS - 1)
    paths = []
    for number in range(LAYERS):
        dots = pixels[layer == number]
        if len(dots):
            paths.append(f'<path class="d{number}" d="{_dots(dots)}"/>')
    return "".join(paths)


def _dots(pixels: npt.NDArray[np.int_]) -> str:
    """Lines of no length; a round cap makes each a dot."""
    steps = np.diff(pixels, axis=0, prepend=np.zeros((1, 2), dtype=pixels.dtype))
    return "".join(f"m{x} {y}h0" for x, y in steps)
