"""A plain perceptron from the latent to all coordinates at once.

Source: Achlioptas et al., "Learning Representations and Generative Models for 3D Point Clouds", ICML 2018.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pointvae.models.decoders.base import DECODERS, Decoder
from pointvae.models.precision import autocast_off


@DECODERS.register("mlp", widths=(16,))
class MLPDecoder(Decoder):
    """Linear layers and ReLUs.

    Args:
        latent_dim: size of the latent.
        points: number of output points.
        channels: numbers a point.
        widths: hidden layers.
    """

    def __init__(self, latent_dim: int, points: int, channels: int = 3, widths: Sequence[int] = (512, 1024)) -> None:
        super().__init__(latent_dim, points, channels)
        sizes = (latent_dim, *widths)
        layers: list[nn.Module] = []
        for i in range(len(widths)):
            layers += [nn.Linear(sizes[i], sizes[i + 1]), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], points * channels))

    def forward(self, z: Tensor) -> Tensor:
        """Rows [B, M, C] of latents [B, D]."""
        *hidden, last = self.layers
        assert isinstance(last, nn.Linear)
        for layer in hidden:
            z = layer(z)
        with autocast_off(z.device):  # coordinates need more than the 8 binary digits of bf16
            out: Tensor = last(z.to(last.weight.dtype))
        rows: Tensor = torch.unflatten(out, 1, (self.points, self.channels))
        return rows
