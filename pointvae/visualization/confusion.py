"""A confusion matrix as SVG: a row for each true class, shaded by the share that was predicted as each."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

CELL = 16
SHOW_COUNTS = 12  # up to this many classes there is room for the counts


def confusion_svg(matrix: npt.ArrayLike, classes: Sequence[str], *, title: str) -> str:
    """The matrix as an ``<svg>``; each cell that is not zero tells its counts when pointed at.

    Args:
        matrix: counts [true][predicted] (classes, classes).
        classes: their names.
        title: what a reader who cannot see it is told.
    """
    counts = np.asarray(matrix)
    rows = np.maximum(counts.sum(axis=1), 1)
    cell = 30 if len(classes) <= SHOW_COUNTS else CELL
    margin = 14 + 6.4 * max(len(name) for name in classes)
    side = cell * len(classes)
    body = [f'<rect class="frame" x="{margin:.0f}" y="{margin:.0f}" width="{side}" height="{side}"/>']
    for i, name in enumerate(classes):
        middle = margin + cell * (i + 0.5)
        body.append(
            f'<text class="tick" x="{margin - 6:.0f}" y="{middle + 4:.0f}" text-anchor="end">{escape(name)}</text>'
        )
        body.append(
            f'<text class="tick" transform="translate({middle + 4:.0f} {margin - 6:.0f}) rotate(-90)">'
            f"{escape(name)}</text>"
        )
    for true, predicted in np.argwhere(counts):
        body.append(_cell(counts, rows, classes, int(true), int(predicted), cell, margin))
    whole = margin + side + 4
    return (
        f'<svg class="chart confusion" viewBox="0 0 {whole:.0f} {whole:.0f}" role="img" '
        f'style="max-width:{whole:.0f}px" aria-label="{escape(title)}">{"".join(body)}</svg>'
    )


def _cell(
    counts: npt.NDArray[np.int_],
    rows: npt.NDArray[np.int_],
    classes: Sequence[str],
    true: int,
    predicted: int,
    cell: int,
    margin: float,
) -> str:
    share = counts[true, predicted] / rows[true]
    x, y = margin + cell * predicted, margin + cell * true
    kind = "right" if true == predicted else "wrong"
    told = f"{classes[true]} taken for {classes[predicted]}: {counts[true, predicted]} of {rows[true]}"
    parts = (
        f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{cell}" height="{cell}" '
        f'fill-opacity="{0.12 + 0.88 * share:.2f}"><title>{escape(told)}</title></rect>'
    )
    if len(classes) <= SHOW_COUNTS:
        parts += (
            f'<text class="count{" strong" if share > 0.5 else ""}" x="{x + cell / 2:.0f}" '
            f'y="{y + cell / 2 + 4:.0f}" text-anchor="middle">{counts[true, predicted]}</text>'
        )
    return parts


def most_confused(matrix: npt.ArrayLike, classes: Sequence[str], count: int = 8) -> list[tuple[str, str, int, int]]:
    """The most frequent confusions: true class, predicted class, how many, of how many."""
    counts = np.asarray(matrix)
    off = counts - np.diag(counts.diagonal())
    order = np.argsort(-off, axis=None, kind="stable")[:count]
    pairs = (np.unravel_index(place, off.shape) for place in order)
    return [(classes[a], classes[b], int(off[a, b]), int(counts[a].sum())) for a, b in pairs if off[a, b]]
