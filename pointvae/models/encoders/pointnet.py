"""PointNet without its alignment networks: a perceptron on every point, then a maximum.

Source: Qi et al., "PointNet: Deep Learning on Point Sets", CVPR 2017.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from pointvae.errors import InputError
from pointvae.models.edge_conv import SLOPE
from pointvae.models.encoders.base import ENCODERS, Encoder
from pointvae.models.layers import PointwiseMLP, max_pool, pack, unpack
from pointvae.models.linear_norm_max import LinearNormMax
from pointvae.models.linear_norm_pool import linear_norm_pool

Pool = Literal["max", "max+mean"]


@ENCODERS.register("pointnet", widths=(16, 32))
class PointNet(Encoder):
    """Per-point perceptron and a maximum over points; the last layer has a norm and no activation.

    With ``max+mean`` the last layer's activation is a leaky ReLU, as DGCNN has it: without one its mean would be a
    linear map of the mean of the layer before, and say nothing that those few numbers do not.

    Args:
        widths: channels of the layers, at least two; the last is the number of features, or half of it.
        pool: what is taken over points: ``max``, or ``max+mean``: the maximum, then the mean, twice as many features.
    """

    def __init__(self, widths: Sequence[int] = (64, 64, 64, 128, 1024), pool: Pool = "max") -> None:
        super().__init__()
        if len(widths) < 2:
            raise InputError(f"pointnet: widths needs at least two layers, got {list(widths)}")
        if pool not in get_args(Pool):
            raise InputError(f"pointnet: pool must be one of {', '.join(get_args(Pool))}, got {pool!r}")
        self.with_mean = pool == "max+mean"
        self.mlp = PointwiseMLP((3, *widths[:-1]))
        self.pool = LinearNormMax(widths[-2], widths[-1])
        self.out_features = 2 * widths[-1] if self.with_mean else widths[-1]

    def forward(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, F] of clouds [B, N, 3]; ``mask`` [B, N] tells which points exist."""
        x = unpack(self.mlp(pack(points, mask)), points, mask)
        if self.with_mean:
            return linear_norm_pool(x, self.pool.linear, self.pool.norm, SLOPE, mask)
        out: Tensor = self.pool(x, mask)
        return out

    def layer_features(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """The maximum over points of every layer's output [B, L], and the features; see `Encoder.layer_features`."""
        made = self.mlp.each_layer(pack(points, mask))
        pooled = [max_pool(unpack(rows, points, mask), mask) for rows in made]
        return torch.cat([*pooled, self(points, mask)], dim=1)
