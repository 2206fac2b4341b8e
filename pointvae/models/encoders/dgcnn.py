"""DGCNN: edge convolutions on graphs of nearest neighbours that are rebuilt in feature space.

Source: Wang et al., "Dynamic Graph CNN for Learning on Point Clouds", ACM TOG 2019.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pointvae.errors import InputError
from pointvae.geometry.chunks import gather_points
from pointvae.geometry.neighbours import knn
from pointvae.models.batch_norm import BatchNorm1d
from pointvae.models.encoders.base import ENCODERS, Encoder
from pointvae.models.layers import PointwiseMLP, max_pool, mean_pool, pack, unpack


class EdgeConv(nn.Module):
    """h_i = max_j LeakyReLU(BN(W1 x_i + W2 (x_j - x_i))), j over the k nearest of i.

    The points are projected before neighbours are gathered: N products instead of N k, the same function.
    """

    def __init__(self, channels: int, out_channels: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.centre = nn.Linear(channels, out_channels, bias=False)
        self.edge = nn.Linear(channels, out_channels, bias=False)
        self.norm = BatchNorm1d(out_channels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, N, C] give features [B, N, C']; absent points hold zeros."""
        index = knn(x, self.k, mask)
        # centring keeps float32 digits and cancels in x_j - x_i
        own, other = self.centre(x), self.edge(x - mean_pool(x, mask).unsqueeze(1))
        edges = (own - other).unsqueeze(2) + gather_points(other, index)
        kept = edges.flatten(0, 1) if mask is None else edges[mask]
        normed = self.norm(kept.flatten(0, 1)).unflatten(0, kept.shape[:2])
        rows = nn.functional.leaky_relu(normed.amax(dim=1), 0.2)  # monotone, so it commutes with the maximum
        return unpack(rows, x, mask)


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
        self.mlp = PointwiseMLP((sum(widths), features), slope=0.2)
        self.out_features = 2 * features

    def forward(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, F] of clouds [B, N, 3]; ``mask`` [B, N] tells which points exist."""
        x, outputs = points, []
        for conv in self.convs:
            x = conv(x, mask)
            outputs.append(x)
        rows = self.mlp(pack(torch.cat(outputs, dim=2), mask))
        values = unpack(rows, points, mask)
        return torch.cat([max_pool(values, mask), mean_pool(values, mask)], dim=1)
