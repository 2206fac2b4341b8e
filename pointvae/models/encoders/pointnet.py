"""PointNet without its alignment networks: a perceptron on every point, then a maximum.

Source: Qi et al., "PointNet: Deep Learning on Point Sets", CVPR 2017.
"""

from collections.abc import Sequence

from torch import Tensor

from pointvae.models.encoders.base import ENCODERS, Encoder
from pointvae.models.layers import PointwiseMLP, max_pool, pack, unpack


@ENCODERS.register("pointnet", widths=(16, 32))
class PointNet(Encoder):
    """Per-point perceptron and a maximum over points.

    Args:
        widths: channels of the layers; the last is the number of features.
    """

    def __init__(self, widths: Sequence[int] = (64, 64, 64, 128, 1024)) -> None:
        super().__init__()
        self.mlp = PointwiseMLP((3, *widths), last_activation=False)
        self.out_features = widths[-1]

    def forward(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, F] of clouds [B, N, 3]; ``mask`` [B, N] tells which points exist."""
        rows = self.mlp(pack(points, mask))
        return max_pool(unpack(rows, points, mask), mask)
