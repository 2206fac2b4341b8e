"""The encoder of FoldingNet: local covariances, then maxima over neighbourhoods.

Source: Yang et al., "FoldingNet: Point Cloud Auto-encoder via Deep Grid Deformation", CVPR 2018.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pointvae.errors import InputError
from pointvae.geometry.chunks import gather_points
from pointvae.geometry.neighbours import knn
from pointvae.models.encoders.base import ENCODERS, Encoder
from pointvae.models.layers import PointwiseMLP, max_pool, pack, unpack


def local_covariance(points: Tensor, index: Tensor) -> Tensor:
    """Covariance of each point's neighbours: clouds [B, N, 3], indices [B, N, k] give [B, N, 9]."""
    local = gather_points(points, index)
    centred = local - local.mean(dim=2, keepdim=True)
    return (centred.transpose(2, 3) @ centred / index.shape[2]).flatten(2)


@ENCODERS.register("foldingnet", widths=(8, 8), graph_widths=(8, 16), out_features=12, k=4)
class FoldingNet(Encoder):
    """Coordinates and local covariances through a perceptron and two graph max-pool layers.

    Args:
        widths: channels of the per-point perceptron.
        graph_widths: channels of the layers that follow a maximum over the k nearest points.
        out_features: features, after two linear layers.
        k: neighbours of a point, itself included.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 64, 64),
        graph_widths: Sequence[int] = (128, 1024),
        out_features: int = 512,
        k: int = 16,
    ) -> None:
        super().__init__()
        if k < 1:
            raise InputError(f"foldingnet: k must be at least 1, got {k}")
        self.k, self.out_features = k, out_features
        self.mlp = PointwiseMLP((12, *widths))
        sizes = (widths[-1], *graph_widths)
        last = len(graph_widths) - 1
        self.graph = nn.ModuleList(
            PointwiseMLP(sizes[i : i + 2], last_activation=i < last) for i in range(len(graph_widths))
        )
        self.out = nn.Sequential(
            nn.Linear(sizes[-1], out_features), nn.ReLU(inplace=True), nn.Linear(out_features, out_features)
        )

    def forward(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, F] of clouds [B, N, 3]; ``mask`` [B, N] tells which points exist."""
        index = knn(points, self.k, mask)
        x = torch.cat([points, local_covariance(points, index)], dim=2)
        x = unpack(self.mlp(pack(x, mask)), points, mask)
        for layer in self.graph:
            pooled = gather_points(x, index).amax(dim=2)
            x = unpack(layer(pack(pooled, mask)), points, mask)
        out: Tensor = self.out(max_pool(x, mask))
        return out

    def layer_features(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """The maximum over points of every layer's output [B, L], and the features; see `Encoder.layer_features`.

        Between them stands the output of the first of the two linear layers.
        """
        index = knn(points, self.k, mask)
        x, pooled = torch.cat([points, local_covariance(points, index)], dim=2), []
        for rows in self.mlp.each_layer(pack(x, mask)):
            x = unpack(rows, points, mask)
            pooled.append(max_pool(x, mask))
        for layer in self.graph:
            near = gather_points(x, index).amax(dim=2)
            x = unpack(layer(pack(near, mask)), points, mask)
            pooled.append(max_pool(x, mask))
        hidden = self.out[:2](pooled[-1])
        return torch.cat([*pooled, hidden, self.out[2](hidden)], dim=1)
