"""PointNet without its alignment networks: a perceptron on every point, then a maximum.

Source: Qi et al., "PointNet: Deep Learning on Point Sets", CVPR 2017.
"""

from collections.abc import Sequence

from torch import Tensor

from pointvae.errors import InputError
from pointvae.models.encoders.base import ENCODERS, Encoder
from pointvae.models.layers import PointwiseMLP, pack, unpack
from pointvae.models.linear_norm_max import LinearNormMax


@ENCODERS.register("pointnet", widths=(16, 32))
class PointNet(Encoder):
    """Per-point perceptron and a maximum over points; the last layer has a norm and no activation.

    Args:
        widths: channels of the layers, at least two; the last is the number of features.
    """

    def __init__(self, widths: Sequence[int] = (64, 64, 64, 128, 1024)) -> None:
        super().__init__()
        if len(widths) < 2:
            raise InputError(f"pointnet: widths needs at least two layers, got {list(widths)}")
        self.mlp = PointwiseMLP((3, *widths[:-1]))
        self.pool = LinearNormMax(widths[-2], widths[-1])
        self.out_features = widths[-1]

    def forward(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, F] of clouds [B, N, 3]; ``mask`` [B, N] tells which points exist."""
        rows = self.mlp(pack(points, mask))
        out: Tensor = self.pool(unpack(rows, points, mask), mask)
        return out
