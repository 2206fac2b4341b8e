"""What every objective is: named, unreduced terms for each shape, and one place where they are reduced."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from pointvae.errors import InputError
from pointvae.models.posteriors import Posterior
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
        posterior: Posterior,
        points: Tensor,
        mask: Tensor | None = None,
        *,
        target: Tensor | None = None,
        copies: int = 1,
        generator: Generator | None = None,
        step: int = 0,
    ) -> Terms:
        """Terms [B] of the negative bound on log p(target), for clouds that are encoded already.

        Args:
            model: the model.
            posterior: q(z|x) of the clouds.
            points: the encoded clouds x [B, N, 3].
            mask: which points exist [B, N], of clouds and targets; all when absent.
            target: what is to be reconstructed [B, N, 3]; the clouds themselves when absent.
            copies: equal parts of the batch that share their noise: 2 for a batch and its transformed copy.
            generator: where every random draw comes from.
            step: optimisation steps made, for schedules.
        """

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
        return self.terms(model, model.posterior(points, mask), points, mask, generator=generator, step=step)


def check_number(owner: str, name: str, value: float, low: float = 0.0, high: float = math.inf) -> float:
    """Refuse a setting that is no number in [low, high].

    Raises:
        InputError: it is not; the message names the owner and the setting.
    """
    if not (math.isfinite(value) and low <= value <= high):
        limits = f">= {low:g}" if high == math.inf else f"in [{low:g}, {high:g}]"
        raise InputError(f"{owner}: {name} must be a number {limits}, got {value}")
    return value


def warmth(step: int, warmup_steps: float) -> float:
    """Share of a weight that grows linearly from 0 over ``warmup_steps``."""
    return min(1.0, step / warmup_steps) if warmup_steps else 1.0
