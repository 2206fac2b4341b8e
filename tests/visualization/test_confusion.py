"""Confusion matrices as SVG."""

import re

import numpy as np

from pointvae.visualization.confusion import confusion_svg, most_confused

MATRIX = [[3, 1, 0], [0, 4, 0], [2, 2, 0]]
NAMES = ["cup", "<jug>", "pan"]


def test_each_cell_that_is_not_zero_is_drawn_where_it_belongs():
    svg = confusion_svg(MATRIX, NAMES, title="t")
    cells = re.findall(
        r'<rect class="(right|wrong)" x="(\d+)" y="(\d+)".*?fill-opacity="([\d.]+)"><title>(.*?)<', svg
    )
    assert [cell[0] for cell in cells] == ["right", "wrong", "right", "wrong", "wrong"]
    assert cells[0][4] == "cup taken for cup: 3 of 4"
    assert cells[1][4] == "cup taken for &lt;jug&gt;: 1 of 4"
    assert float(cells[0][3]) > float(cells[1][3])
    x, y = (np.array([int(cell[axis]) for cell in cells]) for axis in (1, 2))
    assert (x[0], y[0]) == (x.min(), y.min())
    assert y[3] == y[4] == y.max()
    assert x[3] == x.min() < x[4] == x[1] == x[2]


def test_counts_are_written_where_there_is_room():
    assert '<text class="count' in confusion_svg(MATRIX, NAMES, title="t")
    assert '<text class="count' not in confusion_svg(np.eye(13, dtype=int), [str(k) for k in range(13)], title="t")


def test_the_most_frequent_confusions_come_first():
    assert most_confused(MATRIX, NAMES) == [("pan", "cup", 2, 4), ("pan", "<jug>", 2, 4), ("cup", "<jug>", 1, 4)]
    assert most_confused(MATRIX, NAMES, 1) == [("pan", "cup", 2, 4)]
    assert most_confused(np.eye(3, dtype=int), NAMES) == []
