"""The top-down half of a hierarchical model of point sets: from the global latent to anchors to patches of points.

The idea is NVAE's (Vahdat & Kautz, "NVAE: A Deep Hierarchical Variational Autoencoder", NeurIPS 2020), with places on
the shape where images have a grid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from pointvae.models.decoders import DECODERS, Decoder
from pointvae.models.vae import bounded_exp

SPREAD = 0.5  # radius on which the first anchors start, unit-sphere lengths
CHILD_SPREAD = 0.15  # radius on which children start about their parent
SMALL = 0.1  # what last layers start from, as a share of torch's scale


class Anchors(NamedTuple):
    """Places on a shape, each with what is known of its surroundings.

    Attributes:
        points: coordinates [B, A, 3].
        features: h [B, A, H].
    """

    points: Tensor
    features: Tensor


class Level(nn.Module):
    """One group of local latents: its prior given the groups above, and what it changes at every anchor.

    Args:
        width: H.
        latents: d of each anchor.
        children: anchors into which each splits before the latents are drawn.
    """

    template: Tensor

    def __init__(self, width: int, latents: int, children: int) -> None:
        super().__init__()
        self.children_each = children
        if children > 1:
            self.split = nn.Linear(width, children * width)
            self.place = small_linear(width, 3)
            self.register_buffer("template", CHILD_SPREAD * sphere(children), persistent=False)
        self.prior_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.prior = small_linear(width, 2 * latents)
        self.known, self.drawn = nn.Linear(width, width), nn.Linear(latents, width)
        self.change, self.move = nn.Linear(width, width), small_linear(width, 3)

    def arrive(self, above: Anchors) -> Anchors:
        """The level's own anchors, before its latents are known."""
        if self.children_each == 1:
            return above
        features = self.split(torch.relu(above.features)).unflatten(2, (self.children_each, -1))
        features = above.features.unsqueeze(2) + features
        points = above.points.unsqueeze(2) + self.template + self.place(features)
        return Anchors(points.flatten(1, 2), features.flatten(1, 2))

    def conditional(self, anchors: Anchors) -> tuple[Tensor, Tensor]:
        """Mean μ and deviation σ [B, A, d] of the level's latents z = μ + σ u given the groups above: their prior."""
        mean, log_std = self.prior(self.prior_norm(anchors.features)).chunk(2, dim=2)
        return mean, bounded_exp(log_std)

    def refine(self, anchors: Anchors, u: Tensor) -> Anchors:
        """Anchors that know of their latents u [B, A, d], given in whitened coordinates."""
        mean, std = self.conditional(anchors)
        z = mean + std * u
        hidden = torch.relu(self.known(self.norm(anchors.features)) + self.drawn(z))
        return Anchors(anchors.points + self.move(hidden), anchors.features + self.change(hidden))


class LadderDecoder(Decoder):
    """Maps latents [B, D] to M rows [B, M, C], from global to local.

    The global latent gives the first anchors; each level splits them, or not, and refines them by their own latents;
    each anchor of the last level decodes a patch of rows about itself, through a registered decoder.

    Args:
        decoder: short name of the registered decoder of patches.
        decoder_args: arguments of its constructor.
        groups: sizes of the latent's groups; the first is global.
        anchors: anchors of each level, each count a multiple of the one before it.
        local_dims: latents of each anchor of a level.
        width: H, numbers known of each anchor.
        points: M.
        channels: C, at least 3.
    """

    template: Tensor

    def __init__(
        self,
        decoder: str,
        decoder_args: Mapping[str, Any] | None,
        groups: Sequence[int],
        anchors: Sequence[int],
        local_dims: Sequence[int],
        width: int,
        points: int,
        channels: int,
    ) -> None:
        super().__init__(sum(groups), points, channels)
        self.groups = list(groups)
        first, last = anchors[0], anchors[-1]
        self.start = nn.Sequential(
            nn.Linear(groups[0], 4 * width), nn.ReLU(inplace=True), nn.Linear(4 * width, first * width)
        )
        self.place = small_linear(width, 3)
        self.register_buffer("template", SPREAD * sphere(first), persistent=False)
        self.levels = nn.ModuleList(
            Level(width, latents, count // above)
            for count, above, latents in zip(anchors, (first, *anchors), local_dims, strict=False)
        )
        self.norm = nn.LayerNorm(width)
        patch = math.ceil(points / last)
        self.patch = DECODERS.build(decoder, decoder_args, latent_dim=width, points=patch, channels=channels)

    def begin(self, z: Tensor) -> Anchors:
        """The first anchors, from the global latent [B, D_global]."""
        features = self.start(z).unflatten(1, (len(self.template), -1))
        return Anchors(self.template + self.place(torch.relu(features)), features)

    def finish(self, anchors: Anchors) -> Tensor:
        """Rows [B, M, C] of the last level's anchors; the coordinates of each patch are about its anchor."""
        patches = self.patch(self.norm(anchors.features).flatten(0, 1))
        centres = nn.functional.pad(anchors.points, (0, patches.shape[2] - 3)).flatten(0, 1)
        rows: Tensor = (patches + centres.unsqueeze(1)).unflatten(0, anchors.points.shape[:2])
        # the patches' first rows first, so that what is cut comes from many patches
        return rows.transpose(1, 2).flatten(1, 2)[:, : self.points]

    def forward(self, z: Tensor) -> Tensor:
        """Rows [B, M, C] of latents [B, D]."""
        parts = torch.split(z, self.groups, dim=1)
        anchors = self.begin(parts[0])
        for module, u in zip(self.levels, parts[1:], strict=True):
            level = cast(Level, module)
            anchors = level.arrive(anchors)
            anchors = level.refine(anchors, torch.unflatten(u, 1, (anchors.points.shape[1], -1)))
        return self.finish(anchors)


def small_linear(width: int, out: int) -> nn.Linear:
    """A linear layer whose output is small at first."""
    layer = nn.Linear(width, out)
    with torch.no_grad():
        layer.weight.mul_(SMALL)
        layer.bias.zero_()
    return layer


def sphere(count: int) -> Tensor:
    """Points spread evenly over the unit sphere [count, 3]: a Fibonacci spiral."""
    place = torch.arange(count) + 0.5
    height = 1.0 - 2.0 * place / count
    radius, turn = (1.0 - height.square()).sqrt(), place * math.pi * (3.0 - math.sqrt(5.0))
    return torch.stack([radius * turn.cos(), radius * turn.sin(), height], dim=1)
