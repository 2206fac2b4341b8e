"""Changes of a known size."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.errors import InputError
from pointvae.evaluation.changes import Change, changes_of
from pointvae.evaluation.views import View
from tests.evaluation.shapes import make_shapes

SHAPES = make_shapes()
VIEW = View(20)
PLACES = [3, 0, 7]
BEFORE = VIEW.clouds(SHAPES, PLACES)


def changed(name, size, seed=0, places=PLACES):
    return Change(name, "", "", (size,), 0).clouds(SHAPES, VIEW, places, size, seed=seed)


@pytest.mark.parametrize("change", changes_of(SHAPES, VIEW), ids=lambda change: change.name)
def test_no_change_is_no_change_to_the_last_bit(change):
    assert change.nothing in change.sizes and list(change.sizes) == sorted(set(change.sizes))
    np.testing.assert_array_equal(change.clouds(SHAPES, VIEW, PLACES, change.nothing), BEFORE)


def test_a_turn_is_about_up_by_its_angle():
    turned = changed("turn", 90)
    np.testing.assert_allclose(turned, BEFORE[..., [1, 0, 2]] * [-1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(changed("turn", 180), BEFORE * [-1, -1, 1], atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(1, 180), st.integers(0, 100))
def test_a_tilt_takes_up_by_its_angle_and_keeps_distances(degrees, seed):
    tilted = changed("tilt", degrees, seed).astype(np.float64)
    for before, after in zip(BEFORE.astype(np.float64), tilted, strict=True):
        np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-5)
        rotation = np.linalg.lstsq(before, after, rcond=None)[0].T
        assert rotation[2, 2] == pytest.approx(math.cos(math.radians(degrees)), abs=1e-3)
        assert np.trace(rotation) == pytest.approx(
            1 + 2 * math.cos(math.radians(degrees)), abs=1e-3
        )  # about one axis


def test_a_scale_is_about_the_origin():
    np.testing.assert_allclose(changed("scale", 1.5), 1.5 * BEFORE, rtol=1e-6)


def test_jitter_has_its_deviation_and_is_not_cut_off():
    moves = (changed("jitter", 0.1, places=range(12)) - VIEW.clouds(SHAPES)).ravel()
    assert moves.std() == pytest.approx(0.1, rel=0.08) and abs(moves.mean()) < 0.02


def test_a_translation_has_its_length_and_moves_a_cloud_as_one():
    moves = changed("translation", 0.3) - BEFORE
    np.testing.assert_allclose(np.linalg.norm(moves, axis=2), 0.3, atol=1e-6)
    np.testing.assert_allclose(moves, np.broadcast_to(moves[:, :1], moves.shape), atol=1e-6)
    assert np.abs(moves[0, 0] - moves[1, 0]).max() > 0.01


@pytest.mark.parametrize(("name", "small", "large"), [("translation", 0.1, 0.4), ("jitter", 0.02, 0.08)])
def test_every_size_goes_the_same_way(name, small, large):
    np.testing.assert_allclose(changed(name, large) - BEFORE, 4 * (changed(name, small) - BEFORE), atol=1e-6)


@pytest.mark.parametrize("name", ["tilt", "jitter", "translation"])
def test_the_draw_depends_on_seed_and_place_alone(name):
    for row, place in enumerate(PLACES):
        np.testing.assert_array_equal(changed(name, 0.5, places=[place])[0], changed(name, 0.5)[row])
    assert np.abs(changed(name, 30.0, seed=1) - changed(name, 30.0)).max() > 1e-3


def test_fewer_points_are_some_of_the_points_and_more_hold_them_all():
    change = changes_of(SHAPES, View(32))[-1]
    assert change.sizes == (16, 32, 40)
    clouds = {size: change.clouds(SHAPES, View(32), [5], size)[0] for size in change.sizes}
    np.testing.assert_array_equal(clouds[32][:16], clouds[16])
    np.testing.assert_array_equal(clouds[40], SHAPES.points[5])  # all, in their stored order


@pytest.mark.parametrize(
    ("stored", "seen", "counts"), [(40, 40, (20, 40)), (100, 20, (20, 80)), (40, 10, (10, 40)), (12, None, (12,))]
)
def test_the_counts_of_points_follow_the_view_and_the_data(stored, seen, counts):
    assert changes_of(make_shapes(3, stored), View(seen))[-1].sizes == counts


def test_quick_takes_a_part_of_the_sizes():
    for full, quick in zip(changes_of(SHAPES, VIEW), changes_of(SHAPES, VIEW, quick=True), strict=True):
        assert set(quick.sizes) <= set(full.sizes) and quick.name == full.name


def test_an_unknown_change_is_refused():
    with pytest.raises(InputError, match="twist"):
        Change("twist", "", "", (1,), 0)
