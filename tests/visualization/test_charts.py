"""Charts as SVG."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointvae.visualization.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    Series,
    legend,
    line_chart,
    number,
    round_ticks,
)
from pointvae.visualization.intervals import Measured, interval_chart


def chart(*series, **options):
    return line_chart(series, title="Loss", x_label="epoch", y_label="nats", **options)


def places(svg, kind="line"):
    path = re.search(rf'<path class="{kind} s0" d="([^"]*)"', svg)[1]
    return [tuple(map(float, pair.split())) for pair in path.lstrip("M").split("L")]


@given(low=st.floats(-1e6, 1e6), size=st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_within(low, size):
    ticks = round_ticks(low, low + size)
    assert 2 <= len(ticks) <= 8
    slack = 1e-6 * (abs(low) + size)
    assert all(low - slack <= tick <= low + size + slack for tick in ticks)
    step = ticks[1] - ticks[0]
    assert any(math.isclose(step / 10 ** math.floor(math.log10(step) + 1e-6), f, rel_tol=1e-3) for f in (1, 2, 5))


@given(low=st.floats(1e-6, 1e3), factor=st.floats(20, 1e6))
def test_logarithmic_ticks_are_few_and_within(low, factor):
    ticks = Scale(low, low * factor, 0, 1, log=True).ticks()
    assert 1 <= len(ticks) <= 8
    assert all(0.99 * low <= tick <= 1.01 * low * factor for tick in ticks)


def test_the_ends_of_a_line_lie_at_the_ends_of_the_axis():
    drawn = places(chart(Series("a", [1, 2, 3], [10, 0, 5])))
    assert [x for x, _ in drawn] == [LEFT, (LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT]
    assert drawn[1][1] == HEIGHT - BOTTOM
    assert TOP < drawn[0][1] < drawn[2][1] < drawn[1][1]


def test_a_logarithmic_axis_gives_equal_ratios_equal_room():
    heights = [y for _, y in places(chart(Series("a", [1, 2, 3], [1, 10, 100]), log=True))]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.11)


def test_a_logarithmic_horizontal_axis_gives_equal_ratios_equal_room():
    across = [x for x, _ in places(chart(Series("a", [16, 64, 256], [1, 2, 3]), log_x=True))]
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.11)


def test_the_horizontal_axis_has_fractions_where_they_are_told():
    line = Series("a", [0, 0.05, 0.1], [7, 8, 9])
    assert ">0.04</text>" in chart(line, whole=False) and ">0.04</text>" not in chart(line)


def test_what_is_not_finite_is_left_out():
    drawn = places(chart(Series("a", [1, 2, 3, 4], [1, math.nan, math.inf, 2])))
    assert len(drawn) == 2
    assert len(places(chart(Series("a", [1, 2, 3], [1, -1, 2]), log=True))) == 2


def test_a_chart_of_nothing_says_so():
    assert chart(Series("a", [], [])) == '<p class="empty">No figures for loss.</p>'
    assert chart(Series("a", [1], [math.nan])) == '<p class="empty">No figures for loss.</p>'


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("value", [3, 0])
def test_a_line_that_never_changes_is_drawn_level(log, value):
    value = value or log
    heights = {y for _, y in places(chart(Series("a", [1, 2], [value, value]), log=log))}
    assert len(heights) == 1
    assert TOP < heights.pop() < HEIGHT - BOTTOM


def test_ticks_of_epochs_are_whole():
    assert re.findall(r'text-anchor="middle">([\d.]+)</text>', chart(Series("a", [1, 2, 3], [1, 2, 3]))) == [
        "1",
        "2",
        "3",
    ]


def test_one_step_for_each_value_stands_on_zero():
    svg = chart(Series("a", [1, 2, 3], [3, 2, 1]), steps=True)
    path = re.search(r'<path class="area s0" d="([^"]*)"', svg)[1]
    assert path.startswith(f"M{LEFT:.1f} {HEIGHT - BOTTOM:.1f}V")
    assert path.count("H") == 3
    assert path.endswith(f"H{WIDTH - RIGHT:.1f}V{HEIGHT - BOTTOM:.1f}")


def test_names_are_escaped():
    assert "<b>" not in chart(Series("<b>", [1], [1])) + legend([Series("<b>", [], [])])


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0"), (10_000, "10,000"), (2500, "2,500"), (0.05, "0.05"), (2e-5, "2e-5"), (3e7, "3e7"), (-1.5, "-1.5")],
)
def test_ticks_are_short(value, told):
    assert number(value) == told


def test_an_interval_is_drawn_around_its_figure():
    svg = interval_chart(
        [("g", [Measured("a", 80, 70, 90, 1), Measured("b", 75, 75, 75, 2, hollow=True)])], title="t", x_label="%"
    )
    low, high = map(float, re.search(r'class="line s1" d="M([\d.]+) [\d.]+H([\d.]+)"', svg).groups())
    centre = float(re.search(r'class="dot s1" cx="([\d.]+)"', svg)[1])
    assert centre == pytest.approx((low + high) / 2, abs=0.1)
    assert "dot s2 hollow" in svg
    assert "a: 80.0 (70.0 to 90.0)" in svg
