"""Bounds, likelihoods and chains where the exact answer is known."""

import itertools
import math

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from pointvae import ELBO, IWAE, SelfConsistency
from pointvae.evaluation.likelihood import importance_nll
from pointvae.models.posteriors import Path, follow, rsample
from pointvae.objectives import reduce_terms
from pointvae.objectives.self_consistency import coupling_kl, decoded
from tests.objectives.linear_gaussian import SIZES, VARIANCE, LinearGaussian


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(mean, std):
    return Independent(Normal(mean, std), 1)


def assert_close_by_error(draws, expected, errors=5.0):
    """The mean over the first dimension is within ``errors`` standard errors, and those are not wide."""
    error = draws.std(dim=0) / math.sqrt(len(draws))
    assert (error < 0.1).all()
    assert ((draws.mean(dim=0) - expected).abs() < errors * error).all()


def test_the_models_posterior_is_the_one_of_linear_algebra():
    model = LinearGaussian()
    x = model.draw(4)
    mean, covariance = model.exact(x)
    torch.testing.assert_close(model.posterior(x).mean, mean)
    torch.testing.assert_close(model.posterior(x).variance, covariance.diagonal().expand(4, -1))
    torch.testing.assert_close(covariance, covariance.diagonal().diag())


@torch.no_grad()
def test_with_the_exact_posterior_every_draw_gives_the_likelihood_of_the_data():
    model = LinearGaussian()
    x = model.draw(3)
    expected = model.log_marginal(x)
    for seed in range(5):
        for samples in (1, 7):
            for dreg in (False, True):
                bound = -IWAE(samples, dreg)(model, x, generator=gen(seed))["iwae"].value
                torch.testing.assert_close(bound, expected, rtol=1e-9, atol=1e-9)


def elbo_draws(model, x, count=4000):
    """ELBOs [count, B] of the same shapes, one draw each."""
    shapes = len(x)
    terms = ELBO()(model, x.repeat(count, 1, 1), generator=gen())
    return -sum(t.weight * t.value for t in terms.values()).view(count, shapes)


@torch.no_grad()
def test_the_elbo_is_the_likelihood_less_the_distance_to_the_exact_posterior():
    right, wrong = LinearGaussian(), LinearGaussian(fit=False)
    x = right.draw(3)
    assert_close_by_error(elbo_draws(right, x), right.log_marginal(x))
    mean, covariance = right.exact(x)
    q = wrong.posterior(x)
    gap = kl_divergence(MultivariateNormal(q.mean, q.variance.diag_embed()), MultivariateNormal(mean, covariance))
    assert (gap > 0.15).all()
    assert_close_by_error(elbo_draws(wrong, x), right.log_marginal(x) - gap)


@torch.no_grad()
def test_the_importance_weighted_bound_rises_with_the_draws_and_stays_below_the_likelihood():
    model = LinearGaussian(fit=False)
    x, count = model.draw(2), 20_000
    bounds = []
    for samples in (1, 2, 5, 10):
        value = -IWAE(samples)(model, x.repeat(count, 1, 1), generator=gen(samples))["iwae"].value
        bounds.append(value.view(count, 2))
    for low, high in itertools.pairwise(bounds):
        rise = high.mean(dim=0) - low.mean(dim=0)
        error = ((high.var(dim=0) + low.var(dim=0)) / count).sqrt()
        assert (rise > 3 * error).all()
    gap = model.log_marginal(x) - bounds[-1].mean(dim=0)
    assert (gap > 3 * bounds[-1].std(dim=0) / math.sqrt(count)).all()
    assert_close_by_error(bounds[0], elbo_draws(model, x).mean(dim=0), errors=6)


def test_the_importance_sampled_likelihood_converges_to_the_truth():
    model = LinearGaussian(fit=False)
    x = model.draw(3)
    found = importance_nll(model, x, samples=40_000, chunk=10_000, generator=gen())
    error = found.nll + model.log_marginal(x)
    assert (found.standard_error < 0.01).all()
    assert (error.abs() < 5 * found.standard_error).all()
    rough = importance_nll(model, x, samples=100, generator=gen())
    assert (rough.standard_error > 10 * found.standard_error).all()


def test_with_the_exact_posterior_every_draw_counts_and_nothing_is_uncertain():
    model = LinearGaussian()
    x = model.draw(3)
    found = importance_nll(model, x, samples=10, generator=gen())
    torch.testing.assert_close(found.nll, -model.log_marginal(x))
    torch.testing.assert_close(found.effective_samples, torch.full((3,), 10.0, dtype=torch.float64))
    assert (found.standard_error < 1e-6).all()


