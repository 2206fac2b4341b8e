"""The networks in evaluation mode, of plain operators alone, which other programs have too.

Training's layers are made for speed and memory: they are autograd functions of their own, work chunk by chunk, and
ask numpy for neighbours. Here the same values are written out in one go; batch norms go into the weights. Tests hold
both against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, linear, pad

from pointvae.errors import InputError
from pointvae.exporting.frames import axes_of
from pointvae.models.edge_conv import SLOPE, EdgeConv
from pointvae.models.encoders import DGCNN, Encoder, FoldingNet, FrameAveraging, PointNet
from pointvae.models.encoders.frame_averaging import four_views
from pointvae.models.ladder import LadderPointVAE
from pointvae.models.ladder_decoder import Level
from pointvae.models.ladder_posterior import LocalHead
from pointvae.models.layers import PointwiseMLP, max_pool, mean_pool
from pointvae.models.likelihoods import Mixture
from pointvae.models.linear_norm import normalised
from pointvae.models.vae import PointVAE, bounded_exp


class PlainEncoder(nn.Module):
    """Clouds [B, N, 3] and, if they are told, which points exist [B, N], to what `embed` gives.

    Args:
        model: the model, in evaluation mode.

    Raises:
        InputError: nothing is known of the encoder's plain form.
    """

    def __init__(self, model: PointVAE) -> None:
        super().__init__()
        if type(model.encoder) not in PLAIN:
            raise InputError(f"the encoder {model.config['encoder']!r} has no form for export: add it to PLAIN")
        self.model = model

    def forward(self, points: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Posterior mean [B, D], its standard deviation [B, D], and the encoder's features [B, F]."""
        model = self.model
        if mask is not None:
            points = points.masked_fill(~mask.unsqueeze(2), 0.0)  # whatever stands in absent places
        features = PLAIN[type(model.encoder)](model.encoder, points, mask)
        mean, log_std = model.head.linear(model.head.norm(features)).chunk(2, dim=1)
        std = bounded_exp(log_std)
        if isinstance(model, LadderPointVAE):
            mean, std = ladder_moments(model, mean, std, points, mask)
        return mean, std, features


