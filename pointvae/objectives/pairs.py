"""What objectives on pairs share: a cloud and its transformed copy, their two bounds, a term that compares them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Generator, Tensor

from pointvae.errors import InputError
from pointvae.models.posteriors import HierarchicalPosterior, Posterior, select
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Bound, Objective, Term, Terms, check_number, warmth
from pointvae.objectives.elbo import ELBO
from pointvae.transforms import Compose, Transform, default_transforms

Target = Literal["transformed", "canonical"]


class PairObjective(Objective):
    """L(x) + E_t[ L(x~) ] - weight · E_t[ C(x, x~) ], x~ = t(x), to be maximised; C is the subclass's.

    One transformation is drawn for each shape and step. Both clouds go through the encoder as one batch, so that
    batch normalisation treats them alike. With weight 0 this is data augmentation: L(x) + E_t[ L(x~) ]. Where the
    model is hierarchical, both bounds are drawn with the same noise, so that their paths do not drift apart.

    Args:
        base: the bound L.
        weight: factor of the comparison.
        transforms: parts of t, applied one after another; by default every heading about the up axis, a scale
            of 0.8 to 1.25 and jitter of 0.01.
        target: what the transformed cloud's code must reconstruct.
        second_bound: whether L(x~) counts.
        warmup_steps: steps over which the weight grows linearly from 0.
    """

    compared: str  # the comparison's name among the terms

    def __init__(
        self,
        base: Bound | None,
        weight: float,
        transforms: Sequence[Transform] | None,
        target: Target,
        second_bound: bool,
        warmup_steps: int,
    ) -> None:
        owner = type(self).__name__
        for name, value in (("weight", weight), ("warmup_steps", warmup_steps)):
            check_number(owner, name, value)
        if target not in ("transformed", "canonical"):
            raise InputError(f"{owner}: target must be 'transformed' or 'canonical', got {target!r}")
        self.base = base if base is not None else ELBO()
        self.weight, self.target = weight, target
        self.second_bound, self.warmup_steps = second_bound, warmup_steps
        self.transforms = list(transforms) if transforms is not None else default_transforms()

    @abstractmethod
    def compare(self, original: Posterior, transformed: Posterior, generator: Generator | None) -> Tensor:
        """C(x, x~) [B] from the posteriors of the clouds and of their copies."""

    def __call__(
        self,
        model: PointVAE,
        points: Tensor,
        mask: Tensor | None = None,
        *,
        generator: Generator | None = None,
        step: int = 0,
    ) -> Terms:
        """The base's terms for x, the same as ``transformed/…`` for x~, and the comparison, each [B], nats."""
        batch = len(points)
        moved = Compose(self.transforms)(points, mask, generator)
        masks = None if mask is None else torch.cat([mask, mask])
        pair = torch.cat([points, moved])
        posterior = model.posterior(pair, masks)
        original, transformed = select(posterior, slice(None, batch)), select(posterior, slice(batch, None))
        if self.second_bound:
            both = self.base.terms(
                model,
                posterior,
                pair,
                masks,
                target=pair if self.target == "transformed" else torch.cat([points, points]),
                copies=2 if isinstance(posterior, HierarchicalPosterior) else 1,
                generator=generator,
                step=step,
            )
            terms = {name: Term(t.value[:batch], t.weight) for name, t in both.items()}
            terms |= {f"transformed/{name}": Term(t.value[batch:], t.weight) for name, t in both.items()}
        else:
            terms = self.base.terms(model, original, points, mask, generator=generator, step=step)
        compared = self.compare(original, transformed, generator)
        terms[self.compared] = Term(compared, self.weight * warmth(step, self.warmup_steps))
        return terms
