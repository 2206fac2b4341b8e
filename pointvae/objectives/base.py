"""What every objective is: named, unreduced terms for each shape, and one place where they are reduced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.distributions import Independent, Normal

from pointvae.models.vae import PointVAE


@dataclass(frozen=True)
class Term:
    """One term of a loss.

    Args:
        value: for each shape [B], in nats, raw.
        weight: its factor in the loss.
    """

    value: Tensor
    weight: float = 1.0


Terms = dict[str, Term]


def reduce_terms(terms: Mapping[str, Term]) -> Tensor:
    """The loss to minimise: weighted terms, mean over shapes. A term of weight 0 is reported, not followed."""
    return torch.stack([t.weight * t.value.mean() for t in terms.values() if t.weight != 0]).sum()


class Objective(ABC):
    """A loss of a model on a batch of clouds."""

    @abstractmethod
    def __call__(
        self,
        model: PointVAE,
        points: Tensor,
        mask: Tensor | None = None,
        *,
        generator: Generator | None = None,
        step: int = 0,
    ) -> Terms:
        """Terms of the loss for clouds [B, N, 3].

        Args:
            model: the model.
            points: clouds [B, N, 3].
            mask: which points exist [B, N]; all when absent.
            generator: where every random draw comes from.
            step: optimisation steps made, for schedules.
        """


class Bound(Objective):
    """An objective that is a bound on log p(x), given the posterior: what wrappers wrap."""

    @abstractmethod
    def terms(
        self,
        model: PointVAE,
        posterior: Independent[Normal],
        target: Tensor,
        mask: Tensor | None = None,
        *,
        generator: Generator | None = None,
        step: int = 0,
    ) -> Terms:
        """Terms of the negative bound on log p(target) [B, N, 3] with q(z|x) = ``posterior`` [B], [D]."""

    def __call__(
        self,
        model: PointVAE,
        points: Tensor,
        mask: Tensor | None = None,
        *,
        generator: Generator | None = None,
        step: int = 0,
    ) -> Terms:
        """Terms of the negative bound for clouds [B, N, 3]."""
        posterior = model.posterior(points, mask)
        return self.terms(model, posterior, points, mask, generator=generator, step=step)
