"""The posterior of a hierarchical model: the global group from the whole cloud, local groups from what is near.

Written in whitened coordinates. NVAE's prior of a local group is p(z_l|z_<l) = N(μ, σ²) and its posterior is relative
to it, q(z_l|z_<l, x) = N(μ + σ Δμ, (σ Δσ)²) ("residual normal": Vahdat & Kautz, NeurIPS 2020, section 3.2). With
z_l = μ + σ u_l that is exactly p(u_l) = N(0, I) and q(u_l|u_<l, x) = N(Δμ, Δσ²): the map from u to z is invertible
given the groups above, and a KL does not change under it, so KL( q(z_l) || p(z_l) ) = KL( N(Δμ, Δσ²) || N(0, I) ).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from pointvae.geometry.chunks import gather_points
from pointvae.geometry.neighbours import neighbours_of
from pointvae.models.ladder_decoder import Anchors, LadderDecoder, Level
from pointvae.models.posteriors import HierarchicalPosterior, Path
from pointvae.models.vae import bounded_exp

# Local latents that start as noise of deviation 1 are soon ignored by the decoder, and never say anything again.
START_LOG_STD = -1.0


class LocalHead(nn.Module):
    """What the cloud near each anchor says of the anchor's latents.

    A perceptron on each of the nearest points, seen from the anchor, a maximum over them, joined with what the groups
    above know. No batch norm: what a shape gets must not depend on the latents that other shapes are asked about.

    Args:
        width: H, numbers known of each anchor.
        latents: d of each anchor.
        neighbours: k.
    """

    def __init__(self, width: int, latents: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.near = nn.Sequential(nn.Linear(3, width // 2), nn.ReLU(), nn.Linear(width // 2, width))
        self.norm, self.known_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.seen, self.known, self.where = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(3, width)
        self.out = nn.Linear(width, 2 * latents)
        with torch.no_grad():
            self.out.bias[:latents] = 0.0
            self.out.bias[latents:] = START_LOG_STD

    def forward(self, anchors: Anchors, points: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Δμ and Δσ [B, A, d] at the anchors, from clouds [B, N, 3]."""
        index = neighbours_of(anchors.points.detach(), points.detach(), self.neighbours, mask)
        return self.of_neighbours(anchors, gather_points(points, index))

    def of_neighbours(self, anchors: Anchors, near: Tensor) -> tuple[Tensor, Tensor]:
        """Δμ and Δσ [B, A, d] at the anchors, from the cloud's points near each of them [B, A, k, 3]."""
        seen = self.near(near - anchors.points.unsqueeze(2)).amax(dim=2)
        known = self.known(self.known_norm(anchors.features)) + self.where(anchors.points)
        mean, log_std = self.out(torch.relu(self.seen(self.norm(seen)) + known)).chunk(2, dim=2)
        return mean, bounded_exp(log_std)


class Ladder(nn.Module):
    """The walk from global to local: the decoder's anchors and the local heads, level by level.

    Args:
        decoder: the top-down networks.
        local: a `LocalHead` for each level.
    """

    def __init__(self, decoder: LadderDecoder, local: nn.ModuleList) -> None:
        super().__init__()
        self.decoder, self.local = decoder, local

    def forward(
        self, mean: Tensor, std: Tensor, points: Tensor, mask: Tensor | None, value: Tensor, given: bool
    ) -> Path:
        """The path of noise [B, D], or of a ``given`` latent [B, D].

        ``mean`` and ``std`` [B, D_global] are the global group's.
        """
        values = torch.split(value, self.decoder.groups, dim=1)
        means, stds = [mean], [std]
        drawn = [values[0] if given else mean + std * values[0]]
        anchors = self.decoder.begin(drawn[0])
        for module, head, part in zip(self.decoder.levels, self.local, values[1:], strict=True):
            level = cast(Level, module)
            anchors = level.arrive(anchors)
            mean, std = head(anchors, points, mask)
            part = part.view_as(mean)
            u = part if given else mean + std * part
            anchors = level.refine(anchors, u)
            means.append(mean.flatten(1))
            stds.append(std.flatten(1))
            drawn.append(u.flatten(1))
        return Path(torch.cat(drawn, dim=1), torch.cat(means, dim=1), torch.cat(stds, dim=1))


class LadderPosterior(HierarchicalPosterior):
    """q(u|x) = q(u_0|x) Π_l q(u_l|u_<l, x) of clouds [B, N, 3], every factor a diagonal Gaussian.

    Args:
        ladder: the networks.
        first: q(u_0|x), with event shape [D_global].
        points: the clouds.
        mask: which points exist [B, N]; all when absent.
        still: whether the networks get no gradient.
    """

    def __init__(
        self, ladder: Ladder, first: Independent[Normal], points: Tensor, mask: Tensor | None, still: bool = False
    ) -> None:
        super().__init__(len(points), sum(ladder.decoder.groups))
        self.ladder, self.first, self.points, self.mask, self.still = ladder, first, points, mask, still

    def path(self, noise: Tensor) -> Path:
        """The path of noise [B, D], with gradients."""
        return self._walk(noise, given=False)

    def along(self, z: Tensor) -> Path:
        """The path of a given latent [B, D]."""
        return self._walk(z, given=True)

    def _walk(self, value: Tensor, given: bool) -> Path:
        arguments = (self.first.mean, self.first.stddev, self.points, self.mask, value, given)
        if not self.still:
            return cast(Path, self.ladder(*arguments))
        weights = {name: weight.detach() for name, weight in self.ladder.named_parameters()}
        return cast(Path, torch.func.functional_call(self.ladder, weights, arguments))

    def select(self, shapes: slice) -> LadderPosterior:
        """The posterior of some of the shapes."""
        mask = None if self.mask is None else self.mask[shapes]
        first = self._first(self.first.mean[shapes], self.first.stddev[shapes])
        return LadderPosterior(self.ladder, first, self.points[shapes], mask, self.still)

    def repeat(self, times: int) -> LadderPosterior:
        """The posterior of the whole batch, ``times`` times one after another."""
        mask = None if self.mask is None else self.mask.repeat(times, 1)
        first = self._first(self.first.mean.repeat(times, 1), self.first.stddev.repeat(times, 1))
        return LadderPosterior(self.ladder, first, self.points.repeat(times, 1, 1), mask, self.still)

    def frozen(self) -> LadderPosterior:
        """The same, without gradient to any parameter or input; gradients to a latent still flow."""
        first = self._first(self.first.mean.detach(), self.first.stddev.detach())
        return LadderPosterior(self.ladder, first, self.points.detach(), self.mask, still=True)

    def _zeros(self) -> Tensor:
        return self.first.mean.new_zeros(*self.batch_shape, *self.event_shape)

    @staticmethod
    def _first(mean: Tensor, std: Tensor) -> Independent[Normal]:
        return Independent(Normal(mean, std, validate_args=False), 1)
