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

    def layer_features(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """What every layer says of clouds [B, N, 3], side by side [B, L], at least F; in evaluation mode.

        First the maximum over points of each layer's output at every point, from first to last; then the features
        that `forward` gives, which are all of it for an encoder that does not tell its layers apart.
        """
        out: Tensor = self(points, mask)
        return out


ENCODERS: Registry[Encoder] = Registry("encoder")
