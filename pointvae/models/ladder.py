"""The hierarchical point-cloud variational auto-encoder: latents for the whole shape, then for places on it.

Source of the idea: Vahdat & Kautz, "NVAE: A Deep Hierarchical Variational Autoencoder", NeurIPS 2020; here for sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from pointvae.errors import InputError
from pointvae.models.encoders import ENCODERS
from pointvae.models.ladder_decoder import LadderDecoder
from pointvae.models.ladder_posterior import Ladder, LadderPosterior, LocalHead
from pointvae.models.likelihoods import LIKELIHOODS
from pointvae.models.vae import GaussianHead, PointVAE


class LadderPointVAE(PointVAE):
    """Hierarchical variational auto-encoder of point clouds: latent groups from global to local, prior N(0, I).

    The global group comes from the encoder, as in `PointVAE`, and gives anchors: places on the shape. Each anchor of
    each level has latents of its own, whose posterior is read from the cloud's points near the anchor, given the
    groups above. Each anchor of the last level decodes a patch of points about itself.

    Latents are in whitened coordinates: u with prior N(0, I), where NVAE's local latents are z_l = μ_l + σ_l u_l with
    a prior N(μ_l, σ_l²) given the groups above. Its residual-normal posterior N(μ_l + σ_l Δμ, (σ_l Δσ)²) of z_l is
    N(Δμ, Δσ²) of u_l, and KL( q(z_l) || p(z_l) ) = KL( N(Δμ, Δσ²) || N(0, I) ) exactly.

    Train it with a KL that warms up over the first half of a short training, ``ELBO(warmup_steps=…, balance=True)``:
    without, the local groups fall silent and what is left is a flat model with a better decoder. Patches start apart,
    about their anchors, so that the decoder ``folding`` trains with the likelihood ``mixture`` too.

    Args:
        encoder: short name of a registered encoder (``pointnet``, ``dgcnn``, ``foldingnet``, ``frame-averaging``).
        decoder: short name of the registered decoder of patches (``mlp``, ``folding``).
        likelihood: short name of a registered likelihood (``chamfer``, ``mixture``).
        latent_dim: size D of the whole latent; what the anchors leave, D - Σ_l A_l d_l, is global.
        points: number M of points the decoder gives.
        anchors: anchors A_l of each level, each count a multiple of the one before it.
        local_dims: latents d_l of each anchor of a level.
        neighbours: nearest points of the cloud that an anchor sees.
        width: numbers known of each anchor.
        encoder_args: arguments of the encoder's constructor.
        decoder_args: arguments of the patch decoder's constructor.
        likelihood_args: arguments of the likelihood's constructor.

    Raises:
        InputError: a size is impossible, or the anchors leave nothing for the global group.

    Example:
        >>> import torch
        >>> model = LadderPointVAE(latent_dim=32, points=64, anchors=(4,), local_dims=(2,)).eval()
        >>> model.groups, model.posterior(torch.randn(2, 100, 3)).mean.shape
        ([24, 8], torch.Size([2, 32]))
    """

    def __init__(
        self,
        encoder: str = "pointnet",
        decoder: str = "mlp",
        likelihood: str = "chamfer",
        latent_dim: int = 256,
        points: int = 1024,
        anchors: Sequence[int] = (16,),
        local_dims: Sequence[int] = (8,),
        neighbours: int = 32,
        width: int = 128,
        encoder_args: Mapping[str, Any] | None = None,
        decoder_args: Mapping[str, Any] | None = None,
        likelihood_args: Mapping[str, Any] | None = None,
    ) -> None:
        nn.Module.__init__(self)  # every part but the encoder and the likelihood differs from the flat model's
        self._groups = latent_groups(latent_dim, anchors, local_dims)
        for name, value in (("neighbours", neighbours), ("width", width)):
            if value < 2:
                raise InputError(f"LadderPointVAE: {name} must be at least 2, got {value}")
        self.config = {
            "encoder": encoder,
            "decoder": decoder,
            "likelihood": likelihood,
            "latent_dim": latent_dim,
            "points": points,
            "anchors": list(anchors),
            "local_dims": list(local_dims),
            "neighbours": neighbours,
            "width": width,
            "encoder_args": dict(encoder_args or {}),
            "decoder_args": dict(decoder_args or {}),
            "likelihood_args": dict(likelihood_args or {}),
        }
        self.latent_dim = latent_dim
        self.encoder = ENCODERS.build(encoder, encoder_args)
        self.head = GaussianHead(self.encoder.out_features, self._groups[0])
        self.local = nn.ModuleList(LocalHead(width, latents, neighbours) for latents in local_dims)
        self.likelihood = LIKELIHOODS.build(likelihood, likelihood_args)
        self.decoder: LadderDecoder = LadderDecoder(
            decoder, decoder_args, self._groups, anchors, local_dims, width, points, self.likelihood.channels
        )

    @property
    def groups(self) -> list[int]:
        """Sizes of the latent's groups in the order in which they are drawn: global, then level by level."""
        return list(self._groups)

    def posterior_of(self, features: Tensor, points: Tensor, mask: Tensor | None = None) -> LadderPosterior:
        """The posterior q(u|x) of clouds [B, N, 3] whose encoder features [B, F] are known, event shape [D]."""
        return LadderPosterior(Ladder(self.decoder, self.local), self.head(features), points, mask)


def latent_groups(latent_dim: int, anchors: Sequence[int], local_dims: Sequence[int]) -> list[int]:
    """Sizes of the groups of a latent of ``latent_dim`` dimensions: what the anchors leave, then each level's.

    Raises:
        InputError: the lists do not fit each other, a number is below 1, a count of anchors is no multiple of the one
            before it, or nothing is left for the global group.
    """
    owner = "LadderPointVAE"
    if not anchors or len(anchors) != len(local_dims):
        raise InputError(
            f"{owner}: anchors {list(anchors)} and local_dims {list(local_dims)} must have one number for each "
            "level, and at least one level; without local latents use PointVAE"
        )
    if min(*anchors, *local_dims) < 1:
        raise InputError(
            f"{owner}: anchors and local_dims must be at least 1, got {list(anchors)} and {list(local_dims)}"
        )
    if any(after % before for before, after in pairwise(anchors)):
        raise InputError(f"{owner}: each count of anchors must be a multiple of the one before it: {list(anchors)}")
    local = [count * latents for count, latents in zip(anchors, local_dims, strict=True)]
    if latent_dim - sum(local) < 1:
        raise InputError(
            f"{owner}: the anchors take {sum(local)} of latent_dim {latent_dim} and leave nothing for the global "
            "group; raise latent_dim, or lower anchors or local_dims"
        )
    return [latent_dim - sum(local), *local]
