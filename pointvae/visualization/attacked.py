"""Attacked clouds beside the originals, each point coloured by how far it was moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pointvae.data.picture import project
from pointvae.visualization.clouds import SIZE, Frame, cloud_paths

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Points = npt.NDArray[np.floating[Any]]

EDGES = (0.5, 1.5, 3.0)
"""Where one shade of a move ends and the next begins, in radii of the ball."""
SHADES = ("var(--soft)", "var(--s2)", "var(--s1)", "var(--s4)")
WORDS = ("less than half a radius", "up to 1.5 radii", "up to 3 radii", "more")
_CELL = 1.7  # inches


def shade_of(original: Points, attacked: Points, radius: float) -> npt.NDArray[np.int_]:
    """The shade of each point's move (N,), 0 to 3, from clouds (N, 3)."""
    length = np.linalg.norm(attacked.astype(np.float64) - original, axis=1)
    shade: npt.NDArray[np.int_] = np.digitize(length / max(radius, 1e-12), EDGES)
    return shade


def attacked_svg(original: Points, attacked: Points, radius: float, label: str, frame: Frame) -> str:
    """An attacked cloud (N, 3) as an ``<svg>``, its points shaded by their moves.

    Args:
        original: the cloud as it was (N, 3), z up.
        attacked: the cloud as it is drawn (N, 3).
        radius: of the ball, in the clouds' units.
        label: what a reader who cannot see it is told.
        frame: the ball to fill the drawing with.
    """
    shade = shade_of(original, attacked, radius)
    parts = "".join(
        f'<g style="color:{colour}">{cloud_paths(attacked[shade == number], frame)}</g>'
        for number, colour in enumerate(SHADES)
        if (shade == number).any()
    )
    return (
        f'<svg class="cloud" viewBox="{-SIZE} {-SIZE} {2 * SIZE} {2 * SIZE}" role="img" '
        f'aria-label="{escape(label)}">{parts}</svg>'
    )


def shade_legend() -> str:
    """What the shades mean, as HTML."""
    items = "".join(
        f'<li><svg class="key" viewBox="0 0 28 8" aria-hidden="true"><circle cx="14" cy="4" r="3.5" '
        f'style="fill:{colour}"/></svg>moved {word}</li>'
        for colour, word in zip(SHADES, WORDS, strict=True)
    )
    return f'<ul class="legend">{items}</ul>'


def attacked_grid(
    originals: Points,
    attacked: Mapping[str, Points],
    titles: Sequence[str],
    told: Mapping[str, Sequence[str] | None],
    radius: float,
) -> Figure:
    """A column for each shape: the original above what attacks in each norm made of it.

    Args:
        originals: the clouds as they were (n, N, 3), z up.
        attacked: by norm, the clouds under attack (n, N, 3).
        titles: what stands above each original: what it is taken for.
        told: by norm, what stands above each attacked cloud, or None.
        radius: of the balls, in the clouds' units.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = 1 + len(attacked)
    figure = Figure(figsize=(_CELL * len(originals), 1.15 * _CELL * rows), dpi=130, facecolor="white")
    FigureCanvasAgg(figure)
    for column, original in enumerate(originals):
        frame = Frame.of(original)
        clouds = [(original, str(titles[column])), *_moved(attacked, told, column)]
        for row, (cloud, title) in enumerate(clouds):
            axes = figure.add_axes((column / len(originals), 1 - (row + 1) / rows, 1 / len(originals), 0.87 / rows))
            flat, depth = project((cloud - frame.centre) / frame.radius)
            order = np.argsort(-depth)
            length = np.linalg.norm(cloud - original, axis=1) / max(radius, 1e-12)
            size = max(1.0, min(9.0, 2200 / len(cloud)))
            shades = {"c": length[order], "cmap": "plasma_r", "vmin": -0.6, "vmax": 4.0}
            axes.scatter(flat[order, 0], flat[order, 1], s=size, linewidths=0, **shades)
            axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")
            axes.set_axis_off()
            axes.set_title(title, fontsize=7, pad=2)
    return figure


def _moved(
    attacked: Mapping[str, Points], told: Mapping[str, Sequence[str] | None], column: int
) -> list[tuple[Points, str]]:
    found = []
    for norm, clouds in attacked.items():
        words = told.get(norm)
        found.append((clouds[column], f"{norm}: {words[column]}" if words else norm))
    return found
