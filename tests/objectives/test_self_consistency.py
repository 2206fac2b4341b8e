"""Self-consistency against the paper's formula."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from pointvae import ELBO, IWAE, Consistency, InputError, RotateUp, SelfConsistency
from pointvae.models.posteriors import Path
from pointvae.objectives import reduce_terms
from pointvae.objectives.self_consistency import coupling_kl, decoded
from tests.models.hierarchical import two_groups
from tests.models.test_contract import clouds, tiny

DRAWS = pytest.mark.parametrize(
    ("likelihood", "draw"), [("chamfer", "mean"), ("mixture", "mean"), ("mixture", "sample")], ids=str
)


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def penalty_by_hand(m, v, m_again, v_again, rho) -> float:
    total = 0.0
    for d in range(len(m)):
        squared = v_again[d] + rho**2 * v[d] + (m_again[d] - rho * m[d]) ** 2
        total += 0.5 * (squared / (1 - rho**2) - 1 - math.log(v_again[d] / (1 - rho**2)))
    return total


@DRAWS
@pytest.mark.parametrize("points", [7, 5, 11, 16], ids=lambda n: f"decoder of {n}")
def test_the_loss_equals_a_slow_second_implementation(likelihood, draw, points):
    model, x = tiny(likelihood=likelihood, points=points).eval(), clouds()
    rho, weight = 0.9, 0.7
    found = SelfConsistency(ELBO(beta=2.0), rho, weight, draw)(model, x, generator=gen())

    generator = gen()
    bound = reduce_terms(ELBO(beta=2.0)(model, x, generator=generator)).item()
    q = model.posterior(x)
    z = q.mean + q.stddev * torch.randn(3, 5, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        again = model.likelihood.cloud(model.decoder(z), 11, generator, noisy=draw == "sample")
        assert again.shape == (3, 11 if likelihood == "mixture" else min(points, 11), 3)
        back = model.posterior(again)
    penalty = [
        penalty_by_hand(*(t[i].tolist() for t in (q.mean, q.variance, back.mean, back.variance)), rho)
        for i in range(3)
    ]
    assert reduce_terms(found).item() == pytest.approx(bound + weight * sum(penalty) / 3, rel=1e-9)
    expected = torch.tensor(penalty, dtype=torch.float64)
    torch.testing.assert_close(found["self_consistency"].value, expected, rtol=1e-9, atol=0)
    assert found["self_consistency"].weight == weight


def test_the_penalty_of_every_dimension_is_its_own():
    mean, std = torch.tensor([[0.3, -1.0]]).double(), torch.tensor([[0.5, 1.5]]).double()
    code, again = Path(mean, mean, std), Path(mean, mean.flip(1), std.flip(1))
    each = coupling_kl(code, again, 0.8)
    for d, other in ((0, 1), (1, 0)):
        expected = penalty_by_hand([mean[0, d]], [std[0, d] ** 2], [mean[0, other]], [std[0, other] ** 2], 0.8)
        assert each[0, d].item() == pytest.approx(float(expected), rel=1e-9)


def encoded_in_turn(model):
    """The posteriors that a model gives from now on, in turn, with gradients kept of their moments."""
    real, seen = model.posterior, []

    def posterior(points, mask=None):
        q = real(points, mask)
        q.mean.retain_grad()
        q.base_dist.scale.retain_grad()
        seen.append((q, points, mask))
        return q

    model.posterior = posterior
    return seen


@DRAWS
def test_the_decoder_learns_nothing_from_the_penalty_and_the_encoder_learns_from_both_ends(likelihood, draw):
    model, x = tiny(likelihood=likelihood).eval(), clouds()
    seen = encoded_in_turn(model)
    SelfConsistency(draw=draw)(model, x, generator=gen())["self_consistency"].value.sum().backward()
    assert all(p.grad is None for p in model.decoder.parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in model.encoder.parameters())
    (first, _, _), (second, again, _) = seen
    assert not again.requires_grad
    for q in (first, second):
        assert (q.mean.grad.abs().sum(dim=1) > 0).all() and (q.base_dist.scale.grad.abs().sum(dim=1) > 0).all()


def test_the_gradient_equals_finite_differences():
    """In the moments of both ends; the decoded cloud is held, as the method holds it."""
    parts = [torch.randn(2, 4, dtype=torch.float64, generator=gen(s)) for s in range(4)]
    leaves = [p.requires_grad_() for p in (parts[0], parts[1].exp(), parts[2], parts[3].exp())]

    def penalty(m, s, m_again, s_again):
        return coupling_kl(Path(m, m, s), Path(m_again, m_again, s_again), 0.9)

    assert torch.autograd.gradcheck(penalty, leaves)


def test_the_gradient_in_the_weights_equals_finite_differences_where_the_decoded_cloud_stays():
    model, x = tiny().eval(), clouds(2, 5)
    # a decoder that ignores z: then no gradient is stopped that there would be
    model.decoder.register_forward_hook(lambda *_: clouds(2, 7, seed=3))
    weight = model.head.linear.weight.detach().clone().requires_grad_()

    def loss(value):
        return torch.func.functional_call(_Loss(model), {"model.head.linear.weight": value}, (x,))

    assert torch.autograd.gradcheck(loss, weight, atol=1e-4)


class _Loss(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return reduce_terms(SelfConsistency(rho=0.8, weight=0.5)(self.model, x, generator=gen()))


@pytest.mark.parametrize(
    ("likelihood", "points", "expected"),
    [("chamfer", 7, 7), ("chamfer", 11, 11), ("chamfer", 16, 11), ("mixture", 7, 11), ("mixture", 16, 11)],
)
def test_what_is_encoded_again_has_the_size_of_the_cloud_where_the_decoder_has_so_many(likelihood, points, expected):
    model, x = tiny(likelihood=likelihood, points=points).eval(), clouds()
    z = torch.randn(3, 5, dtype=torch.float64, generator=gen())
    again, mask = decoded(model, z, x, generator=gen())
    assert again.shape == (3, expected, 3) and mask is None
    rows = model.decode(z)
    assert torch.cdist(again, rows).min(dim=2).values.max() < 1e-6  # the decoder's own points, no others


@DRAWS
@pytest.mark.parametrize("points", [7, 16])
def test_masked_clouds_are_decoded_to_their_own_number_of_points(likelihood, draw, points):
    model = tiny(likelihood=likelihood, points=points).eval()
    x = clouds()
    mask = torch.arange(11).expand(3, 11) < torch.tensor([[11], [4], [1]])
    seen = encoded_in_turn(model)
    terms = SelfConsistency(draw=draw)(model, x, mask, generator=gen())
    assert torch.isfinite(reduce_terms(terms))
    _, again, there = seen[1]
    if likelihood == "chamfer" and points < 11:
        assert again.shape[1] == 7 and there is None
    else:
        assert again.shape[1] == 11 and torch.equal(there, mask)


def test_a_masked_thinned_cloud_keeps_points_of_every_component():
    """The mixture's points come in the order of its components: a mask must not cut the last ones off."""
    model = tiny(likelihood="mixture").eval()
    z = torch.randn(200, 5, dtype=torch.float64, generator=gen())
    mask = (torch.arange(11) < 4).expand(200, 11)
    again, there = decoded(model, z, clouds(200), mask, gen())
    kept = torch.cdist(again[there].view(200, 4, 3), model.decode(z)).argmin(dim=2)
    assert len(torch.unique(kept)) == 7


