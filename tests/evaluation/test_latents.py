"""Measures of the latents."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pointvae.evaluation.features import Codes, encode
from pointvae.evaluation.latents import active_units, consistency_gaps, describe_latents, kl_per_dimension
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.objectives.consistency import consistency_gap
from pointvae.transforms import Compose, Jitter, RotateUp
from tests.evaluation.shapes import make_model, make_shapes

SHAPES = make_shapes()


def test_only_dimensions_that_vary_by_more_than_a_hundredth_are_active():
    rng = np.random.default_rng(0)
    mean = rng.standard_normal((500, 4)).astype(np.float32)
    mean = (mean - mean.mean(axis=0)) / mean.std(axis=0)
    assert active_units(mean * np.sqrt([1, 0.011, 0.009, 0]) + [0, 0, 5, 5]) == 2


def test_the_kl_is_that_of_torch():
    rng = np.random.default_rng(0)
    mean = rng.standard_normal((20, 3)).astype(np.float32)
    std = rng.uniform(0.1, 2, (20, 3)).astype(np.float32)
    posterior = Normal(torch.from_numpy(mean), torch.from_numpy(std))
    expected = kl_divergence(posterior, Normal(0.0, 1.0)).mean(dim=0).numpy()
    np.testing.assert_allclose(kl_per_dimension(mean, std), expected, rtol=1e-5)


def test_a_posterior_equal_to_the_prior_carries_nothing():
    codes = Codes(np.zeros((5, 3), np.float32), np.ones((5, 3), np.float32), np.zeros((5, 2), np.float32))
    assert describe_latents(codes) == {
        "latent_dim": 3,
        "active_units": 0,
        "kl": 0.0,
        "kl_per_dimension": [0.0, 0.0, 0.0],
        "posterior_std": 1.0,
    }


def test_the_description_adds_up():
    codes = encode(make_model(), SHAPES)
    found = describe_latents(codes)
    assert found["kl"] == pytest.approx(sum(found["kl_per_dimension"]))
    assert found["posterior_std"] == pytest.approx(codes.posterior_std.mean(), rel=1e-6)


def test_no_transformation_means_no_gap():
    gaps = consistency_gaps(make_model(), SHAPES, RotateUp(0))
    np.testing.assert_allclose(gaps, 0, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 5, 50])
def test_the_gap_is_the_same_for_every_batch_size(batch_size):
    model, transform = make_model(), Compose([RotateUp(), Jitter(0.05)])
    whole = consistency_gaps(model, SHAPES, transform, View(20), work=Work(12), seed=2)
    found = consistency_gaps(model, SHAPES, transform, View(20), work=Work(batch_size), seed=2)
    assert whole.shape == (12,)
    assert (whole > 0).all()
    np.testing.assert_allclose(found, whole, rtol=1e-3, atol=1e-6)


def test_the_gap_agrees_with_the_objectives_own():
    model, transform = make_model(), RotateUp()
    clouds = torch.from_numpy(SHAPES.points)
    theirs = np.mean(
        [
            consistency_gap(model, clouds, transform, generator=torch.Generator().manual_seed(k)).detach().numpy()
            for k in range(60)
        ]
    )
    ours = np.mean([consistency_gaps(model, SHAPES, transform, seed=k) for k in range(60)])
    assert ours == pytest.approx(theirs, rel=0.1)


def test_another_seed_draws_another_transformation():
    first, second = (consistency_gaps(make_model(), SHAPES, RotateUp(), seed=seed) for seed in (0, 1))
    assert np.abs(first - second).max() > 1e-6
