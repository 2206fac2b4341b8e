"""Which points an evaluation sees, and turned how."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointvae.errors import InputError
from pointvae.evaluation.views import View
from tests.evaluation.shapes import make_shapes

SHAPES = make_shapes()


def seen(view, step=5):
    starts = range(0, len(SHAPES), step)
    return np.concatenate([view.clouds(SHAPES, range(start, min(start + step, len(SHAPES)))) for start in starts])


def test_the_plain_view_shows_every_point_in_its_place():
    np.testing.assert_array_equal(seen(View()), SHAPES.points)


@given(step=st.integers(1, 20), rotation=st.sampled_from(["none", "z", "so3"]))
def test_shapes_look_the_same_in_whatever_portions(step, rotation):
    view = View(7, rotation, seed=3)
    np.testing.assert_array_equal(seen(view, step), view.clouds(SHAPES))


def test_a_subset_holds_points_of_its_own_shape_without_repetition():
    for cloud, whole in zip(seen(View(15)), SHAPES.points, strict=True):
        assert len(np.unique(cloud, axis=0)) == 15
        assert {tuple(p) for p in cloud} <= {tuple(p) for p in whole}


def test_each_shape_has_its_own_subset():
    same = dataclasses.replace(SHAPES, points=np.repeat(SHAPES.points[:1], len(SHAPES), axis=0))
    first, second = View(15).clouds(same)[:2]
    assert not np.array_equal(first, second)


def test_a_rotation_is_of_the_same_subset():
    plain, turned = seen(View(15)), seen(View(15, "so3"))
    np.testing.assert_allclose(np.linalg.norm(plain, axis=2), np.linalg.norm(turned, axis=2), rtol=1e-5)


@pytest.mark.parametrize("rotation", ["z", "so3"])
def test_a_rotation_keeps_distances_and_handedness(rotation):
    view = View(rotation=rotation)
    for place in range(20):
        turn = view._turn(place)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)


def test_turning_about_the_up_axis_keeps_heights():
    np.testing.assert_allclose(seen(View(rotation="z"))[..., 2], SHAPES.points[..., 2], atol=1e-6)
    assert np.abs(seen(View(rotation="z"))[..., 0] - SHAPES.points[..., 0]).max() > 0.1


def test_headings_are_uniform():
    view = View(rotation="z")
    turns = np.stack([view._turn(place) for place in range(4000)])
    angle = np.arctan2(turns[:, 1, 0], turns[:, 0, 0])
    counts, _ = np.histogram(angle, bins=8, range=(-np.pi, np.pi))
    assert np.abs(counts - 500).max() < 100  # about 4.8 standard deviations


def test_so3_has_haar_measure():
    view = View(rotation="so3")
    turns = np.stack([view._turn(place) for place in range(4000)])
    # under Haar measure each column is uniform on the sphere, so each entry is uniform on [-1, 1],
    # and the trace 1 + 2 cos(angle) has mean 0 and variance 1
    entries, _ = np.histogram(turns[:, 0, 1], bins=8, range=(-1, 1))
    assert np.abs(entries - 500).max() < 100
    trace = np.trace(turns, axis1=1, axis2=2)
    assert abs(trace.mean()) < 0.08
    assert abs(trace.var() - 1) < 0.12


def test_the_hash_follows_the_subset_and_nothing_else():
    base = View(15).subsample_hash(SHAPES)
    assert len(base) == 64
    assert base == View(15, "z").subsample_hash(make_shapes(seed=9))
    assert base != View(15, seed=1).subsample_hash(SHAPES)
    assert base != View(14).subsample_hash(SHAPES)
    assert base != View(15).subsample_hash(SHAPES[:-1])


def test_the_hash_of_a_known_view_stays_as_it_is():
    assert View(4).subsample_hash(make_shapes(3)).startswith("96fa699203aa")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": 0}, "--points 0: must be at least 1"),
        ({"rotation": "y"}, "--rotation y: unknown; choose from none, z, so3"),
        ({"seed": -1}, "--seed -1: must not be negative"),
    ],
)
def test_a_wrong_option_is_refused_by_name(arguments, message):
    with pytest.raises(InputError, match=message):
        View(**arguments)


def test_more_points_than_there_are_is_refused():
    with pytest.raises(InputError, match="--points 41: the shapes have 40 points each"):
        View(41).clouds(SHAPES)
