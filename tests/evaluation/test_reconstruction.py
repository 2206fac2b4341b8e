"""Reconstruction error, shape by shape."""

import numpy as np
import pytest
import torch

from pointvae.errors import InputError
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.evaluation.work import Work
from tests.evaluation.shapes import make_model, make_shapes

SHAPES = make_shapes()


def chamfer_by_loops(a, b):
    there = np.mean([min(((p - q) ** 2).sum() for q in b) for p in a])
    back = np.mean([min(((p - q) ** 2).sum() for q in a) for p in b])
    return there + back


def test_the_error_is_the_chamfer_distance_to_the_input():
    model = make_model()
    found = reconstruct(model, SHAPES.points)
    with torch.no_grad():
        expected = model.reconstruct(torch.from_numpy(SHAPES.points)).numpy()
    np.testing.assert_allclose(found.points, expected, atol=1e-5)
    for cloud, made, error in zip(SHAPES.points, found.points, found.cd_l2_mean, strict=True):
        assert error == pytest.approx(chamfer_by_loops(cloud, made), rel=1e-4)


@pytest.mark.parametrize("batch_size", [1, 5, 50])
def test_the_batch_size_changes_nothing(batch_size):
    whole = reconstruct(make_model(), SHAPES.points, work=Work(12))
    found = reconstruct(make_model(), SHAPES.points, work=Work(batch_size))
    np.testing.assert_allclose(found.points, whole.points, atol=1e-5)
    np.testing.assert_allclose(found.cd_l2_mean, whole.cd_l2_mean, rtol=1e-4)


def test_points_that_do_not_exist_do_not_count():
    padded = SHAPES.points.copy()
    padded[:, 30:] = 50
    mask = np.arange(40) < np.full((len(SHAPES), 1), 30)
    found = reconstruct(make_model(), padded, mask)
    plain = reconstruct(make_model(), SHAPES.points[:, :30])
    np.testing.assert_allclose(found.points, plain.points, atol=1e-5)
    np.testing.assert_allclose(found.cd_l2_mean, plain.cd_l2_mean, rtol=1e-4)


def test_nothing_to_reconstruct_is_refused():
    with pytest.raises(InputError, match="no shape to reconstruct"):
        reconstruct(make_model(), SHAPES.points[:0])
    with pytest.raises(InputError, match="--batch_size 0"):
        reconstruct(make_model(), SHAPES.points, work=Work(0))
