"""The smooth encoder's ascent against what it promises, and what training on it does."""

import math

import pytest
import torch

from pointvae import InputError, SmoothEncoder
from pointvae.models.posteriors import Path
from pointvae.objectives import entropic_w2, reduce_terms
from tests.models.test_contract import clouds, tiny
from tests.models.test_ladder import ladder


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise_for(x: torch.Tensor, seed=0) -> torch.Tensor:
    return torch.randn(len(x), 5, dtype=x.dtype, generator=gen(seed))


def w2_between(model, x, near, g=39.0, mask=None) -> torch.Tensor:
    q, q_near = model.posterior(x, mask), model.posterior(near, mask)
    return entropic_w2(*(Path(p.mean, p.mean, p.stddev) for p in (q, q_near)), g).sum(dim=1)


def half_mask(masked: bool) -> torch.Tensor | None:
    return torch.arange(11).expand(3, 11) < 7 if masked else None


@pytest.mark.parametrize("encoder", ["pointnet", "dgcnn", "foldingnet"])
def test_the_ascent_raises_w2_above_the_random_start_inside_the_ball(encoder):
    model, x = tiny(encoder).eval(), clouds(8, 20)
    near = {k: SmoothEncoder(steps=k, radius=0.1).perturbed(model, x, None, noise_for(x), gen()) for k in (0, 2, 6)}
    with torch.no_grad():
        w2 = {k: w2_between(model, x, v).mean().item() for k, v in near.items()}
    assert w2[0] < w2[2] and w2[0] < w2[6]
    for moved in near.values():
        assert 0.05 < (moved - x).abs().max().item() <= 0.1 + 1e-12
        assert not moved.requires_grad


def test_the_random_start_fills_the_ball_and_comes_from_the_generator():
    model, x = tiny().eval(), clouds(8, 100)
    draws = [SmoothEncoder(steps=0, radius=0.1).perturbed(model, x, None, noise_for(x), gen(s)) for s in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    move = draws[0] - x
    assert move.mean().abs().item() < 0.01
    assert move.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("steps", [0, 3])
def test_absent_points_stay_put_and_change_nothing(steps):
    model, x = tiny().eval(), clouds(2, 9)
    mask = torch.arange(9).expand(2, 9) < 6
    objective = SmoothEncoder(steps=steps)
    near = objective.perturbed(model, x, mask, noise_for(x), gen())
    assert torch.equal(near[:, 6:], x[:, 6:])
    assert (near[:, :6] != x[:, :6]).all()
    far = torch.cat([x[:, :6], torch.full((2, 3, 3), 9.0, dtype=x.dtype)], dim=1)
    values, others = (objective(model, points, mask, generator=gen()) for points in (x, far))
    for name in values:
        torch.testing.assert_close(values[name].value, others[name].value)


def test_the_ascent_leaves_no_trace_in_a_training_model():
    model, x = tiny().train(), clouds()
    model.decoder.eval()
    modes = {name: m.training for name, m in model.named_modules()}
    before = {k: v.clone() for k, v in model.state_dict().items()}
    random = torch.get_rng_state()
    SmoothEncoder().perturbed(model, x, None, noise_for(x), gen())
    assert {name: m.training for name, m in model.named_modules()} == modes
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert torch.equal(random, torch.get_rng_state())


def test_modes_come_back_even_from_a_failure():
    model = tiny().train()
    with pytest.raises(InputError):
        SmoothEncoder().perturbed(model, torch.zeros(2, 4, 2), None, torch.zeros(2, 5))
    assert all(m.training for m in model.modules())


def test_a_training_step_updates_running_statistics_once_for_each_cloud_of_the_pair():
    model, x = tiny().train(), clouds()
    SmoothEncoder()(model, x, generator=gen())
    assert model.head.norm.num_batches_tracked.item() == 2


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference_mode"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_it_says_the_same_where_gradients_are_off(context, masked):
    model = tiny().eval()
    expected = reduce_terms(SmoothEncoder()(model, clouds(), half_mask(masked), generator=gen()))
    with context():
        value = reduce_terms(SmoothEncoder()(model, clouds(), half_mask(masked), generator=gen()))
    torch.testing.assert_close(value, expected.detach())


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_it_trains_and_validates_a_ladder(masked):
    model, x = ladder().train(), clouds()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    SmoothEncoder().perturbed(model, x, half_mask(masked), torch.zeros(3, model.latent_dim, dtype=x.dtype), gen())
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    reduce_terms(SmoothEncoder()(model, x, half_mask(masked), generator=gen())).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.encoder.parameters())
    model.eval()
    with torch.inference_mode():
        x = clouds()  # as a loader gives them there
        assert torch.isfinite(reduce_terms(SmoothEncoder()(model, x, half_mask(masked), generator=gen())))


def test_training_brings_the_worst_neighbours_nearer_and_random_ones_do_not_do_as_well():
    def worst(steps: int, weight: float) -> float:
        model, x = tiny().float().train(), clouds(16, 24).float()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        objective = SmoothEncoder(steps=steps, weight=weight, radius=0.2)
        for step in range(100):
            optimizer.zero_grad()
            reduce_terms(objective(model, x, generator=gen(step))).backward()
            optimizer.step()
        model.eval()
        near = SmoothEncoder(steps=10, radius=0.2).perturbed(model, x, None, noise_for(x), gen(99))
        with torch.no_grad():
            return w2_between(model, x, near).mean().item()

    found, random, plain = worst(2, 30.0), worst(0, 30.0), worst(2, 0.0)
    assert found < 0.6 * random < 0.6 * plain
