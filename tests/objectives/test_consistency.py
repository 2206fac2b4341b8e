"""Consistency regularization against the paper's formula."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from pointvae import ELBO, Consistency, InputError, Jitter, RotateUp, Scale
from pointvae.objectives import consistency_gap, reduce_terms
from pointvae.transforms import Compose
from tests.models.test_contract import clouds, tiny


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def kl_by_hand(moved, original) -> list[float]:
    """R = Σ_d [ log(s_o/s_a) + (s_a² + (m_a - m_o)²) / (2 s_o²) - 1/2 ], o original, a augmented."""
    out = []
    for i in range(len(original.mean)):
        total = 0.0
        for d in range(original.mean.shape[1]):
            mo, so = original.mean[i, d].item(), original.stddev[i, d].item()
            ma, sa = moved.mean[i, d].item(), moved.stddev[i, d].item()
            total += math.log(so / sa) + (sa**2 + (ma - mo) ** 2) / (2 * so**2) - 0.5
        out.append(total)
    return out


@pytest.mark.parametrize("target", ["transformed", "canonical"])
@pytest.mark.parametrize("likelihood", ["chamfer", "mixture"])
def test_the_loss_equals_a_slow_second_implementation(target, likelihood):
    model, x = tiny(likelihood=likelihood).eval(), clouds()
    objective = Consistency(ELBO(beta=2.0), weight=0.7, transforms=[RotateUp(), Scale(), Jitter()], target=target)
    loss = reduce_terms(objective(model, x, generator=gen()))

    generator = gen()
    moved = Compose(objective.transforms)(x, None, generator)
    q, q_moved = model.posterior(x), model.posterior(moved)
    noise = torch.randn(6, 5, dtype=torch.float64, generator=generator)
    z, z_moved = q.mean + q.stddev * noise[:3], q_moved.mean + q_moved.stddev * noise[3:]
    goal = moved if target == "transformed" else x
    bound = model.likelihood.log_prob(model.decoder(z), x).mean() - 2.0 * ELBO().kl(q).mean()
    bound_moved = model.likelihood.log_prob(model.decoder(z_moved), goal).mean() - 2.0 * ELBO().kl(q_moved).mean()
    regulariser = sum(kl_by_hand(q_moved, q)) / 3
    assert loss.item() == pytest.approx(-(bound + bound_moved - 0.7 * regulariser).item(), rel=1e-9)


def test_the_direction_of_the_kl_is_transformed_against_original():
    model, x = tiny().eval(), clouds()
    objective = Consistency(transforms=[Scale(3.0, 3.0)])
    value = objective(model, x, generator=gen())["consistency"].value
    q, q_moved = model.posterior(x), model.posterior(3.0 * x)
    torch.testing.assert_close(value, torch.tensor(kl_by_hand(q_moved, q), dtype=torch.float64))
    assert not torch.allclose(value, torch.tensor(kl_by_hand(q, q_moved), dtype=torch.float64), rtol=1e-3)


def test_the_gradient_of_the_regulariser_reaches_both_posteriors():
    mean = {}

    class Probe(Consistency):
        pass

    model, x = tiny().eval(), clouds()
    real = model.posterior

    def posterior(points, mask=None):
        out = real(points, mask)
        out.mean.retain_grad()
        mean["both"] = out.mean
        return out

    model.posterior = posterior
    terms = Probe(weight=1.0)(model, x, generator=gen())
    terms["consistency"].value.sum().backward()
    assert (mean["both"].grad[:3].abs().sum(1) > 0).all() and (mean["both"].grad[3:].abs().sum(1) > 0).all()


def test_the_whole_gradient_equals_finite_differences():
    model, x = tiny().eval(), clouds(2, 5)
    weight = model.head.linear.weight

    def loss(value: torch.Tensor) -> torch.Tensor:
        swapped = {"head.linear.weight": value}
        return torch.func.functional_call(_Loss(model), {f"model.{k}": v for k, v in swapped.items()}, (x,))

    assert torch.autograd.gradcheck(loss, weight.detach()[:, :].clone().requires_grad_(), atol=1e-4)


class _Loss(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return reduce_terms(Consistency(weight=0.5)(self.model, x, generator=gen()))


def test_zero_strength_transforms_give_no_gap_and_two_plain_bounds():
    model, x = tiny().eval(), clouds()
    terms = Consistency(weight=3.0, transforms=[RotateUp(0), Scale(1, 1), Jitter(0)])(model, x, generator=gen())
    torch.testing.assert_close(terms["consistency"].value, torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(terms["kl"].value, terms["transformed/kl"].value)
    torch.testing.assert_close(terms["kl"].value, ELBO()(model, x, generator=gen())["kl"].value)


def test_weight_zero_is_augmentation_the_gap_is_reported_and_not_followed():
    model, x = tiny().eval(), clouds()
    terms = Consistency(weight=0.0)(model, x, generator=gen())
    assert (terms["consistency"].value > 0).all()
    with_it = reduce_terms(terms)
    without = reduce_terms({k: v for k, v in terms.items() if k != "consistency"})
    assert torch.equal(with_it, without)


def test_targets_differ_only_in_the_transformed_reconstruction():
    model, x = tiny().eval(), clouds()
    values = {t: Consistency(target=t)(model, x, generator=gen()) for t in ("transformed", "canonical")}
    for name in values["canonical"]:
        same = torch.equal(values["transformed"][name].value, values["canonical"][name].value)
        assert same == (name != "transformed/reconstruction")


def test_training_lowers_the_gap_that_plain_training_leaves():
    def trained(weight: float) -> float:
        model, x = tiny().float().train(), clouds(16, 24).float()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        objective = Consistency(weight=weight)
        for step in range(200):
            optimizer.zero_grad()
            reduce_terms(objective(model, x, generator=gen(step))).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            return consistency_gap(model, x, Compose(objective.transforms), generator=gen(99)).mean().item()

    assert trained(10.0) < 0.8 * trained(0.0)


def test_masked_clouds_give_what_short_clouds_give():
    model, x = tiny().eval(), clouds(2, 6)
    objective = Consistency(transforms=[RotateUp()])
    padded = torch.cat([x, torch.full((2, 3, 3), 9.0, dtype=x.dtype)], dim=1)
    mask = torch.arange(9).expand(2, 9) < 6
    plain, masked = objective(model, x, generator=gen()), objective(model, padded, mask, generator=gen())
    for name in plain:
        torch.testing.assert_close(plain[name].value, masked[name].value)


@pytest.mark.parametrize(
    "setting",
    [
        {"weight": -1},
        {"weight": float("nan")},
        {"target": "other"},
        {"block": 0},
        {"warmup_steps": -1},
    ],
    ids=str,
)
def test_impossible_settings_are_refused_by_name(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        Consistency(**setting)


def moments_of(model):
    """The means and deviations that the model gives next, as leaves of the graph whose gradients are kept."""
    kept, real = [], model.posterior

    def posterior(points, mask=None):
        q = real(points, mask)
        q.base_dist.loc.retain_grad()
        q.base_dist.scale.retain_grad()
        kept.extend([q.base_dist.loc, q.base_dist.scale])
        return q

    model.posterior = posterior
    return kept


def test_only_the_content_block_is_compared_and_gets_the_gradient():
    model, x = tiny().eval(), clouds()
    transforms = [Scale(1.5, 1.5)]
    q, q_moved = model.posterior(x), model.posterior(1.5 * x)
    blocks = [Independent(Normal(p.mean[:, :2], p.stddev[:, :2]), 1) for p in (q_moved, q)]
    kept = moments_of(model)
    value = Consistency(transforms=transforms, block=2)(model, x, generator=gen())["consistency"].value
    torch.testing.assert_close(value, kl_divergence(*blocks))
    value.sum().backward()
    for part in kept:
        assert (part.grad[:, :2].abs() > 0).all() and (part.grad[:, 2:] == 0).all()
    whole = Consistency(transforms=transforms, block=5)(model, x, generator=gen())["consistency"].value
    torch.testing.assert_close(whole, Consistency(transforms=transforms)(model, x)["consistency"].value)


def test_a_block_larger_than_the_latent_is_refused():
    with pytest.raises(InputError, match=r"block 6 .* 5"):
        Consistency(block=6)(tiny(), clouds(), generator=gen())


@pytest.mark.parametrize("symmetric", [False, True])
def test_with_stopped_gradient_only_the_transformed_posterior_is_pulled(symmetric):
    model, x = tiny().eval(), clouds()
    kept = moments_of(model)
    objective = Consistency(transforms=[Scale(1.5, 1.5)], stop_gradient=True, symmetric=symmetric)
    value = objective(model, x, generator=gen())["consistency"].value
    value.sum().backward()
    for part in kept:
        assert (part.grad[:3] == 0).all() and (part.grad[3:].abs().sum(dim=1) > 0).all()
    free = Consistency(transforms=[Scale(1.5, 1.5)], symmetric=symmetric)(model, x)["consistency"].value
    torch.testing.assert_close(value, free)


def test_the_symmetric_form_is_the_mean_of_both_directions_whichever_comes_first():
    model, x = tiny().eval(), clouds()
    q, q_moved = model.posterior(x), model.posterior(2.0 * x)
    objective = Consistency(transforms=[Scale(2.0, 2.0)], symmetric=True)
    value = objective(model, x, generator=gen())["consistency"].value
    pairs = zip(kl_by_hand(q_moved, q), kl_by_hand(q, q_moved), strict=True)
    expected = torch.tensor([0.5 * (a + b) for a, b in pairs], dtype=torch.float64)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=0)
    torch.testing.assert_close(objective.compare(q, q_moved, None), objective.compare(q_moved, q, None))


def test_without_the_second_bound_the_copy_is_only_pulled():
    model, x = tiny().eval(), clouds()
    objective = Consistency(ELBO(beta=2.0), weight=0.7, transforms=[RotateUp()], second_bound=False)
    terms = objective(model, x, generator=gen())
    assert list(terms) == ["reconstruction", "kl", "consistency"]
    generator = gen()
    moved = RotateUp()(x, None, generator)
    bound = reduce_terms(ELBO(beta=2.0)(model, x, generator=generator))
    regulariser = sum(kl_by_hand(model.posterior(moved), model.posterior(x))) / 3
    assert reduce_terms(terms).item() == pytest.approx(bound.item() + 0.7 * regulariser, rel=1e-9)


def test_the_weight_grows_linearly_and_then_stays():
    model, x = tiny(), clouds()
    objective = Consistency(weight=3.0, warmup_steps=10)
    weights = [objective(model, x, generator=gen(), step=s)["consistency"].weight for s in (0, 5, 10, 50)]
    assert weights == pytest.approx([0.0, 1.5, 3.0, 3.0])
