"""Figures with their intervals, one a row, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pointvae.visualization.charts import Scale, number

WIDTH, ROW, HEAD, FOOT, LEFT, RIGHT = 520, 22, 6, 40, 170, 20


@dataclass(frozen=True)
class Measured:
    """A figure with its interval: a filled dot, or a hollow one for a baseline."""

    label: str
    value: float
    low: float
    high: float
    colour: int = 0
    hollow: bool = False


def interval_chart(groups: Sequence[tuple[str, Sequence[Measured]]], *, title: str, x_label: str) -> str:
    """Dots with bars, in named groups, as an ``<svg>``; every figure is also told in a table beside it.

    Args:
        groups: the name of each group and its figures.
        title: what a reader who cannot see it is told.
        x_label: name of the axis, with its unit.
    """
    figures = [figure for _, members in groups for figure in members]
    low, high = min(f.low for f in figures), max(f.high for f in figures)
    margin = 0.06 * max(high - low, 1.0)
    height = HEAD + ROW * (len(figures) + len(groups)) + FOOT
    x = Scale(low - margin, high + margin, LEFT, WIDTH - RIGHT)
    body = []
    for tick in x.ticks():
        at = x(tick)
        body.append(f'<path class="gridline" d="M{at:.1f} {HEAD}V{height - FOOT}"/>')
        body.append(
            f'<text class="tick" x="{at:.1f}" y="{height - FOOT + 15}" text-anchor="middle">{number(tick)}</text>'
        )
    y = HEAD + ROW / 2
    for name, members in groups:
        body.append(f'<text class="group" x="4" y="{y + 5:.1f}">{escape(name)}</text>')
        y += ROW
        for figure in members:
            body.append(_row(figure, x, y))
            y += ROW
    body.append(
        f'<text class="name" x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{height - 6}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
    )
    return (
        f'<svg class="chart intervals" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}">'
        f"{''.join(body)}</svg>"
    )


def _row(figure: Measured, x: Scale, y: float) -> str:
    kind = f"s{figure.colour}{' hollow' if figure.hollow else ''}"
    told = f"{figure.label}: {figure.value:.1f} ({figure.low:.1f} to {figure.high:.1f})"
    return (
        f'<text class="tick" x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(figure.label)}</text>'
        f'<path class="line {kind}" d="M{x(figure.low):.1f} {y:.1f}H{x(figure.high):.1f}"/>'
        f'<circle class="dot {kind}" cx="{x(figure.value):.1f}" cy="{y:.1f}" r="4.5">'
        f"<title>{escape(told)}</title></circle>"
    )
