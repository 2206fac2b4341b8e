"""The usual public forms of what the package does, written plainly: what `benchmarks/speed.py` measures against.

Each computes the same function as ours from the same weights (tests/test_speed.py holds them to it), in the way that
published code of this field does: Conv1d and Conv2d over all points and edges, tables of all distances, autograd.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class PlainPointNet(nn.Module):
    """PointNet as Conv1d, BatchNorm1d and ReLU, then a maximum over points."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for layer in ours.mlp.layers:
            if isinstance(layer, nn.Linear):
                layers.append(nn.Conv1d(layer.in_features, layer.out_features, 1, bias=False))
                layers[-1].weight.data.copy_(layer.weight.data.unsqueeze(2))
            elif isinstance(layer, nn.BatchNorm1d):
                layers.append(_norm(nn.BatchNorm1d, layer))
            else:
                layers.append(nn.ReLU())
        last = ours.pool.linear
        layers.append(nn.Conv1d(last.in_features, last.out_features, 1, bias=False))
        layers[-1].weight.data.copy_(last.weight.data.unsqueeze(2))
        layers.append(_norm(nn.BatchNorm1d, ours.pool.norm))
        self.layers = nn.Sequential(*layers)
        self.out_features = ours.out_features

    def forward(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, F] of clouds [B, N, 3]."""
        out: Tensor = self.layers(points.transpose(1, 2)).amax(dim=2)
        return out


def plain_knn(x: Tensor, k: int) -> Tensor:
    """Indices [B, N, k] by a matrix of all distances and topk; x [B, N, C]."""
    square = x.square().sum(dim=2, keepdim=True)
    distances = square - 2.0 * x @ x.transpose(1, 2) + square.transpose(1, 2)
    return distances.topk(k, dim=2, largest=False).indices


def plain_farthest(x: Tensor, count: int) -> Tensor:
    """Farthest points [B, count] from the first point on, as PointNet++'s Python ports choose them; x [B, N, 3]."""
    clouds = torch.arange(len(x))
    gap = torch.full(x.shape[:2], torch.inf, dtype=x.dtype)
    latest, chosen = torch.zeros(len(x), dtype=torch.int64), torch.empty(len(x), count, dtype=torch.int64)
    for step in range(count):
        chosen[:, step] = latest
        squares = (x - x[clouds, latest].unsqueeze(1)).square().sum(dim=2)
        gap = torch.where(squares < gap, squares, gap)
        latest = gap.max(dim=1).indices
    return chosen


