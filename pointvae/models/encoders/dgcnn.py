"""DGCNN: edge convolutions on graphs of nearest neighbours that are rebuilt in feature space.

Source: Wang et al., "Dynamic Graph CNN for Learning on Point Clouds", ACM TOG 2019.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pointvae.errors import InputError
from pointvae.models.batch_norm import BatchNorm1d
from pointvae.models.edge_conv import SLOPE, EdgeConv
from pointvae.models.encoders.base import ENCODERS, Encoder
from pointvae.models.layers import PointwiseMLP, max_pool
from pointvae.models.linear_norm_pool import linear_norm_pool


@ENCODERS.register("dgcnn", widths=(8, 8), features=16, k=4)
class DGCNN(Encoder):
    """Edge convolutions, their outputs side by side, a linear layer, maximum and mean over points.

    Args:
        widths: channels of the edge convolutions.
        features: channels of the linear layer; the encoder gives twice as many (maximum, then mean).
        k: neighbours of a point, itself included.
    """

    def __init__(self, widths: Sequence[int] = (64, 64, 128, 256), features: int = 1024, k: int = 20) -> None:
        super().__init__()
        if k < 1:
            raise InputError(f"dgcnn: k must be at least 1, got {k}")
        sizes = (3, *widths)
        self.convs = nn.ModuleList(EdgeConv(sizes[i], sizes[i + 1], k) for i in range(len(widths)))
        self.mlp = PointwiseMLP((sum(widths), features), slope=SLOPE)
        self.out_features = 2 * features

    def forward(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, F] of clouds [B, N, 3]; ``mask`` [B, N] tells which points exist."""
        return self._last(self._edges(points, mask), mask)

    def layer_features(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """The maximum over points of every layer's output [B, L], and the features; see `Encoder.layer_features`."""
        outputs = self._edges(points, mask)
        return torch.cat([*(max_pool(x, mask) for x in outputs), self._last(outputs, mask)], dim=1)

    def _edges(self, points: Tensor, mask: Tensor | None) -> list[Tensor]:
        """The outputs [B, N, C] of the edge convolutions."""
        x, outputs = points, []
        for conv in self.convs:
            x = conv(x, mask)
            outputs.append(x)
        return outputs

    def _last(self, outputs: list[Tensor], mask: Tensor | None) -> Tensor:
        """The linear layer and both pools [B, F]."""
        linear, norm, _ = self.mlp.layers
        assert isinstance(linear, nn.Linear) and isinstance(norm, BatchNorm1d)
        return linear_norm_pool(torch.cat(outputs, dim=2), linear, norm, SLOPE, mask)
