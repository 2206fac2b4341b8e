"""The smooth encoder: its terms against Gaussians of two dimensions."""

import math

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.distributions import MultivariateNormal, kl_divergence

from pointvae import ELBO, IWAE, Consistency, InputError, RotateUp, SelfConsistency, SmoothEncoder
from pointvae.models.posteriors import Path
from pointvae.objectives import entropic_w2, reduce_terms
from pointvae.objectives.elbo import kl_to_prior
from pointvae.objectives.smooth_encoder import smoothness
from tests.models.hierarchical import FIRST, two_groups
from tests.models.test_contract import clouds, tiny


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def path(seed=0, batch=4, dim=3, dtype=torch.float64) -> Path:
    generator = gen(seed)
    mean = torch.randn(batch, dim, dtype=dtype, generator=generator)
    std = torch.rand(batch, dim, dtype=dtype, generator=generator) + 0.1
    return Path(mean, mean, std)


def correlation(s: float, g: float) -> float:
    """As methods write it; only for strengths where it does not cancel."""
    return (-1 + math.sqrt(1 + 4 * g**2 * s**2)) / (2 * g * s)


def pair_kl(ma: float, sa: float, mb: float, sb: float, g: float) -> float:
    """KL of the coupled posteriors to the coupled prior, between Gaussians of two dimensions."""
    cross = correlation(sa * sb, g) * sa * sb
    covariance = torch.tensor([[sa**2, cross], [cross, sb**2]], dtype=torch.float64)
    precision = torch.tensor([[1 + g, -g], [-g, 1 + g]], dtype=torch.float64)
    q = MultivariateNormal(torch.tensor([ma, mb], dtype=torch.float64), covariance)
    return kl_divergence(q, MultivariateNormal(torch.zeros_like(q.mean), precision_matrix=precision)).item()


@pytest.mark.parametrize("g", [0.3, 39.0])
def test_the_kl_and_the_smoothness_are_the_kl_of_two_dimensional_gaussians(g):
    a, b = path(0), path(1)
    total = kl_to_prior(a) + smoothness(a, b, g)
    for i in range(4):
        for d in range(3):
            moments = [t[i, d].item() for t in (a.mean, a.stddev, b.mean, b.stddev)]
            assert total[i, d].item() == pytest.approx(pair_kl(*moments, g), rel=1e-9)


@pytest.mark.parametrize("g", [0.3, 39.0])
def test_the_w2_term_is_the_least_over_correlations(g):
    a, b = path(0, 2, 2), path(1, 2, 2)
    ours = entropic_w2(a, b, g)
    for i in range(2):
        for d in range(2):
            ma, sa, mb, sb = (t[i, d].item() for t in (a.mean, a.stddev, b.mean, b.stddev))

            def cost(r, ma=ma, sa=sa, mb=mb, sb=sb):
                squared = (ma - mb) ** 2 + sa**2 + sb**2 - 2 * r * sa * sb
                return g / 2 * squared - 0.5 * math.log(1 - r**2) - math.log(sa) - math.log(sb)

            best = minimize_scalar(cost, bounds=(-0.999999, 0.999999), method="bounded", options={"xatol": 1e-10})
            assert ours[i, d].item() == pytest.approx(best.fun, rel=1e-9)
            assert best.x == pytest.approx(correlation(sa * sb, g), abs=1e-5)


def test_without_coupling_the_codes_are_independent():
    a, b = path(0), path(1)
    torch.testing.assert_close(entropic_w2(a, b, 0.0), -a.stddev.log() - b.stddev.log())
    torch.testing.assert_close(smoothness(a, b, 0.0), kl_to_prior(b))


def test_the_coupled_prior_itself_costs_nothing():
    g = 39.0
    std = torch.full((1, 1), math.sqrt((1 + g) / (1 + 2 * g)), dtype=torch.float64)
    a = Path(torch.zeros_like(std), torch.zeros_like(std), std)
    assert (kl_to_prior(a) + smoothness(a, a, g)).item() == pytest.approx(0.0, abs=1e-12)
    assert correlation(std.item() ** 2, g) == pytest.approx(g / (1 + g))  # rho of the AVAE


@pytest.mark.parametrize("g", [1e-12, 1e-6, 39.0, 1e6, 1e12])
def test_single_precision_is_enough_for_any_strength_and_gives_finite_gradients(g):
    double = [path(s) for s in (0, 1)]
    single = [Path(*(t.float().requires_grad_() for t in (p.z, p.mean, p.stddev))) for p in double]
    value = entropic_w2(*single, g)
    torch.testing.assert_close(value.double(), entropic_w2(*double, g), rtol=2e-6, atol=1e-5)
    value.sum().backward()
    assert all(torch.isfinite(t.grad).all() for p in single for t in (p.mean, p.stddev))


def test_the_gradient_of_the_smoothness_equals_finite_differences():
    a, b = path(0, 2, 2), path(1, 2, 2)

    def total(ma, sa, mb, sb):
        return smoothness(Path(ma, ma, sa), Path(mb, mb, sb), 39.0)

    inputs = [t.clone().requires_grad_() for t in (a.mean, a.stddev, b.mean, b.stddev)]
    assert torch.autograd.gradcheck(total, inputs)


