"""What every posterior keeps, flat and hierarchical."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from pointvae.models.posteriors import along, draw_noise, follow, frozen, repeat, rsample, select
from tests.models.hierarchical import FIRST, numbers, two_group_posterior


def flat(batch=3, seed=0):
    mean, std = numbers(batch, 5, seed=seed), (0.3 * numbers(batch, 5, seed=seed + 1)).exp()
    return Independent(Normal(mean.requires_grad_(), std.requires_grad_()), 1)


def parameters(posterior):
    if isinstance(posterior, Independent):
        return [posterior.base_dist.loc, posterior.base_dist.scale]
    return [posterior.base_mean, posterior.base_std, posterior.shift, posterior.spread]


POSTERIORS = pytest.mark.parametrize("make", [flat, two_group_posterior], ids=["flat", "two groups"])


def moments_by_hand(posterior, z):
    """Mean and deviation of every dimension of a latent [B, D], given the dimensions of the groups before it."""
    mean, std = (p.detach().clone() for p in parameters(posterior)[:2])
    z = z.detach()
    if not isinstance(posterior, Independent):
        for b in range(len(z)):
            for d in range(FIRST, 5):
                for g in range(FIRST):
                    mean[b, d] += math.tanh(z[b, g]) * posterior.shift[g, d - FIRST].item()
                    std[b, d] *= math.exp(math.sin(z[b, g]) * posterior.spread[g, d - FIRST].item())
    return mean, std


@POSTERIORS
def test_a_path_is_what_its_noise_makes_of_the_moments(make):
    q, noise = make(), numbers(3, 5, seed=9)
    path = follow(q, noise)
    mean, std = moments_by_hand(q, path.z)
    torch.testing.assert_close(path.mean, mean)
    torch.testing.assert_close(path.stddev, std)
    torch.testing.assert_close(path.z, mean + std * noise)


@POSTERIORS
def test_following_noise_and_going_along_the_latent_it_gives_agree(make):
    q = make()
    path = follow(q, numbers(3, 5, seed=9))
    again = along(q, path.z)
    assert again.z is path.z
    torch.testing.assert_close(again.mean, path.mean)
    torch.testing.assert_close(again.stddev, path.stddev)
    torch.testing.assert_close(again.log_prob(), path.log_prob())


@POSTERIORS
def test_the_log_probability_is_the_slow_sum_and_the_distributions_own(make):
    q, z = make(), numbers(3, 5, seed=9)
    mean, std = moments_by_hand(q, z)
    slow = [
        sum(
            -0.5 * ((z[b, d] - mean[b, d]) / std[b, d]).item() ** 2 - math.log(std[b, d] * math.sqrt(2 * math.pi))
            for d in range(5)
        )
        for b in range(3)
    ]
    torch.testing.assert_close(along(q, z).log_prob(), torch.tensor(slow, dtype=torch.float64), rtol=1e-9, atol=0)
    torch.testing.assert_close(q.log_prob(z), torch.tensor(slow, dtype=torch.float64), rtol=1e-9, atol=0)


def test_another_latent_can_stand_in_a_flat_paths_place():
    q, z = flat(), numbers(3, 5, seed=9)
    torch.testing.assert_close(follow(q, torch.zeros(3, 5, dtype=torch.float64)).log_prob(z), q.log_prob(z))


@POSTERIORS
def test_repeating_puts_the_whole_batch_one_after_another(make):
    q, z = make(), numbers(6, 5, seed=9)
    many = repeat(q, 2)
    assert many.batch_shape == (6,) and many.event_shape == (5,)
    expected = torch.cat([along(q, z[:3]).log_prob(), along(q, z[3:]).log_prob()])
    torch.testing.assert_close(along(many, z).log_prob(), expected)


@POSTERIORS
def test_selected_shapes_keep_their_posteriors(make):
    q, z = make(), numbers(3, 5, seed=9)
    part = select(q, slice(1, None))
    assert part.batch_shape == (2,)
    torch.testing.assert_close(along(part, z[1:]).log_prob(), along(q, z).log_prob()[1:])
    along(part, z[1:]).log_prob().sum().backward()
    mean = parameters(q)[0]
    assert (mean.grad[0] == 0).all() and (mean.grad[1:].abs().sum(dim=1) > 0).all()


@POSTERIORS
def test_frozen_keeps_the_value_and_lets_the_gradient_reach_the_latent_alone(make):
    q = make()
    z = numbers(3, 5, seed=9).requires_grad_()
    value = along(frozen(q), z).log_prob()
    torch.testing.assert_close(value, along(q, z).log_prob())
    (grad,) = torch.autograd.grad(value.sum(), z, retain_graph=True)
    (expected,) = torch.autograd.grad(along(q, z).log_prob().sum(), z)
    torch.testing.assert_close(grad, expected)
    assert (grad != 0).all()
    gradients = torch.autograd.grad(value.sum(), parameters(q), allow_unused=True)
    assert gradients == (None,) * len(gradients)


@POSTERIORS
def test_gradients_of_a_path_equal_finite_differences(make):
    q, noise = make(), numbers(3, 5, seed=9)
    leaves = [p.detach().requires_grad_() for p in parameters(q)]

    def value(*parts):
        if isinstance(q, Independent):
            path = follow(Independent(Normal(*parts), 1), noise)
        else:
            path = follow(type(q)(*parts), noise)
        return path.z, path.log_prob()

    assert torch.autograd.gradcheck(value, leaves)


@POSTERIORS
def test_noise_is_new_for_every_sample_and_shared_by_copies(make):
    q = make(batch=4)
    noise = draw_noise(q, torch.Generator().manual_seed(0), samples=3, copies=2)
    assert noise.shape == (12, 5) and noise.dtype == torch.float64
    by_sample = noise.view(3, 2, 2, 5)
    assert torch.equal(by_sample[:, 0], by_sample[:, 1])
    assert len(torch.unique(by_sample[:, 0])) == 3 * 2 * 5
    alone = draw_noise(q, torch.Generator().manual_seed(0))
    assert alone.shape == (4, 5) and len(torch.unique(alone)) == 20
    assert torch.equal(alone, draw_noise(q, torch.Generator().manual_seed(0)))


@POSTERIORS
def test_draws_have_the_posteriors_moments(make):
    q = make(batch=1)
    count = 100_000
    with torch.no_grad():
        z = rsample(repeat(q, count), torch.Generator().manual_seed(0))
        mean, std = moments_by_hand(repeat(q, count), z[:1000])
    standard = (z[:1000] - mean[:1000]) / std[:1000]
    assert standard.mean(dim=0).abs().max() < 0.15 and (standard.std(dim=0) - 1).abs().max() < 0.1
    first, deviation = parameters(q)[0][0, :FIRST], parameters(q)[1][0, :FIRST]
    torch.testing.assert_close(z[:, :FIRST].mean(dim=0), first.detach(), atol=0.02, rtol=0)
    torch.testing.assert_close(z[:, :FIRST].std(dim=0), deviation.detach(), rtol=0.02, atol=0)
    # Σ q(z) / q(z) over the draws of another density is 1: log_prob is that of a density
    wide = Normal(0.0, 3.0)
    other = 3.0 * numbers(count, 5, seed=4)
    with torch.no_grad():
        ratio = (along(repeat(q, count), other).log_prob() - wide.log_prob(other).sum(dim=1)).exp()
    assert ratio.mean().item() == pytest.approx(1.0, abs=5 * ratio.std().item() / math.sqrt(count))
    assert ratio.std().item() / math.sqrt(count) < 0.03


def test_a_hierarchical_posterior_is_a_distribution_of_torch():
    q = two_group_posterior()
    path = follow(q, torch.zeros(3, 5, dtype=torch.float64))
    torch.testing.assert_close(q.mean, path.z)
    torch.testing.assert_close(q.stddev, path.stddev)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert q.rsample().shape == (3, 5) and q.rsample((2, 4)).shape == (2, 4, 3, 5)
        assert q.rsample().requires_grad and not q.sample().requires_grad
        draws = q.sample((20_000,))
    torch.testing.assert_close(draws[..., :FIRST].mean(dim=0), q.mean[:, :FIRST].detach(), atol=0.05, rtol=0)
