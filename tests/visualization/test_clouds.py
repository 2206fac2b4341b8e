"""Clouds as SVG."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pointvae.data.picture import project
from pointvae.visualization.clouds import MAX_DOTS, SIZE, Frame, cloud_paths, cloud_svg


def dots(svg):
    """Absolute places of every dot, by layer."""
    found = {}
    for layer, path in re.findall(r'<path class="d(\d)" d="([^"]*)"', svg):
        steps = re.findall(r"m(-?\d+) (-?\d+)h0", path)
        found[int(layer)] = np.cumsum(np.array(steps, int), axis=0)
    return found


@given(n=st.integers(1, 60), scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_every_point_is_drawn_once_where_it_projects_to(n, scale, seed):
    cloud = np.random.default_rng(seed).standard_normal((n, 3)) * scale + 5
    frame = Frame.of(cloud)
    found = np.concatenate(list(dots(cloud_paths(cloud, frame)).values()))
    flat, _ = project((cloud - frame.centre) / frame.radius)
    expected = np.round(flat * [0.96 * SIZE, -0.96 * SIZE]).astype(int)
    assert sorted(map(tuple, found)) == sorted(map(tuple, expected))


def test_near_points_are_in_the_strong_layer():
    cloud = np.random.default_rng(0).standard_normal((300, 3))
    frame = Frame.of(cloud)
    _, depth = project((cloud - frame.centre) / frame.radius)
    counts = {layer: len(found) for layer, found in dots(cloud_paths(cloud, frame)).items()}
    assert counts[3] == (depth <= -0.5).sum()
    assert counts[0] == (depth > 0.5).sum()


def test_a_frame_holds_its_cloud():
    cloud = np.random.default_rng(0).uniform(-3, 8, (200, 3))
    frame = Frame.of(cloud)
    assert np.linalg.norm(cloud - frame.centre, axis=1).max() == frame.radius


def test_a_shared_frame_keeps_sizes_comparable():
    cloud = np.random.default_rng(0).standard_normal((50, 3))
    frame = Frame.of(cloud)
    small = np.concatenate(list(dots(cloud_svg((cloud - frame.centre) / 2 + frame.centre, "", frame)).values()))
    large = np.concatenate(list(dots(cloud_svg(cloud, "", frame)).values()))
    assert abs(np.abs(large).max() - 2 * np.abs(small).max()) <= 2


def test_one_point_and_many_points_are_drawn():
    assert "m0 0h0" in cloud_svg(np.ones((1, 3)), "one")
    many = dots(cloud_svg(np.random.default_rng(0).standard_normal((5000, 3)), "many"))
    assert sum(map(len, many.values())) == MAX_DOTS


def test_the_label_is_escaped():
    assert 'aria-label="&lt;b&gt;&quot;"' in cloud_svg(np.ones((1, 3)), '<b>"')


def test_points_that_are_no_numbers_are_not_drawn():
    cloud = np.random.default_rng(0).normal(size=(40, 3))
    spoilt = np.concatenate([cloud, [[np.nan, 0, 0], [0, np.inf, 0]]])
    assert cloud_svg(spoilt, "a") == cloud_svg(cloud, "a")
    assert "<path" not in cloud_svg(np.full((5, 3), np.nan), "nothing")
