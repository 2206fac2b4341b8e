"""One attack on a tile of shapes: its draws, and what it says of the outcome."""

import numpy as np
import pytest
import torch
from torch.distributions import kl_divergence

from pointvae.evaluation.attacking.tiles import Attack, Ground
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import View
from pointvae.geometry.distances import chamfer_distance
from tests.evaluation.shapes import make_model, make_shapes

SHAPES = make_shapes(8)
MODEL = make_model(seed=1)


def run(how: str, places: list[int], shapes=SHAPES, norm: str = "linf"):
    ground = Ground({"trained": Subject(MODEL)}, shapes, View(24), np.array(places), seed=0)
    with torch.no_grad():
        return ground.run(Attack("trained", norm, "kl", 0.2, how, 3, 2), range(len(places)))


@pytest.mark.parametrize("how", ["gradient", "noise", "search"])
def test_each_shape_has_draws_of_its_own_by_its_place_in_the_split(how):
    twins = SHAPES[[0] * 8]
    both, other = run(how, [2, 5], twins), run(how, [5, 7], twins)
    np.testing.assert_allclose(both.move[1], other.move[0], atol=1e-6)


def test_draws_of_noise_differ_between_places_that_see_the_same_points():
    twins = make_shapes(8, points=24)[[0] * 8]
    moves = run("noise", [2, 5], twins).move
    assert not np.array_equal(moves[0], moves[1])


def test_the_outcome_is_that_of_the_moved_cloud_against_the_original():
    places = [1, 4, 6]
    outcome = run("gradient", places)
    points = torch.from_numpy(View(24).clouds(SHAPES, places))
    with torch.no_grad():
        before, after = MODEL.posterior(points), MODEL.posterior(points + torch.from_numpy(outcome.move))
        damage = chamfer_distance(MODEL.decode(after.mean), points)
    np.testing.assert_allclose(outcome.cd_l2_mean, damage, rtol=1e-4)
    np.testing.assert_allclose(outcome.kl, kl_divergence(after, before), rtol=1e-3)
    np.testing.assert_allclose(outcome.value, outcome.kl, rtol=1e-5)
    way = (after.mean - before.mean).square().mean(dim=1).sqrt()
    np.testing.assert_allclose(outcome.way, way, rtol=1e-4)
    w2 = ((after.mean - before.mean) ** 2 + (after.stddev - before.stddev) ** 2).sum(dim=1)
    np.testing.assert_allclose(outcome.w2, w2, rtol=1e-4)
