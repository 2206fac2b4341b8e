"""What every decoder is: a map from latents to a set of output points."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from pointvae.errors import InputError
from pointvae.models.registry import Registry


class Decoder(nn.Module, ABC):
    """Maps latents [B, D] to M rows [B, M, C]; the first three channels are the coordinates.

    Further channels belong to the likelihood (mixture weights and scales).

    Args:
        latent_dim: D.
        points: M.
        channels: C, at least 3.
    """

    def __init__(self, latent_dim: int, points: int, channels: int = 3) -> None:
        super().__init__()
        if points < 1:
            raise InputError(f"a decoder needs at least one output point, got points {points}")
        self.latent_dim, self.points, self.channels = latent_dim, points, channels

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Rows [B, M, C] of latents [B, D]."""


DECODERS: Registry[Decoder] = Registry("decoder")