class PlainDecoder(nn.Module):
    """Latents [B, D] to points, and for a mixture to its components' weights and scales.

    Args:
        model: the model, in evaluation mode.
    """

    def __init__(self, model: PointVAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, latents: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Points [B, M, 3]; for a mixture also log weights and log scales [B, M]."""
        rows = self.model.decoder(latents)
        if isinstance(self.model.likelihood, Mixture):
            return self.model.likelihood.components(rows)
        points: Tensor = rows[..., :3]
        return points


def neighbours(queries: Tensor, points: Tensor, k: int, mask: Tensor | None, *, within: bool) -> Tensor:
    """The k nearest points [B, Q, k] of each query [B, Q, C] in its cloud [B, N, C], as `knn` and `neighbours_of`.

    Args:
        queries: places asked about.
        points: the clouds.
        k: neighbours; what a cloud lacks is filled up with the nearest.
        mask: which points exist [B, N].
        within: whether the queries are the points, each its own nearest.
    """
    centre = points.mean(dim=1, keepdim=True)  # near the origin the expanded square keeps its digits
    queries, points = queries - centre, points - centre
    table = points.square().sum(dim=2).unsqueeze(1) - 2.0 * (queries @ points.transpose(1, 2))
    if mask is not None:
        table = table.masked_fill(~mask.unsqueeze(1), torch.inf)
    if within:
        own = torch.arange(points.shape[1], device=points.device)
        table = table.masked_fill(own.unsqueeze(0) == own.unsqueeze(1), -torch.inf)
    # candidates that do not exist make up for clouds of fewer than k points
    values, index = pad(table, (0, k - 1), value=torch.inf).topk(k, dim=2, largest=False)
    return torch.where(values == torch.inf, index[..., :1], index)


def pick(values: Tensor, index: Tensor) -> Tensor:
    """Rows of each cloud: values [B, N, C] at indices [B, Q, k] give [B, Q, k, C]."""
    clouds = torch.arange(index.shape[0], device=index.device).view(-1, 1, 1)
    rows = (index + clouds * values.shape[1]).flatten()
    return values.flatten(0, 1).index_select(0, rows).view(*index.shape, values.shape[2])


def mlp(layers: PointwiseMLP, x: Tensor) -> Tensor:
    """A perceptron on every point [B, N, C], its norms within the weights."""
    modules = list(layers.layers)
    for place, module in enumerate(modules):
        if isinstance(module, nn.Linear):
            x = folded(module, modules[place + 1], x)
        elif isinstance(module, (nn.ReLU, nn.LeakyReLU)):  # older torch exports no union
            x = leaky_relu(x, layers.slope) if layers.slope else torch.relu(x)
    return x


def folded(layer: nn.Linear, norm: nn.Module, x: Tensor) -> Tensor:
    """BN(W x), the running statistics within the weights."""
    _, weight, bias = normalised(layer.weight, norm, None)  # type: ignore[arg-type]
    return linear(x, weight, bias)


def pointnet(encoder: Encoder, points: Tensor, mask: Tensor | None) -> Tensor:
    """Features [B, F] of `PointNet`."""
    assert isinstance(encoder, PointNet)
    values = folded(encoder.pool.linear, encoder.pool.norm, mlp(encoder.mlp, points))
    if not encoder.with_mean:
        return max_pool(values, mask)
    values = leaky_relu(values, SLOPE)
    return torch.cat([max_pool(values, mask), mean_pool(values, mask)], dim=1)


def dgcnn(encoder: Encoder, points: Tensor, mask: Tensor | None) -> Tensor:
    """Features [B, F] of `DGCNN`."""
    assert isinstance(encoder, DGCNN)
    x, outputs = points, []
    for conv in encoder.convs:
        x = edge_conv(cast(EdgeConv, conv), x, mask)
        outputs.append(x)
    values = mlp(encoder.mlp, torch.cat(outputs, dim=2))
    return torch.cat([max_pool(values, mask), mean_pool(values, mask)], dim=1)


def edge_conv(conv: EdgeConv, x: Tensor, mask: Tensor | None) -> Tensor:
    """Features [B, N, C'] of `EdgeConv`; those of absent points mean nothing."""
    index = neighbours(x, x, conv.k, mask, within=True)
    other = conv.edge(x - mean_pool(x, mask).unsqueeze(1))
    own = conv.centre(x) - other
    norm = conv.norm
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    sign = torch.where(scale < 0, -1.0, 1.0)  # the norm is monotone: the largest stays so, or becomes the smallest
    edge = own + sign * pick(sign * other, index).amax(dim=2)
    return leaky_relu((edge - norm.running_mean) * scale + norm.bias, SLOPE)


def foldingnet(encoder: Encoder, points: Tensor, mask: Tensor | None) -> Tensor:
    """Features [B, F] of `FoldingNet`."""
    assert isinstance(encoder, FoldingNet)
    index = neighbours(points, points, encoder.k, mask, within=True)
    local = pick(points, index)
    centred = local - local.mean(dim=2, keepdim=True)
    covariance = (centred.transpose(2, 3) @ centred / encoder.k).flatten(2)
    x = mlp(encoder.mlp, torch.cat([points, covariance], dim=2))
    for layer in encoder.graph:
        x = mlp(cast(PointwiseMLP, layer), pick(x, index).amax(dim=2))
    out: Tensor = encoder.out(max_pool(x, mask))
    return out


def frame_averaging(encoder: Encoder, points: Tensor, mask: Tensor | None) -> Tensor:
    """Features [B, F] of `FrameAveraging`."""
    assert isinstance(encoder, FrameAveraging)
    masks = None if mask is None else mask.repeat(4, 1)
    features = PLAIN[type(encoder.inner)](encoder.inner, four_views(points, mask, axes_of), masks)
    return features.view(4, points.shape[0], -1).mean(dim=0)


def ladder_moments(
    model: LadderPointVAE, mean: Tensor, std: Tensor, points: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Means and deviations [B, D] of all groups, along the path that takes every group's mean in turn."""
    means, stds = [mean], [std]
    anchors = model.decoder.begin(mean)
    for module, local in zip(model.decoder.levels, model.local, strict=True):
        level, head = cast(Level, module), cast(LocalHead, local)
        anchors = level.arrive(anchors)
        index = neighbours(anchors.points, points, head.neighbours, mask, within=False)
        mean, std = head.of_neighbours(anchors, pick(points, index))
        anchors = level.refine(anchors, mean)
        means.append(mean.flatten(1))
        stds.append(std.flatten(1))
    return torch.cat(means, dim=1), torch.cat(stds, dim=1)


PLAIN: dict[type[Encoder], Callable[[Encoder, Tensor, Tensor | None], Tensor]] = {
    PointNet: pointnet,
    DGCNN: dgcnn,
    FoldingNet: foldingnet,
    FrameAveraging: frame_averaging,
}
"""The plain form of each encoder: the place to touch to export another."""
