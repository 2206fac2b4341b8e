"""Annealed importance sampling against exact answers and plain importance sampling."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from pointvae.evaluation.annealed import annealed_log_weights, annealed_nll, find_steps
from pointvae.evaluation.likelihood import importance_nll
from pointvae.evaluation.views import View
from pointvae.randomness import generator_for
from tests.evaluation.shapes import make_shapes
from tests.models.hierarchical import two_groups
from tests.models.test_contract import clouds, tiny

SIGMA, DIM = 0.8, 4


class Linear(nn.Module):
    """One point x of a cloud is N(W z, SIGMA²): log p(x) is known. The encoder is a poor one."""

    latent_dim = DIM

    def __init__(self):
        super().__init__()
        self.weight = torch.randn(3, DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        self.likelihood = self

    def posterior(self, points):
        mean = points[:, 0] @ self.weight * 0.1
        return Independent(Normal(mean, torch.full_like(mean, 0.9)), 1)

    def decoder(self, z):
        return (z @ self.weight.T).unsqueeze(1)

    def log_prob(self, output, target, mask=None):
        return Normal(output, SIGMA).log_prob(target).sum(dim=(1, 2))


def blurred(model):
    """The model with a likelihood so wide that plain importance sampling is exact enough to compare with."""
    model.likelihood.sigma = 1.0
    return model.eval()


def draws(count, seed=0):
    return [generator_for(seed, place) for place in range(count)]


@pytest.fixture(scope="module")
def linear():
    model = Linear()
    x = torch.randn(6, 1, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 1.5
    covariance = model.weight @ model.weight.T + SIGMA**2 * torch.eye(3, dtype=torch.float64)
    exact = torch.distributions.MultivariateNormal(torch.zeros(3, dtype=torch.float64), covariance)
    return model, x, exact.log_prob(x[:, 0])


def test_the_estimate_finds_the_exact_likelihood_with_far_fewer_draws(linear):
    model, x, exact = linear
    steps = find_steps(model, x, draws(6, 1), chains=8, leaps=60)
    found, accepted = annealed_log_weights(model, x, draws(6), chains=64, steps=steps)
    estimate = found.logsumexp(dim=0) - math.log(64)
    torch.testing.assert_close(estimate, exact, atol=0.12, rtol=0)
    plain, _ = annealed_log_weights(model, x, draws(6), chains=64, steps=[0.0])
    assert found.std(dim=0).max() < 0.3 * plain.std(dim=0).min()
    assert 0.5 < accepted < 0.8


@pytest.mark.parametrize("step", [0.02, 0.3, 1.5])
def test_the_mean_weight_is_right_for_every_step_length(linear, step):
    """Also where most moves are refused: a wrong acceptance would show as a bias."""
    model, x, exact = linear
    found, _ = annealed_log_weights(model, x, draws(6), chains=4000, steps=[step] * 12)
    ratio = (found - exact).exp()
    error = ratio.std(dim=0) / math.sqrt(4000)
    assert ((ratio.mean(dim=0) - 1).abs() < 5 * error + 0.02).all()
    assert error.max() < 0.2


def test_one_leap_is_plain_importance_sampling():
    model, x = blurred(tiny(likelihood="mixture")), clouds()
    with torch.no_grad():
        found, _ = annealed_log_weights(model, x, draws(3), chains=20_000, steps=[0.1])
    plain = importance_nll(model, x, samples=20_000, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(-(found.logsumexp(dim=0) - math.log(20_000)), plain.nll, atol=0.2, rtol=0)


def test_a_hierarchical_posterior_leads_to_the_same_likelihood():
    model, x = blurred(two_groups()), clouds()
    with torch.no_grad():
        steps = find_steps(model, x, draws(3, 1), chains=4, leaps=40)
        found, _ = annealed_log_weights(model, x, draws(3), chains=100, steps=steps)
    plain = importance_nll(model, x, samples=50_000, generator=torch.Generator().manual_seed(3))
    tolerance = 0.15 + 4 * plain.standard_error.max().item()
    torch.testing.assert_close(-(found.logsumexp(dim=0) - math.log(100)), plain.nll, atol=tolerance, rtol=0)


def test_each_shape_has_walks_of_its_own_place():
    model, shapes, view = tiny(likelihood="mixture").eval(), make_shapes(20, points=12), View()
    whole, told = annealed_nll(model, shapes, list(range(20)), view, leaps=5)
    few, _ = annealed_nll(model, shapes, [*range(8), 18], view, leaps=5)
    torch.testing.assert_close(few.nll, whole.nll[[*range(8), 18]], rtol=1e-4, atol=1e-4)
    assert len(whole.nll.unique()) == 20 and told["leaps"] == 5 and 0 < told["accepted"] <= 1
    other, _ = annealed_nll(model, shapes, list(range(20)), view, leaps=5, seed=1)
    assert (other.nll - whole.nll).abs().max() > 1e-6
