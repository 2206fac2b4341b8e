"""The point-cloud variational auto-encoder: an encoder, a Gaussian posterior head, a decoder, a likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Independent, Normal

from pointvae.errors import InputError
from pointvae.geometry.finite import check_rows, present
from pointvae.models.batch_norm import BatchNorm1d
from pointvae.models.decoders import DECODERS
from pointvae.models.encoders import ENCODERS
from pointvae.models.likelihoods import LIKELIHOODS
from pointvae.models.posteriors import Posterior
from pointvae.models.precision import autocast_off

LOG_STD_LIMIT = 6.0  # keeps every variance and KL finite in float32


def bounded_exp(log_std: Tensor) -> Tensor:
    """Deviations of log deviations that are bounded smoothly.

    A hard clamp has no gradient, and dimensions that reach it stay there for ever.
    """
    return torch.exp(LOG_STD_LIMIT * torch.tanh(log_std / LOG_STD_LIMIT))


class GaussianHead(nn.Module):
    """Features to a diagonal Gaussian: centred and scaled by batch norm, then one linear layer.

    The norm has no weights. Without it the large common part of pooled features lets one step of Adam move every
    mean and scale at once: the KL jumps at the start and never quite recovers. Under autocast all of it stays in
    single precision: a log deviation of 8 binary digits makes a KL of none.

    Args:
        features: F.
        latent_dim: D.
    """

    def __init__(self, features: int, latent_dim: int) -> None:
        super().__init__()
        self.norm = BatchNorm1d(features, affine=False)
        self.linear = nn.Linear(features, 2 * latent_dim)

    def forward(self, features: Tensor) -> Independent[Normal]:
        """The posterior [B], [D] for features [B, F]."""
        with autocast_off(features.device):
            features = features.to(self.linear.weight.dtype)
            mean, log_std = self.linear(self.norm(features)).chunk(2, dim=1)
            return Independent(Normal(mean, bounded_exp(log_std), validate_args=False), 1)


class PointVAE(nn.Module):
    """Variational auto-encoder of point clouds with prior N(0, I).

    Args:
        encoder: short name of a registered encoder (``pointnet``, ``dgcnn``, ``foldingnet``, ``frame-averaging``).
        decoder: short name of a registered decoder (``mlp``, ``folding``).
        likelihood: short name of a registered likelihood (``chamfer``, ``mixture``).
        latent_dim: size D of the latent.
        points: number M of points the decoder gives.
        encoder_args: arguments of the encoder's constructor.
        decoder_args: arguments of the decoder's constructor.
        likelihood_args: arguments of the likelihood's constructor.

    Example:
        >>> import torch
        >>> model = PointVAE(latent_dim=32, points=64).eval()
        >>> clouds = torch.randn(2, 100, 3)
        >>> model.posterior(clouds).mean.shape, model.reconstruct(clouds).shape
        (torch.Size([2, 32]), torch.Size([2, 64, 3]))
    """

    def __init__(
        self,
        encoder: str = "pointnet",
        decoder: str = "mlp",
        likelihood: str = "chamfer",
        latent_dim: int = 256,
        points: int = 1024,
        encoder_args: Mapping[str, Any] | None = None,
        decoder_args: Mapping[str, Any] | None = None,
        likelihood_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if latent_dim < 1:
            raise InputError(f"latent_dim must be at least 1, got {latent_dim}")
        self.config: dict[str, Any] = {
            "encoder": encoder,
            "decoder": decoder,
            "likelihood": likelihood,
            "latent_dim": latent_dim,
            "points": points,
            "encoder_args": dict(encoder_args or {}),
            "decoder_args": dict(decoder_args or {}),
            "likelihood_args": dict(likelihood_args or {}),
        }
        self.latent_dim = latent_dim
        self.encoder = ENCODERS.build(encoder, encoder_args)
        self.head = GaussianHead(self.encoder.out_features, latent_dim)
        self.likelihood = LIKELIHOODS.build(likelihood, likelihood_args)
        self.decoder = DECODERS.build(
            decoder, decoder_args, latent_dim=latent_dim, points=points, channels=self.likelihood.channels
        )

    @property
    def groups(self) -> list[int]:
        """Sizes of the latent's groups, in the order in which they are drawn; one group here."""
        return [self.latent_dim]

    def features(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encoder features [B, F] of clouds [B, N, 3], before the posterior head."""
        check_clouds(points, mask)
        out: Tensor = self.encoder(present(points, mask), mask)
        return out

    def layer_features(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """What every layer of the encoder says of clouds [B, N, 3], side by side [B, L], its features last."""
        check_clouds(points, mask)
        return self.encoder.layer_features(present(points, mask), mask)

    def posterior(self, points: Tensor, mask: Tensor | None = None) -> Posterior:
        """Posterior q(z|x) = N(m, diag s²) of clouds [B, N, 3], with event shape [D]."""
        return self.posterior_of(self.features(points, mask), points, mask)

    def posterior_of(self, features: Tensor, points: Tensor, mask: Tensor | None = None) -> Posterior:
        """The posterior of clouds [B, N, 3] whose encoder features [B, F] are known."""
        posterior: Posterior = self.head(features)
        return posterior

    def decode(self, z: Tensor) -> Tensor:
        """Points [B, M, 3] of latents [B, D].

        Raises:
            InputError: the shape is another; or, on the CPU, a latent holds NaN, infinity or more than `LIMIT`.
        """
        if z.dim() != 2 or z.shape[1] != self.latent_dim:
            raise InputError(f"latents must be [B, {self.latent_dim}], got {list(z.shape)}")
        check_rows(z, "latent")
        out: Tensor = self.decoder(z)[..., :3]
        return out

    def reconstruct(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Decoded posterior means [B, M, 3] of clouds [B, N, 3]."""
        return self.decode(self.posterior(points, mask).mean)

    def sample(self, n: int, generator: Generator | None = None) -> Tensor:
        """Decoded draws from the prior [n, M, 3]."""
        weight = self.head.linear.weight
        return self.decode(
            torch.randn(n, self.latent_dim, device=weight.device, dtype=weight.dtype, generator=generator)
        )

    def interpolate(self, a: Tensor, b: Tensor, steps: int = 8) -> Tensor:
        """Decoded points [steps, M, 3] on the line between the posterior means of two clouds [N, 3]."""
        if steps < 2:
            raise InputError(f"an interpolation needs at least 2 steps, got {steps}")
        ends = [self.posterior(cloud.unsqueeze(0)).mean for cloud in (a, b)]
        share = torch.linspace(0.0, 1.0, steps, device=a.device, dtype=a.dtype).unsqueeze(1)
        return self.decode(torch.lerp(ends[0], ends[1], share))


def check_clouds(points: Tensor, mask: Tensor | None) -> None:
    """Refuse what is not a batch of clouds.

    Raises:
        InputError: the shape is not [B, N, 3] with N at least 1, or the mask's is not [B, N]; or, on the CPU and
            outside of `fit`, a cloud has no point or holds NaN, infinity or coordinates beyond `LIMIT`.
    """
    if points.dim() != 3 or points.shape[2] != 3 or points.shape[1] == 0:
        raise InputError(f"clouds must be [B, N, 3] with at least one point, got {list(points.shape)}")
    if mask is not None and (mask.shape != points.shape[:2] or mask.dtype != torch.bool):
        raise InputError(
            f"a mask must be boolean [B, N] = {list(points.shape[:2])}, got {mask.dtype} {list(mask.shape)}"
        )
    check_rows(points, "cloud", mask=mask)
