"""A picture of a set of shapes: a row for each class, drawn from above and aside, near points dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.writing import whole_file

AZIMUTH, ELEVATION = np.deg2rad(-55.0), np.deg2rad(22.0)
"""Where the viewer stands: about the up axis from x, and above the ground."""


def project(points: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The parallel projection of a cloud, z up, and the depth of each point.

    Args:
        points: the cloud [N, 3].

    Returns:
        right and up on the paper [N, 2], and the distance away from the viewer [N].
    """
    right = np.array([-np.sin(AZIMUTH), np.cos(AZIMUTH), 0.0])
    toward = np.array([np.cos(AZIMUTH) * np.cos(ELEVATION), np.sin(AZIMUTH) * np.cos(ELEVATION), np.sin(ELEVATION)])
    upward = np.cross(toward, right)
    return points @ np.stack([right, upward], axis=1), -(points @ toward)


def draw_shapes(rows: Mapping[str, Sequence[npt.NDArray[Any]]], title: str, path: Path) -> None:
    """Write a PNG with one row of clouds for each name.

    Args:
        rows: for each class a few clouds [N, 3], z up, of any size and place.
        title: the line above.
        path: the file; it is written under a temporary name first.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(len(clouds) for clouds in rows.values())
    figure = Figure(figsize=(1.0 + 1.5 * columns, 0.45 + 1.5 * len(rows)), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    top = 1 - 0.4 / figure.get_figheight()
    left = 0.95 / figure.get_figwidth()
    grid = figure.add_gridspec(
        len(rows), columns, left=left, right=0.995, top=top, bottom=0.01, wspace=0.02, hspace=0.02
    )
    figure.text(0.5, 1 - 0.2 / figure.get_figheight(), title, ha="center", va="center", fontsize=11)
    for row, (name, clouds) in enumerate(rows.items()):
        for column, cloud in enumerate(clouds):
            axes = figure.add_subplot(grid[row, column])
            _draw(axes, cloud)
            if column == 0:
                axes.text(-0.06, 0.5, _short(name), transform=axes.transAxes, ha="right", va="center", fontsize=9)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw(axes: Any, cloud: npt.NDArray[Any]) -> None:
    middle = (cloud.max(axis=0) + cloud.min(axis=0)) / 2
    centred = (cloud - middle) / max(float(np.linalg.norm(cloud - middle, axis=1).max()), 1e-12)
    paper, depth = project(centred)
    order = np.argsort(-depth)
    size = 1.6 * (1024 / max(len(cloud), 64)) ** 0.5
    axes.scatter(*paper[order].T, c=depth[order], s=size, cmap="viridis", vmin=-1.0, vmax=1.15, linewidths=0)
    axes.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
    axes.set_axis_off()


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}…"
