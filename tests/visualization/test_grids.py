"""Grids of clouds as figures."""

import numpy as np
import pytest

from pointvae.visualization.grids import cloud_grid, reconstruction_grid, shorten
from pointvae.visualization.latent_map import save_figure

CLOUDS = np.random.default_rng(0).standard_normal((10, 50, 3))


def words(figure):
    return [text.get_text() for text in figure.texts]


def test_each_pair_stands_under_its_name_and_error(tmp_path):
    names = [f"data/shape_{k}" for k in range(10)]
    figure = reconstruction_grid(CLOUDS, CLOUDS[:, :20], names, [0.01 * k for k in range(10)])
    assert len(figure.axes) == 20
    assert words(figure)[:4] == ["shape_0", "cd_l2_mean 0.0000", "shape_1", "cd_l2_mean 0.0100"]
    for above, below in zip(figure.axes[::2], figure.axes[1::2], strict=True):
        upper, lower = above.get_position(), below.get_position()
        assert upper.x0 == pytest.approx(lower.x0)
        assert upper.y0 >= lower.y1 - 1e-9
    save_figure(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_reconstruction_is_drawn_to_the_scale_of_its_input():
    small = CLOUDS[:1] / 2
    figure = reconstruction_grid(CLOUDS[:1], small, ["a"], [0.0])
    given, made = (np.ptp(axes.collections[0].get_offsets(), axis=0) for axes in figure.axes)
    np.testing.assert_allclose(made, given / 2, rtol=1e-6)


def test_far_points_are_drawn_first():
    figure = cloud_grid(CLOUDS[:1])
    depth = figure.axes[0].collections[0].get_array()
    assert (np.diff(depth) <= 0).all()


@pytest.mark.parametrize("count", [1, 8, 9])
def test_places_do_not_overlap_and_lie_on_the_paper(count):
    figure = cloud_grid([CLOUDS[0]] * count, [f"n{k}" for k in range(count)])
    boxes = [axes.get_position() for axes in figure.axes]
    assert words(figure) == [f"n{k}" for k in range(count)]
    for k, box in enumerate(boxes):
        assert -1e-9 <= box.x0 < box.x1 <= 1 + 1e-9
        assert -1e-9 <= box.y0 < box.y1 <= 1 + 1e-9
        for other in boxes[:k]:
            assert (
                min(box.x1, other.x1) - max(box.x0, other.x0) < 1e-9
                or min(box.y1, other.y1) - max(box.y0, other.y0) < 1e-9
            )


def test_long_names_are_cut_in_their_middle():
    assert shorten("a/b/airplane_0001") == "airplane_0001"
    assert shorten("x" * 30 + "end") == "x" * 10 + "…" + "x" * 7 + "end"
