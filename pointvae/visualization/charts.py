"""Line, step and interval charts as SVG, coloured by the page's style so that they fit light, dark and paper.

Series number k has the CSS class ``s{k}``; a dashed one also ``dashed``. Every number drawn is also told in the
chart's description or in a table beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 14, 42


@dataclass(frozen=True)
class Series:
    """One line: its name, its points, the number of its colour, and whether it is dashed."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    dashed: bool = False


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic map from values to pixels, with ticks at whole numbers alone if so told."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False
    whole: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value; what lies outside is moved to the edge."""
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)
        at = math.log10(max(value, self.low)) if self.log else value
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """A handful of round values within."""
        if not self.log:
            ticks = round_ticks(self.low, self.high)
            return [tick for tick in ticks if not self.whole or tick == round(tick)]
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        factors = (1, 2, 5) if last - first < 2 else (1,)
        values = [f * 10.0**e for e in range(first - 1, last + 1) for f in factors]
        return [v for v in values if self.low * 0.999 <= v <= self.high * 1.001][:: max(1, (last - first) // 5)]


def round_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` multiples of 1, 2 or 5 times a power of ten within [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A figure as short as a tick allows."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-3:
        return f"{value:.2g}".replace("e+0", "e").replace("e-0", "e-")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log: bool = False,
    steps: bool = False,
    whole: bool = True,
    log_x: bool = False,
) -> str:
    """Lines over a shared x, as an ``<svg>``.

    Values that are not finite (or, on a logarithmic axis, not positive) are left out.

    Args:
        series: the lines.
        title: what a reader who cannot see it is told; the page has its own heading.
        x_label: name of the horizontal axis.
        y_label: name of the vertical axis, with its unit.
        log: logarithmic vertical axis.
        steps: draw filled steps from zero in place of lines.
        whole: x is counted in whole numbers.
        log_x: logarithmic horizontal axis, for x above zero.
    """
    kept = [_finite(line, log) for line in series]
    values = [v for line in kept for v in line.y]
    places = [v for line in kept for v in line.x]
    if not values:
        return f'<p class="empty">No figures for {escape(title.lower())}.</p>'
    low, high = min(values), max(values)
    if steps or (not log and (0 <= low < 0.4 * high or low == high > 0)):
        low = 0.0
    margin = 0.0 if log else 0.04 * (high - low)
    low, high = (low, high + margin) if log or low == 0 else (low - margin, high + margin)
    if high <= low:
        low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
    edge = 0.5 if steps else 0.0
    x = Scale(min(places) - edge, max(places) + edge, LEFT, WIDTH - RIGHT, log_x, whole)
    y = Scale(low, high, HEIGHT - BOTTOM, TOP, log)
    drawn = "".join(_steps(line, x, y) if steps else _line(line, x, y) for line in kept)
    return _svg(title, _axes(x, y, x_label, y_label) + drawn)


def legend(series: Sequence[Series]) -> str:
    """The names of lines beside a stroke of each, as HTML."""
    items = "".join(
        f'<li><svg class="key" viewBox="0 0 28 8" aria-hidden="true"><path class="line s{line.colour}'
        f'{" dashed" if line.dashed else ""}" d="M1 4H27"/></svg>{escape(line.name)}</li>'
        for line in series
    )
    return f'<ul class="legend">{items}</ul>'


def _finite(line: Series, log: bool) -> Series:
    pairs = [
        (a, b)
        for a, b in zip(line.x, line.y, strict=True)
        if math.isfinite(b) and math.isfinite(a) and (b > 0 or not log)
    ]
    return Series(line.name, [a for a, _ in pairs], [b for _, b in pairs], line.colour, line.dashed)


def _line(line: Series, x: Scale, y: Scale) -> str:
    if not line.x:
        return ""
    classes = f"line s{line.colour}{' dashed' if line.dashed else ''}"
    path = "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in zip(line.x, line.y, strict=True))
    end = f'<circle class="dot s{line.colour}" cx="{x(line.x[-1]):.1f}" cy="{y(line.y[-1]):.1f}" r="2.5"/>'
    return f'<path class="{classes}" d="M{path}"><title>{escape(line.name)}</title></path>{end}'


def _steps(line: Series, x: Scale, y: Scale) -> str:
    if not line.x:
        return ""
    half = (x(line.x[-1]) - x(line.x[0])) / max(len(line.x) - 1, 1) / 2
    path = "".join(f"V{y(b):.1f}H{x(a) + half:.1f}" for a, b in zip(line.x, line.y, strict=True))
    start = f"M{x(line.x[0]) - half:.1f} {y(0):.1f}"
    return (
        f'<path class="area s{line.colour}{" dashed" if line.dashed else ""}" d="{start}{path}V{y(0):.1f}">'
        f"<title>{escape(line.name)}</title></path>"
    )


def _axes(x: Scale, y: Scale, x_label: str, y_label: str) -> str:
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>']
    for tick in y.ticks():
        at = y(tick)
        parts.append(f'<path class="gridline" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    for tick in x.ticks():
        at = x(tick)
        parts.append(
            f'<text class="tick" x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{number(tick)}</text>'
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text class="name" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
    )
    parts.append(
        f'<text class="name" transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    return "".join(parts)


def _svg(title: str, body: str, height: float = HEIGHT) -> str:
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}">{body}</svg>'
