"""Consistency regularization: the posteriors of a cloud and of its transformed copy are pulled together.

Source: Sinha & Dieng, "Consistency Regularization for Variational Auto-Encoders", NeurIPS 2021, arXiv 2105.14859.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Generator, Tensor
from torch.distributions import Normal, kl_divergence

from pointvae.errors import InputError
from pointvae.models.posteriors import HierarchicalPosterior, Path, Posterior, along, draw_noise, follow, frozen
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Bound
from pointvae.objectives.pairs import PairObjective, Target
from pointvae.transforms import Transform


def gaussian_kl(first: Path, second: Path) -> Tensor:
    """KL( N(m_1, s_1²) || N(m_2, s_2²) ) of every dimension [B, D], nats, given the same groups before it.

    KL_d = log(s_2/s_1) + (s_1² + (m_1 - m_2)²) / (2 s_2²) - 1/2
    """
    a, b = (Normal(p.mean, p.stddev, validate_args=False) for p in (first, second))
    return kl_divergence(a, b)


def kl_between(first: Posterior, second: Posterior, noise: Tensor | None = None) -> Tensor:
    """KL( q_1(z) || q_2(z) ) of every dimension [B, D], nats, along a path of the first.

    Summed over dimensions it is exact for flat posteriors, whatever the path. For hierarchical ones it is
    Σ_l KL( q_1(z_l|z_<l) || q_2(z_l|z_<l) ), whose mean over paths is the KL: both are evaluated at the same z_<l.

    Args:
        first: q_1.
        second: q_2.
        noise: what the path is drawn with [B, D]; the path of means when absent.
    """
    path = along(first, first.mean) if noise is None else follow(first, noise)
    return gaussian_kl(path, along(second, path.z))


def consistency_gap(
    model: PointVAE,
    points: Tensor,
    transform: Transform,
    mask: Tensor | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """KL( q(z|t(x)) || q(z|x) ) of clouds [B, N, 3], one draw of t each; nats [B]."""
    moved = model.posterior(transform(points, mask, generator), mask)
    return kl_between(moved, model.posterior(points, mask)).sum(dim=1)


class Consistency(PairObjective):
    """CR: L(x) + E_t[ L(x~) ] - weight E_t[ KL( q(z|x~) || q(z|x) ) ], x~ = t(x), to be maximised.

    One transformation is drawn for each shape and step; the first argument of the KL is the posterior of the
    transformed cloud; both posteriors get its gradient. Both clouds go through the encoder as one batch, so that
    batch normalisation treats them alike. With weight 0 this is data augmentation: L(x) + E_t[ L(x~) ]. For a
    hierarchical model the KL is taken group by group along the transformed cloud's path, and both bounds are drawn
    with the same noise.

    Args:
        base: the bound L.
        weight: lambda, nats per nat.
        transforms: parts of t, applied one after another; by default every heading about the up axis, a scale
            of 0.8 to 1.25 and jitter of 0.01.
        target: what the transformed cloud's code must reconstruct: ``transformed``, itself, as the paper has
            it; or ``canonical``, the original, so that nothing asks the code to remember the pose.
        block: how many leading latent dimensions are held to agree, the content; the rest are free to carry the
            pose. All when absent.
        second_bound: whether E_t[ L(x~) ] counts; without it the transformed cloud is only pulled.
        stop_gradient: keep the original's posterior out of the KL's gradient.
        symmetric: the mean of the KL's two directions instead of the paper's one.
        warmup_steps: steps over which the weight grows linearly from 0.
    """

    compared = "consistency"

    def __init__(
        self,
        base: Bound | None = None,
        weight: float = 1.0,
        transforms: Sequence[Transform] | None = None,
        target: Target = "transformed",
        block: int | None = None,
        second_bound: bool = True,
        stop_gradient: bool = False,
        symmetric: bool = False,
        warmup_steps: int = 0,
    ) -> None:
        super().__init__(base, weight, transforms, target, second_bound, warmup_steps)
        if block is not None and block < 1:
            raise InputError(f"Consistency: block must be at least 1 latent dimension, got {block}")
        self.block, self.stop_gradient, self.symmetric = block, stop_gradient, symmetric

    def compare(self, original: Posterior, transformed: Posterior, generator: Generator | None) -> Tensor:
        """KL( q(z|x~) || q(z|x) ) over the content block [B], nats."""
        size = original.event_shape[0]
        if self.block is not None and self.block > size:
            raise InputError(f"Consistency: block {self.block} is more than the {size} latent dimensions")
        if self.stop_gradient:
            original = frozen(original)
        kl = kl_between(transformed, original, self._noise(transformed, generator))
        if self.symmetric:
            kl = 0.5 * (kl + kl_between(original, transformed, self._noise(original, generator)))
        return kl[:, : self.block].sum(dim=1)

    @staticmethod
    def _noise(posterior: Posterior, generator: Generator | None) -> Tensor | None:
        """A hierarchical path must be drawn; a flat one does not matter, and takes nothing from the generator."""
        return draw_noise(posterior, generator) if isinstance(posterior, HierarchicalPosterior) else None