@torch.no_grad()
def test_the_chain_of_encoding_and_decoding_couples_its_ends_as_the_derivation_says():
    model, count = LinearGaussian(), 100_000
    z = torch.randn(count, 3, dtype=torch.float64, generator=gen(3))
    again = model.likelihood.cloud(model.decoder(z), 2, gen(4), noisy=True)
    back = rsample(model.posterior(again), gen(5))
    rho = SIZES**2 / (SIZES**2 + VARIANCE)
    left = back - rho * z
    assert_close_by_error(left, torch.zeros(3, dtype=torch.float64))
    assert_close_by_error(left.square(), 1 - rho**2)
    assert_close_by_error(left * z, torch.zeros(3, dtype=torch.float64))  # nothing of z beyond rho z
    assert_close_by_error(back * z, rho)  # the correlation: both ends have variance 1
    assert_close_by_error(back.square(), torch.ones(3, dtype=torch.float64))


@torch.no_grad()
def test_the_penalty_is_the_expected_divergence_where_the_decoded_cloud_is_given():
    rho, count = 0.8, 200_000
    code = normal(torch.tensor([[0.4, -1.0]]).double(), torch.tensor([[0.5, 1.2]]).double())
    again = normal(torch.tensor([[0.7, 0.3]]).double(), torch.tensor([[0.2, 0.9]]).double())
    paths = [follow(q, torch.zeros(1, 2, dtype=torch.float64)) for q in (code, again)]
    z = code.mean + code.stddev * torch.randn(count, 2, dtype=torch.float64, generator=gen())
    coupled = Normal(rho * z, math.sqrt(1 - rho**2))
    divergence = kl_divergence(Normal(again.mean, again.stddev), coupled)
    assert_close_by_error(divergence, coupling_kl(*paths, rho)[0])


def test_the_penalty_is_least_where_it_was_derived_to_be():
    rho = 0.975
    left = 1 - rho**2
    values = torch.tensor([0.3, 0.2, rho * 0.3, left], dtype=torch.float64, requires_grad=True)  # m, v, m', v'

    def penalty(p):
        code, again = Path(p[:1], p[:1], p[1:2].sqrt()), Path(p[2:3], p[2:3], p[3:4].sqrt())
        return coupling_kl(code, again, rho).sum()

    gradient = torch.autograd.grad(penalty(values), values)[0]
    expected = torch.tensor([0.0, 0.5 * rho**2 / left, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(gradient, expected, atol=1e-9, rtol=1e-9)  # only the first variance is pulled, down
    hessian = torch.autograd.functional.hessian(penalty, values)
    assert hessian[2, 2] > 0 and hessian[3, 3] > 0 and hessian[2, 3] == 0
    # with the KL to the prior the first variance settles at the same 1 - rho²
    v = torch.tensor(left, dtype=torch.float64, requires_grad=True)
    prior = 0.5 * (v - 1 - v.log())
    slope = torch.autograd.grad(prior, v)[0] + gradient[1]
    assert slope.item() == pytest.approx(0.0, abs=1e-9)


@torch.no_grad()
def test_the_chain_of_the_objective_is_the_chain_of_the_model():
    """The penalty over exact draws, averaged, equals its expectation under the known joint of the chain's ends.

    x ~ p(x), z from the exact posterior, x~ from p(x|z): (z, z~) is as if z were drawn from the prior, so the terms
    of the penalty have the known moments v = v' = 1 - rho_w and E (m' - r m)² from m = (z - noise), all Gaussian.
    """
    model, r, count = LinearGaussian(), 0.6, 60_000
    x = model.draw(count)
    terms = SelfConsistency(rho=r, draw="sample")(model, x, generator=gen())
    rho = SIZES**2 / (SIZES**2 + VARIANCE)
    v = 1 - rho
    # m and m' both have variance rho; z = m + noise, and m' = E[z~|x~], so Cov(m, m') = rho Var(m) = rho²
    squared = rho + r**2 * rho - 2 * r * rho**2
    each = 0.5 * ((v + r**2 * v + squared) / (1 - r**2) - 1 - torch.log(v / (1 - r**2)))
    assert_close_by_error(terms["self_consistency"].value.unsqueeze(1), each.sum())


@torch.no_grad()
def test_what_is_decoded_is_a_draw_of_the_likelihood_only_when_asked():
    model = LinearGaussian()
    z = torch.randn(4, 3, dtype=torch.float64, generator=gen())
    plain, _ = decoded(model, z, model.draw(4))
    torch.testing.assert_close(plain, model.decoder(z).detach())
    noisy, _ = decoded(model, z, model.draw(4), generator=gen(), noisy=True)
    assert (noisy - plain).abs().max() > 0.1


def test_training_a_wrong_posterior_ends_at_the_exact_one():
    model = LinearGaussian(fit=False)
    x = model.draw(400)
    optimizer = torch.optim.Adam([model.gain, model.shift, model.log_std], lr=0.02)
    for step in range(200):
        optimizer.zero_grad()
        reduce_terms(IWAE(5, dreg=True)(model, x, generator=gen(step))).backward()
        optimizer.step()
    exact = LinearGaussian()
    torch.testing.assert_close(model.gain.detach(), exact.gain.detach(), atol=0.02, rtol=0)
    torch.testing.assert_close(model.shift.detach(), exact.shift.detach(), atol=0.02, rtol=0)
    torch.testing.assert_close(model.log_std.detach(), exact.log_std.detach(), atol=0.02, rtol=0)
