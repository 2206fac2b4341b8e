"""The importance-weighted bound and its two gradients."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from pointvae import ELBO, IWAE, Consistency, InputError, RotateUp
from pointvae.models.posteriors import select
from pointvae.objectives import reduce_terms
from tests.models.hierarchical import TwoGroups, two_groups
from tests.models.test_contract import clouds, tiny
from tests.objectives.linear_gaussian import LinearGaussian

MODELS = pytest.mark.parametrize("make", [lambda: tiny(likelihood="mixture"), two_groups], ids=["flat", "two groups"])
DREG = pytest.mark.parametrize("dreg", [False, True], ids=["plain", "dreg"])
STANDARD = Normal(0.0, 1.0)


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def log_weights_by_hand(model, x, samples, seed=0):
    """log p(x|z_k) + log p(z_k) - log q(z_k|x) [B][K] as numbers, a shape and a draw at a time."""
    noise = torch.randn(samples, len(x), 5, dtype=torch.float64, generator=gen(seed))
    q = model.posterior(x)
    out = []
    for i in range(len(x)):
        row = []
        for k in range(samples):
            one = q.path(noise[k]) if hasattr(q, "path") else Normal(q.mean, q.stddev)
            z = one.z if hasattr(q, "path") else q.mean + q.stddev * noise[k]
            likelihood = model.likelihood.log_prob(model.decoder(z[i : i + 1]), x[i : i + 1]).item()
            total = likelihood
            for d in range(5):
                total += STANDARD.log_prob(z[i, d]).item()
                total -= Normal(one.mean[i, d], one.stddev[i, d]).log_prob(z[i, d]).item()
            row.append((total, likelihood))
        out.append(row)
    return out


@MODELS
@DREG
def test_the_bound_equals_a_slow_second_implementation(make, dreg):
    model, x = make().eval(), clouds()
    with torch.no_grad():
        terms = IWAE(4, dreg)(model, x, generator=gen())
        rows = log_weights_by_hand(model, x, 4)
    bounds = []
    for row in rows:
        top = max(w for w, _ in row)
        bounds.append(top + math.log(sum(math.exp(w - top) for w, _ in row) / 4))
    assert reduce_terms(terms).item() == pytest.approx(-sum(bounds) / 3, rel=1e-9)
    torch.testing.assert_close(terms["iwae"].value, -torch.tensor(bounds, dtype=torch.float64))
    means = [-sum(likelihood for _, likelihood in row) / 4 for row in rows]
    torch.testing.assert_close(terms["reconstruction"].value, torch.tensor(means, dtype=torch.float64))


@MODELS
def test_the_elbos_terms_are_reported_beside_it_and_not_followed(make):
    model, x = make().eval(), clouds()
    terms = IWAE(6)(model, x, generator=gen())
    assert list(terms) == ["iwae", "reconstruction", "kl"]
    assert [t.weight for t in terms.values()] == [1.0, 0.0, 0.0]
    assert all(t.value.shape == (3,) for t in terms.values())
    draws = torch.randn(6, 3, 5, dtype=torch.float64, generator=gen())
    kl = [ELBO().kl(model.posterior(x).path(n) if make is two_groups else model.posterior(x)) for n in draws]
    torch.testing.assert_close(terms["kl"].value, torch.stack(kl).mean(dim=0).detach())
    elbo = -terms["reconstruction"].value - terms["kl"].value
    assert (-terms["iwae"].value > elbo).all()


@MODELS
def test_one_sample_is_a_draw_of_the_elbo_with_the_kl_drawn_too(make):
    model, x = make().eval(), clouds()
    terms = IWAE(1)(model, x, generator=gen())
    elbo = ELBO()(model, x, generator=gen())
    torch.testing.assert_close(terms["reconstruction"].value, elbo["reconstruction"].value.detach())
    z_rows = log_weights_by_hand(model, x, 1)
    drawn = torch.tensor([likelihood - w for ((w, likelihood),) in z_rows], dtype=torch.float64)
    torch.testing.assert_close(terms["iwae"].value, elbo["reconstruction"].value + drawn)
    torch.testing.assert_close(terms["kl"].value, elbo["kl"].value.detach())


def gradients(model, x, objective, seed=0):
    model.zero_grad()
    loss = reduce_terms(objective(model, x, generator=gen(seed)))
    loss.backward()
    return loss, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@MODELS
def test_both_gradients_belong_to_one_value_and_give_the_decoder_the_same(make):
    model, x = make().eval(), clouds()
    plain, dreg = gradients(model, x, IWAE(4)), gradients(model, x, IWAE(4, dreg=True))
    assert plain[0].item() == pytest.approx(dreg[0].item(), rel=1e-12)
    assert plain[1].keys() == dreg[1].keys()
    for name in plain[1]:
        if name.startswith("decoder"):
            torch.testing.assert_close(plain[1][name], dreg[1][name])
        elif plain[1][name].abs().max() > 1e-9:
            assert not torch.allclose(plain[1][name], dreg[1][name], rtol=1e-3)


@MODELS
def test_the_doubly_reparameterised_gradient_equals_its_formula_draw_by_draw(make):
    """Σ_k w̃_k² ∂log w_k/∂z_k · ∂z_k/∂φ with q held: one draw and one shape at a time."""
    model, x = make().eval(), clouds(2)
    weight, samples = model.head.linear.weight, 3
    found = gradients(model, x, IWAE(samples, dreg=True))[1]["head.linear.weight"]
    noise = torch.randn(samples, 2, 5, dtype=torch.float64, generator=gen())
    total = torch.zeros_like(weight)
    for i in range(2):
        parts = []
        for k in range(samples):
            q = model.posterior(x)
            z = q.path(noise[k]).z if make is two_groups else q.mean + q.stddev * noise[k]
            held = z.detach()[i : i + 1].requires_grad_()
            one = select(q, slice(i, i + 1))
            log_q = one.log_prob(held).sum()
            log_w = model.likelihood.log_prob(model.decoder(held), x[i : i + 1]) - log_q
            log_w = log_w + STANDARD.log_prob(held).sum()
            (slope,) = torch.autograd.grad(log_w.sum(), held)
            parts.append((log_w.item(), z[i], slope[0]))
        weights = torch.tensor([w for w, _, _ in parts], dtype=torch.float64).softmax(dim=0)
        for share, (_, z, slope) in zip(weights, parts, strict=True):
            total += share**2 * torch.autograd.grad(z, weight, slope, retain_graph=True)[0]
    torch.testing.assert_close(found, -total / 2)


def draws_of_gradients(model, x, objective, count):
    """Encoder gradients of ``count`` separate draws [count, 9], of one shape."""
    moments = [
        p.detach().expand(count, -1).clone().requires_grad_() for p in (model.gain, model.shift, model.log_std)
    ]
    mean = moments[0] * (x.flatten(1) @ model.directions) + moments[1]
    posterior = Independent(Normal(mean, moments[2].exp()), 1)
    terms = objective.terms(model, posterior, x.expand(count, -1, -1), generator=gen(7))
    return torch.cat(torch.autograd.grad(terms["iwae"].value.sum(), moments), dim=1)


def draws_of_grouped_gradients(model, x, objective, count):
    """The same of a posterior of two groups, to the moments of both [count, 6]."""
    shift, spread = torch.tensor([[0.8], [-0.5]]).double(), torch.tensor([[0.3], [0.6]]).double()
    mean, std = model.posterior(x.expand(count, -1, -1)).mean, 1.3 * model.log_std.exp().expand(count, -1)
    moments = [p.detach().clone().requires_grad_() for p in (mean, std)]
    terms = objective.terms(model, TwoGroups(*moments, shift, spread), x.expand(count, -1, -1), generator=gen(7))
    return torch.cat(torch.autograd.grad(terms["iwae"].value.sum(), moments), dim=1)


@pytest.mark.parametrize("draws", [draws_of_gradients, draws_of_grouped_gradients], ids=["flat", "two groups"])
def test_both_encoder_gradients_have_one_expectation_and_the_second_spreads_less(draws):
    model = LinearGaussian(fit=False)
    x = model.draw(1)
    count = 40_000
    plain = draws(model, x, IWAE(5), count)
    dreg = draws(model, x, IWAE(5, dreg=True), count)
    error = ((plain.var(dim=0) + dreg.var(dim=0)) / count).sqrt()
    assert ((plain.mean(dim=0) - dreg.mean(dim=0)).abs() < 4.5 * error).all()
    assert (dreg.mean(dim=0).abs() > 5 * error).any()
    assert (dreg.var(dim=0) < 0.6 * plain.var(dim=0)).all()


@pytest.mark.parametrize("samples", [1, 4])
def test_at_the_exact_posterior_the_second_encoder_gradient_is_zero_for_every_draw(samples):
    model = LinearGaussian()
    x = model.draw(1)
    dreg = draws_of_gradients(model, x, IWAE(samples, dreg=True), 50)
    torch.testing.assert_close(dreg, torch.zeros_like(dreg), atol=1e-12, rtol=0)
    assert draws_of_gradients(model, x, IWAE(samples), 50).abs().max() > 0.1


@MODELS
def test_the_plain_gradient_equals_finite_differences(make):
    model, x = make().eval(), clouds(2, 5)
    names = ["head.linear.weight", "head.linear.bias"] + (["shift", "spread"] if make is two_groups else [])
    values = [dict(model.named_parameters())[name].detach().clone().requires_grad_() for name in names]

    def loss(*parts):
        swapped = {f"model.{name}": part for name, part in zip(names, parts, strict=True)}
        return torch.func.functional_call(_Loss(model), swapped, (x,))

    assert torch.autograd.gradcheck(loss, values, atol=1e-4)


class _Loss(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return reduce_terms(IWAE(3)(self.model, x, generator=gen()))


@MODELS
@DREG
def test_copies_share_their_noise(make, dreg):
    model, x = make().eval(), clouds()
    both = torch.cat([x, x])
    with torch.no_grad():
        terms = IWAE(3, dreg).terms(model, model.posterior(both), both, copies=2, generator=gen())
        alone = IWAE(3, dreg)(model, x, generator=gen())
    for name, term in terms.items():
        torch.testing.assert_close(term.value[:3], term.value[3:])
        torch.testing.assert_close(term.value[:3], alone[name].value)


@MODELS
@DREG
def test_masked_clouds_give_what_short_clouds_give(make, dreg):
    model, x = make().eval(), clouds(2, 6)
    padded = torch.cat([x, torch.full((2, 3, 3), 9.0, dtype=x.dtype)], dim=1)
    mask = torch.arange(9).expand(2, 9) < 6
    plain, masked = IWAE(3, dreg)(model, x, generator=gen()), IWAE(3, dreg)(model, padded, mask, generator=gen())
    for name in plain:
        torch.testing.assert_close(plain[name].value, masked[name].value)


@DREG
def test_another_target_is_the_one_scored(dreg):
    model, x = tiny(likelihood="mixture").eval(), clouds()
    posterior = model.posterior(x)
    own = IWAE(3, dreg).terms(model, posterior, x, generator=gen())
    other = IWAE(3, dreg).terms(model, posterior, x, target=2.0 * x, generator=gen())
    assert (own["iwae"].value - other["iwae"].value).abs().min() > 1e-3
    torch.testing.assert_close(own["kl"].value, other["kl"].value)


@MODELS
@DREG
def test_consistency_wraps_it(make, dreg):
    model, x = make(), clouds()
    terms = Consistency(IWAE(3, dreg), weight=0.5, transforms=[RotateUp()])(model, x, generator=gen())
    assert set(terms) == {f"{p}{n}" for p in ("", "transformed/") for n in ("iwae", "reconstruction", "kl")} | {
        "consistency"
    }
    reduce_terms(terms).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@DREG
def test_a_pseudo_likelihood_trains_too(dreg):
    model, x = tiny(likelihood="chamfer"), clouds()
    loss, found = gradients(model, x, IWAE(3, dreg))
    assert torch.isfinite(loss) and all(torch.isfinite(g).all() for g in found.values())


@pytest.mark.parametrize("samples", [0, -1, float("nan")])
def test_impossible_settings_are_refused_by_name(samples):
    with pytest.raises(InputError, match="IWAE: samples"):
        IWAE(samples)