def test_copies_share_their_noise_on_both_ways():
    model, x = two_groups().eval(), clouds()
    both = torch.cat([x, x])
    terms = SelfConsistency(rho=0.9).terms(model, model.posterior(both), both, copies=2, generator=gen())
    torch.testing.assert_close(terms["kl"].value[:3], terms["kl"].value[3:])


def test_a_hierarchical_chain_is_compared_along_its_paths():
    model, x, rho = two_groups().eval(), clouds(), 0.9
    found = SelfConsistency(ELBO(), rho)(model, x, generator=gen())["self_consistency"].value
    generator = gen()
    ELBO()(model, x, generator=generator)
    code = model.posterior(x).path(torch.randn(3, 5, dtype=torch.float64, generator=generator))
    again = model.likelihood.cloud(model.decoder(code.z), 11, generator)
    back = model.posterior(again).path(torch.randn(3, 5, dtype=torch.float64, generator=generator))
    ends = (code.mean, code.stddev.square(), back.mean, back.stddev.square())
    expected = [penalty_by_hand(*(t[i].tolist() for t in ends), rho) for i in range(3)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0)


def test_around_consistency_there_are_both_terms_and_the_sum_is_the_one_by_hand():
    model, x, turn = tiny().eval(), clouds(), RotateUp()
    objective = Consistency(SelfConsistency(ELBO(), rho=0.9, weight=2.0), weight=0.5, transforms=[turn])
    terms = objective(model, x, generator=gen())
    names = {f"{prefix}{name}" for prefix in ("", "transformed/") for name in ("reconstruction", "kl")}
    assert set(terms) == names | {"self_consistency", "transformed/self_consistency", "consistency"}

    generator = gen()
    moved = turn(x, None, generator)
    pair = torch.cat([x, moved])
    bounds = SelfConsistency(ELBO(), rho=0.9, weight=2.0)(model, pair, generator=generator)
    regulariser = torch.distributions.kl_divergence(*(_normal(model.posterior(c)) for c in (moved, x)))
    expected = 2.0 * reduce_terms(bounds) + 0.5 * regulariser.mean()  # the mean over six is half of two means
    assert reduce_terms(terms).item() == pytest.approx(expected.item(), rel=1e-9)


def _normal(q):
    return Independent(Normal(q.mean.detach(), q.stddev.detach()), 1)


def test_it_goes_around_any_bound():
    terms = SelfConsistency(IWAE(3))(tiny(likelihood="mixture"), clouds(), generator=gen())
    assert list(terms) == ["iwae", "reconstruction", "kl", "self_consistency"]


def test_nothing_can_be_drawn_from_a_distance():
    with pytest.raises(InputError, match="chamfer") as caught:
        SelfConsistency(draw="sample")(tiny(), clouds(), generator=gen())
    assert "\n" not in str(caught.value) and "mixture" in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    [{"rho": 0}, {"rho": 1}, {"rho": -0.5}, {"rho": float("nan")}, {"weight": -1}, {"draw": "mode"}],
    ids=str,
)
def test_impossible_settings_are_refused_by_name(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        SelfConsistency(**setting)
