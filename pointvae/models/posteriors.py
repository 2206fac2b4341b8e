"""Posteriors q(z|x) of clouds, flat or hierarchical, and the paths that are drawn from them.

Every latent z [B, D] of this package has the prior N(0, I). A flat posterior is a diagonal Gaussian. A hierarchical
one is autoregressive over groups of dimensions, q(z|x) = Π_l q(z_l | z_<l, x), each factor a diagonal Gaussian. Both
are followed along a path: a latent, with the moments that each of its dimensions has given the groups before it. Sums
over dimensions along a path drawn from q(z|x) are then the flat posterior's closed forms and the hierarchical one's
unbiased estimates, in the same formulas.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, Independent, Normal

from pointvae.randomness import normal


@dataclass(frozen=True)
class Path:
    """A latent and the Gaussian of each dimension given the groups before it.

    Attributes:
        z: the latent [B, D].
        mean: of each dimension [B, D].
        stddev: of each dimension [B, D].
    """

    z: Tensor
    mean: Tensor
    stddev: Tensor

    def log_prob(self, z: Tensor | None = None) -> Tensor:
        """Log q(z|x) [B], nats, of the path's own latent or of another [B, D] in its place."""
        standard = ((self.z if z is None else z) - self.mean) / self.stddev
        return -(0.5 * standard.square() + self.stddev.log() + 0.5 * math.log(2.0 * math.pi)).sum(dim=1)


class HierarchicalPosterior(Distribution, ABC):
    """A posterior whose groups are conditioned on the groups before them; event shape [D]."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = True

    def __init__(self, batch: int, dim: int) -> None:
        super().__init__(torch.Size([batch]), torch.Size([dim]), validate_args=False)

    @abstractmethod
    def path(self, noise: Tensor) -> Path:
        """The path of z_l = m_l(z_<l) + s_l(z_<l) ε_l for noise ε [B, D], with gradients."""

    @abstractmethod
    def along(self, z: Tensor) -> Path:
        """The path of a given latent [B, D]."""

    @abstractmethod
    def select(self, shapes: slice) -> HierarchicalPosterior:
        """The posterior of some of the shapes."""

    @abstractmethod
    def repeat(self, times: int) -> HierarchicalPosterior:
        """The posterior of the whole batch, ``times`` times one after another."""

    @abstractmethod
    def frozen(self) -> HierarchicalPosterior:
        """The same, without gradient to any parameter or input; gradients to a latent still flow."""

    def _centre(self) -> Path:
        return self.path(self._zeros())

    @abstractmethod
    def _zeros(self) -> Tensor:
        """Zeros [B, D] where the posterior lives."""

    @property
    def mean(self) -> Tensor:
        """The latent [B, D] that takes every group's mean in turn."""
        return self._centre().z

    @property
    def stddev(self) -> Tensor:
        """Deviation of each dimension along that latent [B, D]."""
        return self._centre().stddev

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw latents [..., B, D] from the global generator, as torch's distributions do."""
        shape = torch.Size(sample_shape)
        whole = self.repeat(shape.numel()) if shape else self
        zeros = whole._zeros()
        return whole.path(torch.randn_like(zeros)).z.view(*shape, *self.batch_shape, *self.event_shape)

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Draw latents without gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log q(z|x) [B], nats, of latents [B, D]."""
        return self.along(value).log_prob()


Posterior: TypeAlias = "Independent[Normal] | HierarchicalPosterior"  # text: older torch cannot subscript Independent


def draw_noise(
    posterior: Posterior, generator: Generator | None = None, *, samples: int = 1, copies: int = 1
) -> Tensor:
    """Standard normal noise [samples · B, D] from ``generator``.

    Args:
        posterior: whose batch B and size D; before it is repeated ``samples`` times.
        generator: where the draw comes from.
        samples: draws for each shape; the batch stands in them one after another.
        copies: equal parts of the batch that get the same noise: 2 where it is a batch and its transformed copy.
    """
    like = posterior._zeros() if isinstance(posterior, HierarchicalPosterior) else posterior.mean
    batch, dim = like.shape
    noise = normal((samples, 1, batch // copies, dim), generator, like.device, like.dtype, batch_dim=2)
    return noise.expand(-1, copies, -1, -1).reshape(samples * batch, dim)


def follow(posterior: Posterior, noise: Tensor) -> Path:
    """The path of z = m + s ε for noise ε [B, D], with gradients to m and s."""
    if isinstance(posterior, HierarchicalPosterior):
        return posterior.path(noise)
    mean, std = posterior.mean, posterior.stddev
    return Path(mean + std * noise, mean, std)


def along(posterior: Posterior, z: Tensor) -> Path:
    """The path of a given latent [B, D]."""
    if isinstance(posterior, HierarchicalPosterior):
        return posterior.along(z)
    return Path(z, posterior.mean, posterior.stddev)


def select(posterior: Posterior, shapes: slice) -> Posterior:
    """The posterior of some of the shapes."""
    if isinstance(posterior, HierarchicalPosterior):
        return posterior.select(shapes)
    return _flat(posterior.mean[shapes], posterior.stddev[shapes])


def repeat(posterior: Posterior, times: int) -> Posterior:
    """The posterior of the whole batch, ``times`` times one after another."""
    if isinstance(posterior, HierarchicalPosterior):
        return posterior.repeat(times)
    return _flat(posterior.mean.repeat(times, 1), posterior.stddev.repeat(times, 1))


def frozen(posterior: Posterior) -> Posterior:
    """The same, without gradient to any parameter or input; gradients to a latent still flow."""
    if isinstance(posterior, HierarchicalPosterior):
        return posterior.frozen()
    return _flat(posterior.mean.detach(), posterior.stddev.detach())


def rsample(posterior: Posterior, generator: Generator | None = None) -> Tensor:
    """Draw z [B, D] with gradients to the posterior's moments, the noise from ``generator``."""
    return follow(posterior, draw_noise(posterior, generator)).z


def _flat(mean: Tensor, std: Tensor) -> Independent[Normal]:
    return Independent(Normal(mean, std, validate_args=False), 1)
