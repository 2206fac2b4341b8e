"""Attacked clouds as drawings, shaded by how far each point went."""

import numpy as np

from pointvae.visualization.attacked import EDGES, SHADES, attacked_grid, attacked_svg, shade_legend, shade_of
from pointvae.visualization.clouds import Frame

ORIGINAL = np.random.default_rng(0).uniform(-1, 1, (40, 3)).astype(np.float32)


def moved(*radii: float) -> np.ndarray:
    """The cloud with its first points moved by so many radii of 0.1."""
    cloud = ORIGINAL.copy()
    cloud[: len(radii), 0] += 0.1 * np.array(radii, np.float32)
    return cloud


def test_a_shade_tells_how_many_radii_a_point_went():
    assert shade_of(ORIGINAL, moved(0.2, 1.0, 2.0, 10.0), 0.1)[:6].tolist() == [0, 1, 2, 3, 0, 0]
    assert len(SHADES) == len(EDGES) + 1


def test_every_point_is_drawn_once_in_its_shade():
    svg = attacked_svg(ORIGINAL, moved(1.0, 1.0, 10.0), 0.1, "a <shape>", Frame.of(ORIGINAL))
    assert svg.count("h0") == 40 and "a &lt;shape&gt;" in svg
    groups = {part.split('"')[0]: part.count("h0") for part in svg.split('<g style="color:')[1:]}
    assert groups == {SHADES[0]: 37, SHADES[1]: 2, SHADES[3]: 1}
    assert all(shade in shade_legend() for shade in SHADES)


def test_the_grid_has_a_cell_for_each_shape_and_norm():
    figure = attacked_grid(
        np.stack([ORIGINAL, ORIGINAL]),
        {"linf": np.stack([moved(1.0), moved(2.0)])},
        ["a", "b"],
        {"linf": ["c", "d"]},
        0.1,
    )
    assert [axes.get_title() for axes in figure.axes] == ["a", "linf: c", "b", "linf: d"]
