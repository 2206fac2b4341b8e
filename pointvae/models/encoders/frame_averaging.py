"""Frame averaging: any encoder, made invariant to rigid motions by the mean over a cloud's own four frames.

A cloud's frame is made of the eigenvectors of its covariance, which turn with it: seen in its frame, a turned cloud
is the same cloud. Eigenvectors have no sign, so a cloud has four right-handed frames, and the mean over all four does
not depend on which came first:

    f(x) = 1/4 Σ_F g( (x - x̄) F ),   F = V diag(s),   s_1, s_2, s_3 = ±1,   det F = 1,   Cov(x) = V Λ Vᵀ

Where two variances are equal (a square table, a sphere) the cloud has no frame of its own: rounding chooses one. The
features are then finite, and those of a frame at chance: they no longer agree exactly when such a cloud is turned.

Source: Puny et al., "Frame Averaging for Invariant and Equivariant Network Design", ICLR 2022, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pointvae.errors import InputError
from pointvae.models.encoders.base import ENCODERS, Encoder
from pointvae.models.layers import mean_pool
from pointvae.models.precision import autocast_off

TURNS = ((1.0, 1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, -1.0), (-1.0, -1.0, 1.0))
"""The half turns about a frame's axes, which no covariance can tell apart."""

GAP = 1e-6
"""Two variances this near, in shares of the largest, count as equal where gradients go through their axes."""


class _Axes(torch.autograd.Function):
    """Eigenvectors, in columns, of symmetric matrices [B, 3, 3], by rising eigenvalue.

    torch's own gradient is infinite where eigenvalues are equal. Here 1 / (λ_j - λ_i) is bounded: nothing is owed to
    a choice between axes that is rounding's.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        values: Tensor
        vectors: Tensor
        values, vectors = torch.linalg.eigh(matrix)
        ctx.save_for_backward(values, vectors)
        return vectors

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        values, vectors = ctx.saved_tensors
        gap = values.unsqueeze(1) - values.unsqueeze(2)
        least = GAP * values[:, -1].abs().clamp_min(torch.finfo(values.dtype).tiny ** 0.25).view(-1, 1, 1)
        inner = (vectors.transpose(1, 2) @ grad) * (gap / (gap.square() + least.square()))
        out: Tensor = vectors @ inner @ vectors.transpose(1, 2)
        return 0.5 * (out + out.transpose(1, 2))


def centred(points: Tensor, mask: Tensor | None) -> Tensor:
    """Clouds [B, N, 3] about the mean of the points that exist; zeros for the others."""
    moved = points - mean_pool(points, mask).unsqueeze(1)
    return moved if mask is None else moved.masked_fill(~mask.unsqueeze(2), 0.0)


def axes_of(matrix: Tensor) -> Tensor:
    """Eigenvectors, in columns, of symmetric matrices [B, 3, 3], by rising eigenvalue; with bounded gradient."""
    out: Tensor = _Axes.apply(matrix)  # type: ignore[no-untyped-call]
    return out


Axes = Callable[[Tensor], Tensor]


def frame_of(cloud: Tensor, axes: Axes = axes_of) -> Tensor:
    """One right-handed frame [B, 3, 3] of centred clouds [B, N, 3], axes in columns, by rising variance."""
    wide = cloud.double()  # digits of nearly equal variances
    size = wide.detach().abs().amax(dim=(1, 2), keepdim=True)
    wide = wide / torch.where(size > 0, size, torch.ones_like(size))  # no shape is too small for its squares
    matrix = wide.transpose(1, 2) @ wide / wide.shape[1]
    fine = matrix.isfinite().all(dim=2, keepdim=True).all(dim=1, keepdim=True)
    matrix = torch.where(fine, matrix, torch.zeros_like(matrix))  # one bad cloud must not stop the batch
    x, y, _ = axes(matrix).unbind(2)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=2).to(cloud.dtype)


def four_views(points: Tensor, mask: Tensor | None = None, axes: Axes = axes_of) -> Tensor:
    """Clouds [B, N, 3] in their four frames, one set of B after another: [4 B, N, 3]; zeros for absent points."""
    with autocast_off(points.device):
        cloud = centred(points, mask)
        parts = (cloud @ frame_of(cloud, axes)).unbind(2)
        # signs stay Python's numbers: a tensor of them would make the host wait for a copy
        return torch.cat(
            [torch.stack([sign * part for sign, part in zip(turn, parts, strict=True)], 2) for turn in TURNS]
        )


@ENCODERS.register("frame-averaging", inner="pointnet", inner_args={"widths": (16, 32)})
class FrameAveraging(Encoder):
    """The mean of another encoder's features over a cloud's four frames: four times its cost, and no pose.

    A shape and its mirror image are told apart.

    Args:
        inner: short name of the encoder g.
        inner_args: arguments of its constructor.
    """

    def __init__(self, inner: str = "pointnet", inner_args: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.inner = ENCODERS.build(inner, inner_args)
        if isinstance(self.inner, FrameAveraging):
            raise InputError("frame-averaging: inner is frame-averaging itself, which has nothing left to average")
        self.out_features = self.inner.out_features

    def forward(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """Features [B, F] of clouds [B, N, 3]; ``mask`` [B, N] tells which points exist."""
        return self._mean(self.inner(*self._views(points, mask)))

    def layer_features(self, points: Tensor, mask: Tensor | None = None) -> Tensor:
        """The mean over frames of what every layer of the inner encoder says [B, L]."""
        return self._mean(self.inner.layer_features(*self._views(points, mask)))

    def _views(self, points: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return four_views(points, mask), None if mask is None else mask.repeat(len(TURNS), 1)

    def _mean(self, features: Tensor) -> Tensor:
        return features.view(len(TURNS), -1, features.shape[1]).mean(dim=0)
