"""The triplet loss on posterior means: what consistency regularization is compared with.

Source: a baseline of Sinha & Dieng, "Consistency Regularization for Variational Auto-Encoders", NeurIPS 2021, arXiv
2105.14859; the loss is that of Schroff et al., "FaceNet", CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from pointvae.global_batch import all_rows, own_rows
from pointvae.models.posteriors import Posterior
from pointvae.objectives.base import Bound, check_number
from pointvae.objectives.pairs import PairObjective, Target
from pointvae.transforms import Transform


def others(batch: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
    """For each of ``batch`` shapes, at least 2, the index of another one [B]; all are as likely, each taken once."""
    order = torch.randperm(batch, generator=generator, device=device)
    return torch.empty_like(order).index_copy_(0, order, order.roll(1))  # one random cycle through the batch


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """max(0, |a - p|² - |a - n|² + margin) [B] of codes [B, D]; squared latent lengths, not nats."""
    near, far = (anchor - positive).square().sum(dim=1), (anchor - negative).square().sum(dim=1)
    return (near - far + margin).clamp_min(0.0)


class Triplet(PairObjective):
    """L(x) + E_t[ L(x~) ] - weight · E[ max(0, |m - m⁺|² - |m - m⁻|² + margin) ], x~ = t(x), to be maximised.

    m and m⁺ are the posterior means of a cloud and of its transformed copy, m⁻ that of another cloud of the batch,
    drawn at random; of a hierarchical posterior it is the path of means. All three get the gradient; deviations get
    none. Both bounds count, so that this differs from ``Consistency`` in the comparison alone. The paper's distance,
    margin and choice of negatives were not found: the squared Euclidean distance, the margin of 1 and the random
    negative are ours. A batch of one has no negative: its loss is 0. Where processes share a batch, the other cloud
    may be any process's.

    Args:
        base: the bound L.
        weight: factor of the triplet loss, nats per squared latent length.
        margin: by how much the other cloud must be farther than the copy, squared latent length.
        transforms: parts of t, applied one after another; by default every heading about the up axis, a scale
            of 0.8 to 1.25 and jitter of 0.01.
        target: what the transformed cloud's code must reconstruct: ``transformed``, itself; or ``canonical``, the
            original.
        second_bound: whether E_t[ L(x~) ] counts.
        warmup_steps: steps over which the weight grows linearly from 0.
    """

    compared = "triplet"

    def __init__(
        self,
        base: Bound | None = None,
        weight: float = 1.0,
        margin: float = 1.0,
        transforms: Sequence[Transform] | None = None,
        target: Target = "transformed",
        second_bound: bool = True,
        warmup_steps: int = 0,
    ) -> None:
        super().__init__(base, weight, transforms, target, second_bound, warmup_steps)
        self.margin = check_number("Triplet", "margin", margin)

    def compare(self, original: Posterior, transformed: Posterior, generator: Generator | None) -> Tensor:
        """The triplet loss [B] against the global batch; zeros for a batch of one, which draws nothing."""
        anchor, positive = original.mean, transformed.mean
        everyone = all_rows(anchor)
        if len(everyone) < 2:
            return anchor.new_zeros(len(anchor))
        negative = everyone[own_rows(others(len(everyone), generator, anchor.device))]
        return triplet_loss(anchor, positive, negative, self.margin)
