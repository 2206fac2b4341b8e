"""Consistency regularization of posteriors whose groups are conditioned on each other."""

import math

import pytest
import torch

from pointvae import ELBO, Consistency, Jitter, RotateUp, Scale
from pointvae.objectives import reduce_terms
from pointvae.objectives.consistency import kl_between
from tests.models.hierarchical import numbers, two_group_posterior, two_groups
from tests.models.test_contract import clouds, tiny
from tests.objectives.test_consistency import gen, kl_by_hand


@torch.no_grad()
def test_the_hierarchical_divergence_is_its_monte_carlo_estimate():
    first, second = two_group_posterior(1, seed=0), two_group_posterior(1, seed=20)
    count = 40_000
    many, other = first.repeat(count), second.repeat(count)
    noise = numbers(count, 5, seed=7)
    path = many.path(noise)
    found = kl_between(many, other, noise).sum(dim=1)
    drawn = path.log_prob() - other.along(path.z).log_prob()
    spread = found - drawn  # the same paths: only the noise within the dimensions remains
    assert spread.mean().abs() < 4 * spread.std() / math.sqrt(count)
    assert spread.std() / math.sqrt(count) < 0.02 * found.mean()
    assert found.std() > 0.1 and (found > 0).all()
    backwards = kl_between(other, many, noise).sum(dim=1).mean()
    assert (backwards - found.mean()).abs() > 0.1 * found.mean()


def test_a_hierarchical_divergence_equals_a_slow_sum_along_the_first_path():
    first, second = two_group_posterior(3, seed=0), two_group_posterior(3, seed=20)
    noise = numbers(3, 5, seed=7)
    path = first.path(noise)
    other = second.along(path.z)
    torch.testing.assert_close(
        kl_between(first, second, noise).sum(dim=1), torch.tensor(kl_by_hand(path, other), dtype=torch.float64)
    )
    centre = first.path(torch.zeros_like(noise))
    at_means = kl_by_hand(centre, second.along(centre.z))
    torch.testing.assert_close(kl_between(first, second).sum(dim=1), torch.tensor(at_means, dtype=torch.float64))


def test_both_bounds_of_a_hierarchical_model_are_drawn_with_the_same_noise():
    model, x = two_groups().eval(), clouds()
    still = [RotateUp(0), Scale(1, 1), Jitter(0)]
    terms = Consistency(transforms=still)(model, x, generator=gen())
    for name in ("reconstruction", "kl"):
        torch.testing.assert_close(terms[name].value, terms[f"transformed/{name}"].value)
    assert terms["consistency"].value.abs().max() < 1e-12
    flat = Consistency(transforms=still)(tiny(likelihood="mixture").eval(), x, generator=gen())
    assert (flat["reconstruction"].value - flat["transformed/reconstruction"].value).abs().min() > 1e-6


def test_a_hierarchical_loss_equals_a_slow_second_implementation():
    model, x = two_groups().eval(), clouds()
    loss = reduce_terms(Consistency(ELBO(beta=2.0), weight=0.7, transforms=[RotateUp()])(model, x, generator=gen()))
    generator = gen()
    moved = RotateUp()(x, None, generator)
    noise = torch.randn(3, 5, dtype=torch.float64, generator=generator)
    total = 0.0
    for cloud in (x, moved):
        path = model.posterior(cloud).path(noise)
        total += 2.0 * ELBO().kl(path).mean() - model.likelihood.log_prob(model.decoder(path.z), cloud).mean()
    # the regulariser's path is the transformed cloud's, with a draw of its own
    path = model.posterior(moved).path(torch.randn(3, 5, dtype=torch.float64, generator=generator))
    regulariser = sum(kl_by_hand(path, model.posterior(x).along(path.z))) / 3
    assert loss.item() == pytest.approx(total.item() + 0.7 * regulariser, rel=1e-9)
