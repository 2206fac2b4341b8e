"""FoldingNet's decoder: a flat grid folded twice into the shape.

Source: Yang et al., "FoldingNet: Point Cloud Auto-encoder via Deep Grid Deformation", CVPR 2018.
"""

import torch
from torch import Tensor, nn

from pointvae.models.decoders.base import DECODERS, Decoder
from pointvae.models.precision import autocast_off


def square_grid(points: int, half_width: float = 0.3) -> Tensor:
    """Spread ``points`` rows over the square [-half_width, half_width]² [M, 2].

    A square number gives the paper's regular grid (45 x 45 for 2,025); any other gives rows of nearly equal
    length, so that every count of points is possible.
    """
    rows = max(1, round(points**0.5))
    base, longer = divmod(points, rows)
    lines = []
    heights = torch.linspace(-half_width, half_width, rows) if rows > 1 else torch.zeros(1)
    for i, height in enumerate(heights):
        count = base + (i < longer)
        widths = torch.linspace(-half_width, half_width, count) if count > 1 else torch.zeros(count)
        lines.append(torch.stack([widths, height.expand(count)], dim=1))
    return torch.cat(lines)


class Fold(nn.Module):
    """One fold: a perceptron on (latent, point), with the latent's share computed once for each shape."""

    def __init__(self, latent_dim: int, in_channels: int, width: int, out_channels: int) -> None:
        super().__init__()
        self.latent = nn.Linear(latent_dim, width)
        self.point = nn.Linear(in_channels, width, bias=False)
        self.rest = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, out_channels),
        )

    def forward(self, z: Tensor, points: Tensor) -> Tensor:
        """Latents [B, D] and points [M, C] or [B, M, C] give [B, M, C']."""
        *hidden, last = self.rest
        assert isinstance(last, nn.Linear)
        x: Tensor = self.latent(z).unsqueeze(1) + self.point(points)
        for layer in hidden:
            x = layer(x)
        with autocast_off(x.device):  # coordinates need more than the 8 binary digits of bf16
            out: Tensor = last(x.to(last.weight.dtype))
        return out


@DECODERS.register("folding", width=16)
class FoldingDecoder(Decoder):
    """Two folds of a fixed grid.

    Args:
        latent_dim: size of the latent.
        points: number of output points; a square number gives the paper's regular grid.
        channels: numbers a point.
        width: hidden size of each fold.
    """

    grid: Tensor

    def __init__(self, latent_dim: int, points: int, channels: int = 3, width: int = 512) -> None:
        super().__init__(latent_dim, points, channels)
        self.register_buffer("grid", square_grid(points), persistent=False)
        self.first = Fold(latent_dim, 2, width, 3)
        self.second = Fold(latent_dim, 3, width, channels)

    def forward(self, z: Tensor) -> Tensor:
        """Rows [B, M, C] of latents [B, D]."""
        out: Tensor = self.second(z, self.first(z, self.grid))
        return out
