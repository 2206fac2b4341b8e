"""The triplet loss against its formula, and against consistency regularization, its rival."""

import pytest
import torch
from torch.distributions import Independent, Normal

from pointvae import ELBO, Consistency, InputError, Jitter, RotateUp, Scale, Triplet
from pointvae.objectives import reduce_terms
from pointvae.objectives.triplet import others, triplet_loss
from pointvae.transforms import Compose
from tests.models.test_contract import clouds, tiny


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(batch=4, dim=3, seed=0) -> torch.Tensor:
    return torch.randn(batch, dim, dtype=torch.float64, generator=gen(seed))


def flat(mean: torch.Tensor, std: float = 1.0) -> Independent:
    return Independent(Normal(mean, torch.full_like(mean, std)), 1)


def by_hand(anchor, positive, negative, margin) -> list[float]:
    """max(0, |m - m⁺|² - |m - m⁻|² + margin), one cloud and one dimension at a time."""
    out = []
    for a, p, n in zip(anchor.tolist(), positive.tolist(), negative.tolist(), strict=True):
        near = sum((a[d] - p[d]) ** 2 for d in range(len(a)))
        far = sum((a[d] - n[d]) ** 2 for d in range(len(a)))
        out.append(max(0.0, near - far + margin))
    return out


@pytest.mark.parametrize("target", ["transformed", "canonical"])
def test_the_loss_equals_a_slow_second_implementation(target):
    model, x = tiny().eval(), clouds()
    transforms = [RotateUp(), Scale(), Jitter()]
    objective = Triplet(ELBO(beta=2.0), weight=0.7, margin=1.5, transforms=transforms, target=target)
    loss = reduce_terms(objective(model, x, generator=gen()))

    generator = gen()
    moved = Compose(transforms)(x, None, generator)
    q, q_moved = model.posterior(x), model.posterior(moved)
    noise = torch.randn(6, 5, dtype=torch.float64, generator=generator)
    z, z_moved = q.mean + q.stddev * noise[:3], q_moved.mean + q_moved.stddev * noise[3:]
    goal = moved if target == "transformed" else x
    bound = model.likelihood.log_prob(model.decoder(z), x).mean() - 2.0 * ELBO().kl(q).mean()
    bound_moved = model.likelihood.log_prob(model.decoder(z_moved), goal).mean() - 2.0 * ELBO().kl(q_moved).mean()
    order = torch.randperm(3, generator=generator).tolist()  # the negatives are drawn last
    after = {order[(i + 1) % 3]: order[i] for i in range(3)}
    negative = torch.stack([q.mean[after[i]] for i in range(3)])
    triplet = sum(by_hand(q.mean, q_moved.mean, negative, 1.5)) / 3
    assert triplet > 0
    assert loss.item() == pytest.approx((-bound - bound_moved + 0.7 * triplet).item(), rel=1e-9)


def test_far_negatives_cost_nothing_and_the_margin_says_how_far():
    anchor, positive = torch.zeros(3, 2), torch.tensor([[1.0, 0.0]]).expand(3, 2)  # 1 away
    negative = torch.tensor([[0.0, 1.0], [0.0, 2.0], [3.0, 0.0]])  # 1, 4 and 9 away
    assert triplet_loss(anchor, positive, negative, 0.0).tolist() == [0.0, 0.0, 0.0]
    assert triplet_loss(anchor, positive, negative, 5.0).tolist() == [5.0, 2.0, 0.0]
    both = [Triplet(margin=m).compare(flat(codes(2)), flat(codes(2, seed=1)), gen()) for m in (50.0, 70.0)]
    torch.testing.assert_close(both[1] - both[0], torch.full((2,), 20.0, dtype=torch.float64))


