"""What attacks maximise, against formulas written out."""

import pytest
import torch
from torch.distributions import Independent, Normal

from pointvae.attacks.goals import LinearHead, kl_goal, margin_goal, w2_goal
from pointvae.randomness import generator_for
from tests.models.hierarchical import TwoGroups


def gaussian(seed: int) -> Independent:
    g = generator_for(seed)
    return Independent(Normal(torch.randn(2, 3, generator=g), torch.rand(2, 3, generator=g) + 0.1), 1)


def two_groups(seed: int) -> TwoGroups:
    g = generator_for(seed)
    parts = (torch.randn(2, 4, generator=g), torch.rand(2, 4, generator=g) + 0.1)
    return TwoGroups(*parts, torch.randn(2, 2, generator=g), 0.3 * torch.randn(2, 2, generator=g))


def test_the_kl_is_of_the_attacked_posterior_to_the_original():
    original, attacked = gaussian(0), gaussian(1)
    expected = torch.distributions.kl_divergence(attacked, original)
    torch.testing.assert_close(kl_goal(original, torch.randn(2, 3))(attacked), expected)
    assert not torch.allclose(expected, torch.distributions.kl_divergence(original, attacked), rtol=0.01)


def test_the_w2_is_the_closed_form_of_diagonal_gaussians():
    original, attacked = gaussian(0), gaussian(1)
    by_hand = [
        sum(
            (float(attacked.mean[b, d] - original.mean[b, d])) ** 2
            + (float(attacked.stddev[b, d] - original.stddev[b, d])) ** 2
            for d in range(3)
        )
        for b in range(2)
    ]
    assert w2_goal(original, torch.randn(2, 3))(attacked).tolist() == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("goal", [kl_goal, w2_goal])
def test_a_posterior_is_at_no_distance_from_itself(goal):
    for posterior in (gaussian(0), two_groups(0)):
        noise = torch.randn(posterior.mean.shape, generator=generator_for(3))
        torch.testing.assert_close(goal(posterior, noise)(posterior), torch.zeros(2), atol=1e-6, rtol=0)


def test_a_hierarchical_w2_compares_conditionals_given_the_same_groups():
    original, attacked, noise = two_groups(0), two_groups(1), torch.randn(2, 4, generator=generator_for(3))
    path = original.path(noise)
    other = attacked.along(path.z)
    expected = ((other.mean - path.mean) ** 2 + (other.stddev - path.stddev) ** 2).sum(dim=1)
    torch.testing.assert_close(w2_goal(original, noise)(attacked), expected)


def test_the_margin_is_the_best_wrong_score_less_the_right_one():
    g = generator_for(0)
    head = LinearHead(
        torch.randn(3, generator=g), torch.rand(3, generator=g) + 0.5, torch.randn(5, 3, generator=g), torch.randn(5)
    )
    features, labels = torch.randn(20, 3, generator=g), torch.randint(5, (20,), generator=g)
    found = head.margin(features, labels)
    for row in range(20):
        scores = [
            sum(float((features[row, d] - head.mean[d]) / head.scale[d] * head.weight[k, d]) for d in range(3))
            + float(head.bias[k])
            for k in range(5)
        ]
        right = int(labels[row])
        best = max(score for k, score in enumerate(scores) if k != right)
        assert float(found[row]) == pytest.approx(best - scores[right], abs=1e-4)
        assert (float(found[row]) > 0) == (scores.index(max(scores)) != right)


def test_the_margin_of_a_posterior_is_that_of_its_mean():
    head = LinearHead(torch.zeros(3), torch.ones(3), torch.eye(3), torch.zeros(3))
    posterior, labels = gaussian(0), torch.tensor([0, 2])
    torch.testing.assert_close(margin_goal(head, labels)(posterior), head.margin(posterior.mean, labels))
