"""Consistency regularization: the posteriors of a cloud and of its transformed copy are pulled together.

Source: Sinha & Dieng, "Consistency Regularization for Variational Auto-Encoders", NeurIPS 2021, arXiv 2105.14859.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.distributions import Independent, Normal, kl_divergence

from pointvae.errors import InputError
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Bound, Objective, Term, Terms
from pointvae.objectives.elbo import ELBO
from pointvae.transforms import Compose, Transform, default_transforms


def consistency_gap(
    model: PointVAE,
    points: Tensor,
    transform: Transform,
    mask: Tensor | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """KL( q(z|t(x)) || q(z|x) ) of clouds [B, N, 3], one draw of t each; nats [B]."""
    moved = model.posterior(transform(points, mask, generator), mask)
    return kl_divergence(moved, model.posterior(points, mask))


def split_pair(posterior: Independent[Normal], batch: int) -> tuple[Independent[Normal], Independent[Normal]]:
    """Posteriors of the first ``batch`` shapes and of the rest."""
    mean, std = posterior.mean, posterior.stddev
    first, second = (
        Independent(Normal(mean[s], std[s], validate_args=False), 1) for s in (slice(None, batch), slice(batch, None))
    )
    return first, second


class Consistency(Objective):
    """CR: L(x) + E_t[ L(x~) ] - weight E_t[ KL( q(z|x~) || q(z|x) ) ], x~ = t(x), to be maximised.

    One transformation is drawn for each shape and step; the first argument of the KL is the posterior of the
    transformed cloud; both posteriors get its gradient. Both clouds go through the encoder as one batch, so that
    batch normalisation treats them alike. With weight 0 this is data augmentation: L(x) + E_t[ L(x~) ].

    Args:
        base: the bound L.
        weight: lambda, nats per nat.
        transforms: parts of t, applied one after another; by default every heading about the up axis, a scale
            of 0.8 to 1.25 and jitter of 0.01.
        target: what the transformed cloud's code must reconstruct: ``transformed``, itself, as the paper has
            it; or ``canonical``, the original, so that nothing asks the code to remember the pose.
    """

    def __init__(
        self,
        base: Bound | None = None,
        weight: float = 1.0,
        transforms: Sequence[Transform] | None = None,
        target: Literal["transformed", "canonical"] = "transformed",
    ) -> None:
        if not (math.isfinite(weight) and weight >= 0):
            raise InputError(f"Consistency: weight must be a number >= 0, got {weight}")
        if target not in ("transformed", "canonical"):
            raise InputError(f"Consistency: target must be 'transformed' or 'canonical', got {target!r}")
        self.base = base if base is not None else ELBO()
        self.weight, self.target = weight, target
        self.transforms = list(transforms) if transforms is not None else default_transforms()

    def __call__(
        self,
        model: PointVAE,
        points: Tensor,
        mask: Tensor | None = None,
        *,
        generator: Generator | None = None,
        step: int = 0,
    ) -> Terms:
        """The base's terms for x, the same as ``transformed/…`` for x~, and ``consistency``, each [B], nats."""
        batch = len(points)
        moved = Compose(self.transforms)(points, mask, generator)
        masks = None if mask is None else torch.cat([mask, mask])
        posterior = model.posterior(torch.cat([points, moved]), masks)
        original, transformed = split_pair(posterior, batch)
        targets = torch.cat([points, moved if self.target == "transformed" else points])
        both = self.base.terms(model, posterior, targets, masks, generator=generator, step=step)
        terms = {name: Term(t.value[:batch], t.weight) for name, t in both.items()}
        terms |= {f"transformed/{name}": Term(t.value[batch:], t.weight) for name, t in both.items()}
        terms["consistency"] = Term(kl_divergence(transformed, original), self.weight)
        return terms
