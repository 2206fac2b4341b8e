"""The bound against its formula, term by term."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from pointvae import ELBO, InputError
from pointvae.models.posteriors import rsample
from pointvae.objectives import reduce_terms
from pointvae.objectives.elbo import group_coefficients, kl_to_prior
from tests.models.hierarchical import numbers, two_group_posterior, two_groups
from tests.models.test_contract import clouds, tiny


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def posterior(batch=4, dim=3) -> Independent:
    mean = torch.randn(batch, dim, dtype=torch.float64, generator=gen(1))
    std = torch.rand(batch, dim, dtype=torch.float64, generator=gen(2)) + 0.1
    return Independent(Normal(mean, std), 1)


def test_kl_to_the_prior_equals_torchs_and_numerical_integration():
    q = posterior()
    prior = Normal(torch.zeros(4, 3, dtype=torch.float64), 1.0)
    torch.testing.assert_close(kl_to_prior(q), kl_divergence(q.base_dist, prior))
    z = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    one = Normal(q.mean[0, 0], q.stddev[0, 0])
    integrand = one.log_prob(z).exp() * (one.log_prob(z) - Normal(0.0, 1.0).log_prob(z))
    assert kl_to_prior(q)[0, 0].item() == pytest.approx(torch.trapezoid(integrand, z).item(), abs=1e-6)


@pytest.mark.parametrize("likelihood", ["chamfer", "mixture"])
@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_the_elbo_equals_a_slow_second_implementation(likelihood, beta):
    model, x = tiny(likelihood=likelihood), clouds()
    terms = ELBO(beta=beta)(model, x, generator=gen())
    q = model.posterior(x)
    z = q.mean + q.stddev * torch.randn(q.mean.shape, dtype=torch.float64, generator=gen())
    total = 0.0
    for i in range(3):
        log_likelihood = model.likelihood.log_prob(model.decoder(z)[i : i + 1], x[i : i + 1]).item()
        kl = sum(
            0.5 * (m**2 + s**2 - 1) - math.log(s)
            for m, s in zip(q.mean[i].tolist(), q.stddev[i].tolist(), strict=True)
        )
        total += (-log_likelihood + beta * kl) / 3
    assert reduce_terms(terms).item() == pytest.approx(total, rel=1e-9)


def test_terms_are_one_raw_value_for_each_shape_whatever_the_batch():
    model, x = tiny().eval(), clouds(6)
    q = model.posterior(x)
    whole = ELBO().kl(q)
    assert whole.shape == (6,)
    parts = torch.cat([ELBO().kl(model.posterior(c)) for c in x.split(2)])
    torch.testing.assert_close(whole, parts)
    torch.testing.assert_close(ELBO(beta=7)(model, x, generator=gen())["kl"].value, whole)


def test_warm_up_grows_linearly_and_then_stays():
    model, x = tiny(), clouds()
    objective = ELBO(beta=2.0, warmup_steps=10)
    weights = [objective(model, x, generator=gen(), step=s)["kl"].weight for s in (0, 5, 10, 50)]
    assert weights == pytest.approx([0.0, 1.0, 2.0, 2.0])


def test_free_bits_cost_nothing_below_and_everything_above():
    mean = torch.tensor([[0.1, 3.0], [0.2, 2.0]], dtype=torch.float64, requires_grad=True)
    q = Independent(Normal(mean, torch.ones_like(mean)), 1)
    free = ELBO(free_bits=0.5).kl(q)
    torch.testing.assert_close(free, 0.5 + kl_to_prior(q)[:, 1])
    (grad,) = torch.autograd.grad(free.sum(), mean)
    assert (grad[:, 0] == 0).all() and (grad[:, 1] != 0).all()


def test_reparameterised_draws_have_the_posteriors_moments_and_gradients():
    q = Independent(
        Normal(torch.tensor([[2.0, -1.0]]).expand(40000, 2), torch.tensor([[0.5, 3.0]]).expand(40000, 2)), 1
    )
    z = rsample(q, gen())
    torch.testing.assert_close(z.mean(0), torch.tensor([2.0, -1.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(z.std(0), torch.tensor([0.5, 3.0]), atol=0.05, rtol=0)
    mean, std = torch.zeros(1, 2, requires_grad=True), torch.ones(1, 2, requires_grad=True)
    draw = rsample(Independent(Normal(mean, std), 1), gen())
    draw.sum().backward()
    torch.testing.assert_close(mean.grad, torch.ones(1, 2))
    torch.testing.assert_close(std.grad, draw.detach())


@pytest.mark.parametrize("setting", [{"beta": -1}, {"warmup_steps": -2}, {"free_bits": float("nan")}], ids=str)
def test_impossible_settings_are_refused_by_name(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        ELBO(**setting)


def test_balanced_coefficients_have_mean_one_and_follow_the_divergence_per_dimension():
    each = torch.rand(6, 5, dtype=torch.float64, generator=gen()).requires_grad_()
    found = group_coefficients(each, [2, 3])
    rates = [each[:, :2].sum().item() / 6 / 2 + 1e-3, each[:, 2:].sum().item() / 6 / 3 + 1e-3]
    expected = torch.tensor(rates, dtype=torch.float64) / (sum(rates) / 2)
    torch.testing.assert_close(found, expected)
    assert found.mean().item() == pytest.approx(1.0) and not found.requires_grad
    loud = torch.cat([each[:, :2] * 9, each[:, 2:]], dim=1)
    assert group_coefficients(loud, [2, 3])[0] > group_coefficients(loud, [2, 3])[1]
    silent = group_coefficients(torch.zeros(6, 5, dtype=torch.float64), [2, 3])
    torch.testing.assert_close(silent, torch.ones(2, dtype=torch.float64))


def test_while_the_kl_warms_up_groups_pay_by_what_they_say():
    model, x = two_groups().eval(), clouds()
    terms = ELBO(beta=2.0, warmup_steps=10, balance=True)(model, x, generator=gen(), step=5)
    path = model.posterior(x).path(torch.randn(3, 5, dtype=torch.float64, generator=gen()))
    each = kl_to_prior(path)
    rates = [each[:, :2].sum().item() / 3 / 2 + 1e-3, each[:, 2:].sum().item() / 3 / 3 + 1e-3]
    shares = [r / (sum(rates) / 2) for r in rates]
    by_hand = [sum(shares[d >= 2] * each[b, d].item() for d in range(5)) for b in range(3)]
    total = terms["kl"].value + terms["kl_balance"].value
    torch.testing.assert_close(total.detach(), torch.tensor(by_hand, dtype=torch.float64), rtol=1e-9, atol=0)
    torch.testing.assert_close(terms["kl"].value, each.sum(dim=1))
    assert terms["kl"].weight == terms["kl_balance"].weight == 1.0


def test_after_warm_up_in_one_group_or_unasked_nothing_is_balanced():
    model, x = two_groups().eval(), clouds()
    balanced = ELBO(warmup_steps=10, balance=True)
    assert "kl_balance" in balanced(model, x, generator=gen(), step=9)
    assert "kl_balance" not in balanced(model, x, generator=gen(), step=10)
    assert "kl_balance" not in ELBO(warmup_steps=10)(model, x, generator=gen(), step=5)
    assert "kl_balance" not in balanced(tiny(), x, generator=gen(), step=5)


def test_a_hierarchical_bound_equals_a_slow_second_implementation():
    model, x = two_groups().eval(), clouds()
    loss = reduce_terms(ELBO(beta=3.0)(model, x, generator=gen())).item()
    path = model.posterior(x).path(torch.randn(3, 5, dtype=torch.float64, generator=gen()))
    total = 0.0
    for i in range(3):
        total -= model.likelihood.log_prob(model.decoder(path.z[i : i + 1]), x[i : i + 1]).item() / 3
        for m, s in zip(path.mean[i].tolist(), path.stddev[i].tolist(), strict=True):
            total += 3.0 * (0.5 * (m**2 + s**2 - 1) - math.log(s)) / 3
    assert loss == pytest.approx(total, rel=1e-9)


@torch.no_grad()
def test_the_hierarchical_divergence_from_the_prior_is_its_monte_carlo_estimate():
    q = two_group_posterior(1).repeat(40_000)
    path = q.path(numbers(40_000, 5, seed=7))
    found = kl_to_prior(path).sum(dim=1)
    drawn = path.log_prob() - Normal(0.0, 1.0).log_prob(path.z).sum(dim=1)
    error = (found - drawn).std() / math.sqrt(40_000)
    assert (found - drawn).mean().abs() < 4 * error and error < 0.02 * found.mean()