class PlainDGCNN(nn.Module):
    """DGCNN as its authors' code has it: features [x_j - x_i, x_i] of every edge, Conv2d, BatchNorm2d, maximum."""

    def __init__(self, ours: Any, neighbours: Any = plain_knn) -> None:
        super().__init__()
        self.k, self.neighbours = ours.convs[0].k, neighbours
        self.convs = nn.ModuleList()
        for conv in ours.convs:
            out_channels, channels = conv.edge.weight.shape
            plain = nn.Conv2d(2 * channels, out_channels, 1, bias=False)
            both = torch.cat([conv.edge.weight.data, conv.centre.weight.data], dim=1)
            plain.weight.data.copy_(both[:, :, None, None])
            self.convs.append(nn.Sequential(plain, _norm(nn.BatchNorm2d, conv.norm), nn.LeakyReLU(0.2)))
        self.tail = _tail(ours)
        self.out_features = ours.out_features

    def forward(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, F] of clouds [B, N, 3]."""
        x, outputs = points, []
        for conv in self.convs:
            index = self.neighbours(x.detach(), self.k)
            flat = index.flatten(1).unsqueeze(2).expand(-1, -1, x.shape[2])
            others = x.gather(1, flat).view(*index.shape, x.shape[2])
            own = x.unsqueeze(2).expand_as(others)
            edges = torch.cat([others - own, own], dim=3).permute(0, 3, 1, 2)
            x = conv(edges).amax(dim=3).transpose(1, 2)
            outputs.append(x)
        return _pooled(self.tail(torch.cat(outputs, dim=2).transpose(1, 2)))


class PyGDGCNN(nn.Module):
    """The same of torch_geometric's EdgeConv, on neighbours found by torch."""

    def __init__(self, ours: Any, neighbours: Any = plain_knn) -> None:
        super().__init__()
        from torch_geometric.nn import EdgeConv

        self.k, self.neighbours = ours.convs[0].k, neighbours
        self.convs = nn.ModuleList()
        for conv in ours.convs:
            out_channels, channels = conv.edge.weight.shape
            linear = nn.Linear(2 * channels, out_channels, bias=False)
            inner = nn.Sequential(linear, _norm(nn.BatchNorm1d, conv.norm), nn.LeakyReLU(0.2))
            self.convs.append(EdgeConv(inner, aggr="max"))  # which draws new weights for what it is given
            linear.weight.data.copy_(torch.cat([conv.centre.weight.data, conv.edge.weight.data], dim=1))
            inner[1].load_state_dict(conv.norm.state_dict())
        self.tail = _tail(ours)
        self.out_features = ours.out_features

    def forward(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, F] of clouds [B, N, 3]."""
        batch, n, _ = points.shape
        x, outputs = points, []
        for conv in self.convs:
            index = self.neighbours(x.detach(), self.k)
            sources = (index + n * torch.arange(batch).view(-1, 1, 1)).flatten()
            targets = torch.arange(batch * n).repeat_interleave(self.k)
            x = conv(x.flatten(0, 1), torch.stack([sources, targets])).view(batch, n, -1)
            outputs.append(x)
        return _pooled(self.tail(torch.cat(outputs, dim=2).transpose(1, 2)))


def _norm(kind: Any, ours: nn.BatchNorm1d) -> Any:
    made = kind(ours.num_features)
    made.load_state_dict(ours.state_dict())
    return made


def _tail(ours: Any) -> nn.Sequential:
    state = {name.removeprefix("mlp.layers."): v for name, v in ours.state_dict().items() if name.startswith("mlp.")}
    features, channels = state["0.weight"].shape
    conv, norm = nn.Conv1d(channels, features, 1, bias=False), nn.BatchNorm1d(features)
    conv.weight.data.copy_(state["0.weight"].unsqueeze(2))
    norm.load_state_dict({name.removeprefix("1."): v for name, v in state.items() if name.startswith("1.")})
    return nn.Sequential(conv, norm, nn.LeakyReLU(0.2))


def _pooled(values: Tensor) -> Tensor:
    return torch.cat([values.amax(dim=2), values.mean(dim=2)], dim=1)


def plain_chamfer(x: Tensor, y: Tensor, x_mask: Tensor | None = None, y_mask: Tensor | None = None) -> Tensor:
    """``cd_l2_mean`` [B] by torch.cdist, with gradients through the table of all distances."""
    squared = torch.cdist(x, y).square()
    return squared.amin(dim=2).mean(dim=1) + squared.amin(dim=1).mean(dim=1)


def plain_mixture(x: Tensor, y: Tensor, precision: Tensor, constant: Tensor) -> Tensor:
    """Log of Σ_j exp(a_j - p_j/2 |x_i - y_j|²) [B, N] by a table of all squared distances and logsumexp."""
    squared = (x.unsqueeze(2) - y.unsqueeze(1)).square().sum(dim=3)
    return torch.logsumexp(constant.unsqueeze(1) - 0.5 * precision.unsqueeze(1) * squared, dim=2)


class PlainChamferLikelihood(nn.Module):
    """-N CD / (2 σ²) by `plain_chamfer`."""

    channels, is_normalised = 3, False

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.scale = 0.5 * math.exp(-2.0 * float(ours.log_sigma))

    def log_prob(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Log pseudo-likelihood [B]."""
        return -self.scale * target.shape[1] * plain_chamfer(output[..., :3], target)


def plain_model(ours: Any) -> Any:
    """A copy of a model with a plain encoder and a plain likelihood."""
    import copy

    model = copy.deepcopy(ours)
    kinds = {"pointnet": PlainPointNet, "dgcnn": PlainDGCNN}
    model.encoder = kinds[ours.config["encoder"]](ours.encoder)
    model.likelihood = PlainChamferLikelihood(ours.likelihood)
    return model.to(ours.head.linear.weight.dtype).train(ours.training)
