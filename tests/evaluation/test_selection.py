"""Which shapes are taken."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointvae.evaluation.selection import affordable, spread_over_classes
from tests.evaluation.shapes import make_shapes


def uneven():
    shapes = make_shapes(30)
    return dataclasses.replace(shapes, labels=np.array([0] * 20 + [1] * 8 + [2] * 2))


@given(count=st.integers(1, 40), seed=st.integers(0, 99))
def test_every_class_is_taken_from_in_turn(count, seed):
    shapes = uneven()
    chosen = spread_over_classes(shapes, count, seed=seed)
    assert len(chosen) == min(count, 30)
    assert (np.diff(chosen) > 0).all()
    taken = np.bincount(shapes.labels[chosen], minlength=3)
    for label, size in enumerate((20, 8, 2)):
        assert taken[label] == size or taken[label] >= taken.max() - 1


def test_the_seed_decides():
    shapes = uneven()
    first, again, other = (spread_over_classes(shapes, 9, seed=seed).tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_shapes_without_labels_are_taken_at_random():
    chosen = spread_over_classes(dataclasses.replace(uneven(), labels=None), 10)
    assert len(set(chosen.tolist())) == 10


@pytest.mark.parametrize("count", [30, 31])
def test_all_of_them_means_all_of_them(count):
    assert spread_over_classes(uneven(), count).tolist() == list(range(30))


@pytest.mark.parametrize(
    ("most", "points", "power", "expected"),
    [
        (1000, 30, 1, 1000),
        (1000, 256, 1, 1000),
        (1000, 1024, 1, 250),
        (1000, 10**6, 1, 125),
        (64, 512, 2, 16),
        (1, 999, 2, 1),
    ],
)
def test_fewer_shapes_are_affordable_the_more_points_they_have(most, points, power, expected):
    assert affordable(most, points, power=power) == expected