@pytest.mark.parametrize("likelihood", ["chamfer", "mixture"])
def test_the_loss_is_the_bound_of_the_joint_model(likelihood):
    model, x = tiny(likelihood=likelihood).train(), clouds()
    objective = SmoothEncoder(coupling=4.0)
    loss = reduce_terms(objective(model, x, generator=gen()))

    generator = gen()
    draw, noise = (torch.randn(3, 5, dtype=torch.float64, generator=generator) for _ in range(2))
    fresh = tiny(likelihood=likelihood).train()
    q = fresh.posterior(x)
    q_near = fresh.posterior(objective.perturbed(fresh, x, None, noise, generator))
    z = q.mean + q.stddev * draw
    total = 0.0
    for i in range(3):
        kl = sum(
            pair_kl(
                q.mean[i, d].item(), q.stddev[i, d].item(), q_near.mean[i, d].item(), q_near.stddev[i, d].item(), 4.0
            )
            for d in range(5)
        )
        total += (kl - fresh.likelihood.log_prob(fresh.decoder(z)[i : i + 1], x[i : i + 1]).item()) / 3
    assert loss.item() == pytest.approx(total, rel=1e-9)


def test_a_ball_of_no_radius_leaves_both_codes_equal():
    model, x = tiny().eval(), clouds()
    terms = SmoothEncoder(radius=0.0, coupling=4.0)(model, x, generator=gen())
    q = model.posterior(x)
    for i in range(3):
        value = 0.0
        for m, s in zip(q.mean[i].tolist(), q.stddev[i].tolist(), strict=True):
            value += pair_kl(m, s, m, s, 4.0) - (0.5 * (m**2 + s**2 - 1) - math.log(s))
        assert terms["smoothness"].value[i].item() == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("base", [ELBO(beta=3.0), IWAE(samples=3)], ids=["elbo", "iwae"])
def test_the_terms_of_the_base_are_those_it_gives_alone(base):
    model, x = tiny().eval(), clouds()
    alone, wrapped = (objective(model, x, generator=gen()) for objective in (base, SmoothEncoder(base, weight=0.5)))
    assert set(wrapped) - set(alone) == {"smoothness"}
    assert wrapped["smoothness"].weight == 0.5
    for name, term in alone.items():
        assert torch.equal(term.value, wrapped[name].value) and term.weight == wrapped[name].weight


def test_the_gradient_reaches_both_posteriors_and_not_the_decoder():
    model, x = tiny().eval(), clouds()
    seen, real = [], model.posterior

    def posterior(points, mask=None):
        out = real(points, mask)
        if torch.is_grad_enabled() and not points.requires_grad:
            out.mean.retain_grad()
            seen.append(out.mean)
        return out

    model.posterior = posterior
    SmoothEncoder()(model, x, generator=gen())["smoothness"].value.sum().backward()
    assert len(seen) == 2
    assert all((mean.grad.abs().sum(dim=1) > 0).all() for mean in seen)
    assert all(p.grad is None for p in model.decoder.parameters())


def test_the_second_code_of_a_hierarchical_model_follows_the_path_of_the_first():
    model, x = two_groups().eval(), clouds()
    objective = SmoothEncoder(coupling=4.0)
    value = objective(model, x, generator=gen())["smoothness"].value

    generator = gen()
    _, noise = (torch.randn(3, 5, dtype=torch.float64, generator=generator) for _ in range(2))
    q, q_near = model.posterior(x), model.posterior(objective.perturbed(model, x, None, noise, generator))
    for i in range(3):
        first = (q.base_mean[i, :FIRST] + q.base_std[i, :FIRST] * noise[i, :FIRST]).tolist()  # z of x, for both
        moments = []
        for p in (q, q_near):
            mean, std = p.base_mean[i].tolist(), p.base_std[i].tolist()
            for d in range(FIRST, 5):
                mean[d] += sum(math.tanh(z) * model.shift[k, d - FIRST].item() for k, z in enumerate(first))
                std[d] *= math.exp(sum(math.sin(z) * model.spread[k, d - FIRST].item() for k, z in enumerate(first)))
            moments += [mean, std]
        total = 0.0
        for ma, sa, mb, sb in zip(*moments, strict=True):
            total += pair_kl(ma, sa, mb, sb, 4.0) - (0.5 * (ma**2 + sa**2 - 1) - math.log(sa))
        assert value[i].item() == pytest.approx(total, rel=1e-9)


def test_it_nests_in_self_consistency_and_in_consistency():
    model, x = tiny().eval(), clouds()
    plain = SmoothEncoder()(model, x, generator=gen())
    both = SelfConsistency(SmoothEncoder(ELBO()), rho=0.975)(model, x, generator=gen())
    assert set(both) == {"reconstruction", "kl", "smoothness", "self_consistency"}
    for name, term in plain.items():
        assert torch.equal(term.value, both[name].value)
    pair = Consistency(SmoothEncoder(), transforms=[RotateUp()])(model, x, generator=gen())
    assert {"smoothness", "transformed/smoothness", "consistency"} <= set(pair)
    assert all(t.value.shape == (3,) and torch.isfinite(t.value).all() for t in pair.values())


@pytest.mark.parametrize(
    "setting",
    [{"coupling": -1}, {"coupling": float("inf")}, {"radius": -0.1}, {"steps": -1}, {"weight": float("nan")}],
    ids=str,
)
def test_impossible_settings_are_refused_by_name(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        SmoothEncoder(**setting)