@pytest.mark.parametrize("batch", [2, 3, 8])
def test_a_negative_is_never_the_cloud_itself_and_may_be_any_other(batch):
    draws = torch.stack([others(batch, gen(seed)) for seed in range(300)])
    assert (draws.sort(dim=1).values == torch.arange(batch)).all()
    counts = torch.stack([(draws == i).float().mean(dim=0) for i in range(batch)])
    assert (counts.diagonal() == 0).all()
    expected = (1.0 - torch.eye(batch)) / (batch - 1)
    torch.testing.assert_close(counts, expected, atol=0.12, rtol=0)


def test_negatives_come_from_the_generator():
    original, moved = flat(codes(8)), flat(codes(8, seed=1))
    first, again, other = (Triplet(margin=9.0).compare(original, moved, gen(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_gradient_reaches_anchor_positive_and_negative_but_no_deviation():
    anchor, positive = codes(2).requires_grad_(), codes(2, seed=1).requires_grad_()
    std = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    original, moved = (Independent(Normal(mean, std), 1) for mean in (anchor, positive))
    value = Triplet(margin=100.0).compare(original, moved, gen())[0]  # of cloud 0; its negative is cloud 1
    on_mean, on_positive, on_std = torch.autograd.grad(value, [anchor, positive, std], allow_unused=True)
    with torch.no_grad():
        torch.testing.assert_close(on_mean[0], 2 * (anchor[1] - positive[0]))
        torch.testing.assert_close(on_mean[1], 2 * (anchor[0] - anchor[1]))
        torch.testing.assert_close(on_positive[0], 2 * (positive[0] - anchor[0]))
    assert (on_positive[1] == 0).all()
    assert on_std is None


def test_the_gradient_equals_finite_differences():
    parts = [codes(5, seed=s).requires_grad_() for s in range(3)]
    value = triplet_loss(*parts, 1.0)
    assert (value == 0).any() and (value > 0).any()
    assert torch.autograd.gradcheck(lambda *p: triplet_loss(*p, 1.0), parts)


def test_weight_zero_is_augmentation_as_of_consistency():
    model, x = tiny().eval(), clouds()
    terms = Triplet(weight=0.0)(model, x, generator=gen())
    assert (terms["triplet"].value > 0).any()
    assert torch.equal(reduce_terms(terms), reduce_terms(Consistency(weight=0.0)(model, x, generator=gen())))


def test_it_differs_from_consistency_in_the_comparison_alone():
    model, x = tiny().eval(), clouds()
    ours, theirs = (kind(weight=2.0)(model, x, generator=gen()) for kind in (Triplet, Consistency))
    assert set(ours) ^ set(theirs) == {"triplet", "consistency"}
    for name in set(ours) & set(theirs):
        assert torch.equal(ours[name].value, theirs[name].value)


def test_the_weight_warms_up_and_the_second_bound_can_be_left_out():
    model, x = tiny().eval(), clouds()
    objective = Triplet(weight=4.0, second_bound=False, warmup_steps=8)
    terms = objective(model, x, generator=gen(), step=2)
    assert set(terms) == {"reconstruction", "kl", "triplet"}
    assert terms["triplet"].weight == pytest.approx(1.0)


def test_a_batch_of_one_has_no_negative_and_pays_nothing():
    model, x = tiny().eval(), clouds(1)
    terms = Triplet(margin=9.0)(model, x, generator=gen())
    assert terms["triplet"].value.tolist() == [0.0]
    reduce_terms(terms).backward()


def test_masked_clouds_give_what_short_clouds_give():
    model, x = tiny().eval(), clouds(3, 6)
    objective = Triplet(transforms=[RotateUp()], margin=9.0)
    padded = torch.cat([x, torch.full((3, 3, 3), 9.0, dtype=x.dtype)], dim=1)
    mask = torch.arange(9).expand(3, 9) < 6
    plain, masked = objective(model, x, generator=gen()), objective(model, padded, mask, generator=gen())
    for name in plain:
        torch.testing.assert_close(plain[name].value, masked[name].value)


@pytest.mark.parametrize(
    "setting", [{"weight": -1}, {"margin": -0.5}, {"margin": float("inf")}, {"target": "other"}], ids=str
)
def test_impossible_settings_are_refused_by_name(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        Triplet(**setting)
