"""Layers that encoders share: per-point perceptrons whose statistics see only the points that exist."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pointvae.models.batch_norm import BatchNorm1d
from pointvae.models.linear_norm import folded_chain, linear_norm


class PointwiseMLP(nn.Module):
    """Linear, batch norm, activation, on rows; the same weights for every point.

    Args:
        channels: sizes from input to output.
        slope: negative slope of the leaky ReLU; 0 is the plain ReLU.
        last_activation: whether the last layer is followed by the activation.
    """

    def __init__(self, channels: Sequence[int], slope: float = 0.0, last_activation: bool = True) -> None:
        super().__init__()
        self.slope, self.last_activation = slope, last_activation
        layers: list[nn.Module] = []
        last = len(channels) - 2
        for i in range(last + 1):
            # batch norm has its own offset, so the linear layer needs none
            layers += [nn.Linear(channels[i], channels[i + 1], bias=False), BatchNorm1d(channels[i + 1])]
            if i < last or last_activation:
                layers.append(nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True))
        self.layers = nn.Sequential(*layers)

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows [R, C_in] to rows [R, C_out]."""
        if not (self.training or torch.is_grad_enabled()):
            return folded_chain(rows, self._chain())
        return self.each_layer(rows)[-1]

    def each_layer(self, rows: Tensor) -> list[Tensor]:
        """What every layer makes of rows [R, C_in], from first to last."""
        made = []
        for linear, norm, slope in self._chain():
            rows = linear_norm(rows, linear, norm, slope)
            made.append(rows)
        return made

    def _chain(self) -> list[tuple[nn.Linear, BatchNorm1d, float | None]]:
        modules = list(self.layers)
        linears = [layer for layer in modules if isinstance(layer, nn.Linear)]
        norms = [layer for layer in modules if isinstance(layer, BatchNorm1d)]
        slopes = [self.slope] * (len(linears) - 1) + [self.slope if self.last_activation else None]
        return list(zip(linears, norms, slopes, strict=True))


def pack(values: Tensor, mask: Tensor | None) -> Tensor:
    """Rows of the points that exist: [B, N, C] and a mask [B, N] give [R, C]."""
    return values.flatten(0, 1) if mask is None else values[mask]


def unpack(rows: Tensor, like: Tensor, mask: Tensor | None, fill: float = 0.0) -> Tensor:
    """Put rows [R, C] back into their places [B, N, C]; absent points hold ``fill``."""
    if mask is None:
        return rows.view(*like.shape[:2], rows.shape[-1])
    out = rows.new_full((*mask.shape, rows.shape[-1]), fill)
    out[mask] = rows
    return out


def max_pool(values: Tensor, mask: Tensor | None) -> Tensor:
    """Largest value over the points that exist: [B, N, C] gives [B, C]."""
    if mask is not None:
        values = values.masked_fill(~mask.unsqueeze(-1), -torch.inf)
    return values.amax(dim=1)


def mean_pool(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the points that exist: [B, N, C] gives [B, C]."""
    if mask is None:
        return values.mean(dim=1)
    kept = mask.unsqueeze(-1)
    return values.masked_fill(~kept, 0.0).sum(dim=1) / kept.sum(dim=1)
