"""What an attack maximises, for each shape alone: a way of the posterior, or the loss of a frozen linear head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pointvae.models.posteriors import Posterior, along, follow
from pointvae.objectives.consistency import kl_between

Goal = Callable[[Posterior], Tensor]
"""A figure of each attacked posterior [B], larger where the attack is better."""


@dataclass(frozen=True)
class LinearHead:
    """A frozen linear classifier of standardised features, differentiable in the features.

    Attributes:
        mean: subtracted from each feature [D].
        scale: each feature is divided by [D].
        weight: of the classes [K, D].
        bias: [K].
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor

    def scores(self, features: Tensor) -> Tensor:
        """Scores of the classes [B, K] of features [B, D]."""
        return (features - self.mean) / self.scale @ self.weight.T + self.bias

    def margin(self, features: Tensor, labels: Tensor) -> Tensor:
        """Largest wrong score less the right one [B]; above zero the shape is taken for another class.

        Args:
            features: [B, D].
            labels: the right classes, 0 to K - 1 [B].

        Source: Carlini & Wagner, "Towards Evaluating the Robustness of Neural Networks", S&P 2017, f_6, without
        its floor, so that the ascent goes on after success.
        """
        scores = self.scores(features)
        right = scores.gather(1, labels.unsqueeze(1)).squeeze(1)
        return scores.scatter(1, labels.unsqueeze(1), -torch.inf).amax(dim=1) - right


def margin_goal(head: LinearHead, labels: Tensor) -> Goal:
    """The head's margin on the posterior mean: what a labelled attack raises."""
    return lambda posterior: head.margin(posterior.mean, labels)


def kl_goal(reference: Posterior, noise: Tensor) -> Goal:
    """KL( q(z|x+e) || q(z|x) ) [B], nats; of a hierarchical posterior, along the attacked one's path of ``noise``."""
    return lambda posterior: kl_between(posterior, reference, noise).sum(dim=1)


def w2_goal(reference: Posterior, noise: Tensor) -> Goal:
    """Squared 2-Wasserstein distance of q(z|x+e) and q(z|x) [B], squared standard deviations of the prior.

    Of diagonal Gaussians, Σ_d (m' - m)² + (s' - s)². Of hierarchical posteriors the same sum over their conditionals,
    both given the latent that ``noise`` [B, D] draws from q(z|x).
    """
    path = follow(reference, noise)

    def goal(posterior: Posterior) -> Tensor:
        other = along(posterior, path.z)
        return ((other.mean - path.mean).square() + (other.stddev - path.stddev).square()).sum(dim=1)

    return goal
