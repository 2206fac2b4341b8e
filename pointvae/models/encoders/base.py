"""What every encoder is: a map from clouds to features that ignores the order of points."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from pointvae.models.registry import Registry


class Encoder(nn.Module, ABC):
    """Maps clouds [B, N, 3] to features [B, ``out_features``]."""

    out_features: int

    @abstractmethod
    def forward(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, F] of clouds [B, N, 3]; ``mask`` [B, N] tells which points exist."""


ENCODERS: Registry[Encoder] = Registry("encoder")
