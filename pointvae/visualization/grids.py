"""Grids of clouds as figures: inputs above their reconstructions, samples, ways from one shape to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pointvae.data.picture import project
from pointvae.visualization.clouds import Frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Clouds = Sequence[npt.NDArray[np.floating[Any]]] | npt.NDArray[np.floating[Any]]

COLUMNS = 8
INPUT, OUTPUT = "viridis", "magma"
_CELL = 1.55  # inches


def reconstruction_grid(inputs: Clouds, outputs: Clouds, names: Sequence[str], cd_l2_mean: Sequence[float]) -> Figure:
    """Each input above its reconstruction, at one scale, with its name and error.

    Args:
        inputs: clouds (N, 3), z up.
        outputs: clouds (M, 3).
        names: what stands above each pair.
        cd_l2_mean: the Chamfer distance of each pair.
    """
    columns = min(COLUMNS, len(inputs))
    bands = math.ceil(len(inputs) / columns)
    figure = _figure(columns, bands * 2.32)
    for index, (given, made) in enumerate(zip(inputs, outputs, strict=True)):
        band, column = divmod(index, columns)
        frame = Frame.of(given)
        top = 1 - band / bands
        half, label = 1 / 2.32 / bands, 0.32 / 2.32 / bands
        _cloud(figure, (column / columns, top - label - half, 1 / columns, half), given, frame, INPUT)
        _cloud(figure, (column / columns, top - label - 2 * half, 1 / columns, half), made, frame, OUTPUT)
        middle = (column + 0.5) / columns
        figure.text(middle, top - 0.38 * label, shorten(names[index]), ha="center", va="center", fontsize=8)
        told = f"cd_l2_mean {cd_l2_mean[index]:.4f}"
        figure.text(middle, top - 0.82 * label, told, ha="center", va="center", fontsize=7, color="0.35")
    return figure


def cloud_grid(
    clouds: Clouds, names: Sequence[str] | None = None, columns: int = COLUMNS, inputs: Sequence[int] = ()
) -> Figure:
    """Clouds side by side, each filling its place, with a name beneath if any.

    Args:
        clouds: clouds (N, 3), z up.
        names: what stands beneath each.
        columns: clouds a row.
        inputs: which of them are inputs, to be coloured as such.
    """
    columns = min(columns, len(clouds))
    rows = math.ceil(len(clouds) / columns)
    label = 0.16 if names else 0.0
    figure = _figure(columns, rows * (1 + label))
    for index, cloud in enumerate(clouds):
        row, column = divmod(index, columns)
        unit = 1 / rows / (1 + label)
        bottom = 1 - (row + 1) / rows + label * unit
        _cloud(
            figure,
            (column / columns, bottom, 1 / columns, unit),
            cloud,
            Frame.of(cloud),
            INPUT if index in inputs else OUTPUT,
        )
        if names:
            figure.text(
                (column + 0.5) / columns, bottom - 0.4 * label * unit, shorten(names[index]), ha="center", fontsize=8
            )
    return figure


def shorten(name: str, length: int = 22) -> str:
    """The last part of a path-like name, cut in its middle if long."""
    name = name.rsplit("/", 1)[-1]
    keep = (length - 1) // 2
    return name if len(name) <= length else f"{name[:keep]}…{name[-keep:]}"


def _figure(columns: int, rows: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(_CELL * columns, 2.2), _CELL * rows), dpi=130, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _cloud(
    figure: Figure,
    box: tuple[float, float, float, float],
    cloud: npt.NDArray[np.floating[Any]],
    frame: Frame,
    colours: str,
) -> None:
    """Draw one cloud, z up, far points first and light."""
    axes = figure.add_axes(box)
    flat, depth = project((cloud - frame.centre) / frame.radius)
    order = np.argsort(-depth)
    flat, depth = flat[order], depth[order]
    size = min(9.0, max(0.8, 2200 / len(cloud)))
    axes.scatter(flat[:, 0], flat[:, 1], c=depth, s=size, cmap=colours, vmin=-1.0, vmax=1.3, linewidths=0)
    axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), aspect="equal")
    axes.set_axis_off()
