"""Likelihoods of a cloud given the decoder's output, in nats for the whole cloud."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor, nn

from pointvae.errors import InputError
from pointvae.geometry.chunks import gather_points
from pointvae.geometry.distances import chamfer_distance
from pointvae.geometry.finite import check_rows, distance_limit, present
from pointvae.geometry.sampling import random_subset, systematic_choice
from pointvae.models.mixture_density import mixture_log_density
from pointvae.models.registry import Registry
from pointvae.randomness import normal

LOG_SIGMA_LIMIT = 20.0  # a learned σ stays between 2e-9 and 5e8, where all that is made of it is finite


class Likelihood(nn.Module, ABC):
    """log p(x|z) for clouds x and the decoder's rows; ``channels`` says how many numbers a row needs."""

    channels: int
    is_normalised: bool  # whether log_prob is a true log density, so that a NLL made from it has a unit

    @abstractmethod
    def log_prob(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Log-likelihood [B] in nats of targets [B, N, 3] under decoder rows [B, M, C].

        ``mask`` [B, N] tells which target points exist; a cloud's value sums over its points.
        """

    @abstractmethod
    def cloud(self, output: Tensor, count: int, generator: Generator | None = None, *, noisy: bool = False) -> Tensor:
        """The decoder's rows [B, M, C] as clouds of at most ``count`` points, to be encoded again.

        Args:
            output: the rows.
            count: points wanted; a likelihood whose rows are the points gives at most M.
            generator: where choices and noise come from.
            noisy: give a draw of p(x|z) instead of the points themselves.

        Raises:
            InputError: ``noisy`` is asked of a likelihood that is no density.
        """


LIKELIHOODS: Registry[Likelihood] = Registry("likelihood")


def _check_sigma(sigma: float) -> float:
    if not (math.isfinite(sigma) and sigma > 0):
        raise InputError(f"likelihood: sigma must be a number > 0 (unit-sphere lengths), got {sigma}")
    return sigma


@LIKELIHOODS.register("chamfer")
class Chamfer(Likelihood):
    """Pseudo-likelihood exp(-N CD / (2 σ²)) with the Chamfer distance ``cd_l2_mean``.

    Not a density: it has no normalising constant, so bounds made from it compare runs of one σ and nothing else,
    and no NLL is reported. With a learned σ the constant of a Gaussian, -3N log σ, keeps σ from running away.

    Args:
        sigma: scale, unit-sphere lengths. It decides how much the latents carry: at 0.05 much, at 0.25 little.
        learned: make σ a parameter that starts at ``sigma``; it is held between 2e-9 and 5e8.
    """

    channels = 3
    is_normalised = False

    def __init__(self, sigma: float = 0.05, learned: bool = False) -> None:
        super().__init__()
        log_sigma = torch.tensor(math.log(_check_sigma(sigma)))
        self.learned = learned
        self.log_sigma: Tensor
        if learned:
            self.log_sigma = nn.Parameter(log_sigma)
        else:
            self.register_buffer("log_sigma", log_sigma)

    def log_prob(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Log pseudo-likelihood [B], nats, of targets [B, N, 3] under decoder rows [B, M, 3]."""
        count = target.shape[1] if mask is None else mask.sum(dim=1)
        check_rows(target, "cloud", mask=mask)
        distance = chamfer_distance(output[..., :3], target, y_mask=mask)
        limit = LOG_SIGMA_LIMIT if self.learned else math.inf
        log_sigma = self.log_sigma.clamp(-limit, limit)
        log_prob = -0.5 * count * distance * torch.exp(-2.0 * log_sigma)
        return log_prob - 3.0 * count * log_sigma if self.learned else log_prob

    def cloud(self, output: Tensor, count: int, generator: Generator | None = None, *, noisy: bool = False) -> Tensor:
        """The rows' points, thinned at random to ``count`` where there are more [B, min(M, count), 3]."""
        if noisy:
            raise InputError(
                "likelihood 'chamfer' is no density, so nothing can be drawn from it: leave SelfConsistency's draw "
                "at 'mean', or use the likelihood 'mixture'"
            )
        return random_subset(output[..., :3], count, generator)


@LIKELIHOODS.register("mixture")
class Mixture(Likelihood):
    """Isotropic Gaussian mixture: the decoder's M rows are its centres, weights and scales.

        log p(x|z) = Σ_i log Σ_j w_j N(x_i; y_j, σ_j² I)

    A normalised density of N independent surface points: ELBO, IWAE and NLL made from it are true nats. In a flat
    model it goes with the decoder ``mlp``: ``folding`` starts with all its points in one spot, where the components
    get the same gradient, widen, and have been seen to stay there. (The patches of `LadderPointVAE` start apart.)

    Args:
        sigma: scale that every component starts from, unit-sphere lengths.
        floor: smallest scale a component can reach, as a share of ``sigma``; without one, a component that
            sits on a repeated point has no bound.
    """

    channels = 5
    is_normalised = True

    def __init__(self, sigma: float = 0.05, floor: float = 0.1) -> None:
        super().__init__()
        if not 0 < floor < 1:
            raise InputError(f"likelihood 'mixture': floor must be between 0 and 1, got {floor}")
        self.sigma, self.floor = _check_sigma(sigma), floor

    def components(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Centres [B, M, 3], log weights [B, M] and log scales [B, M] of decoder rows [B, M, 5]."""
        log_weights = torch.log_softmax(output[..., 3], dim=1)
        # softplus shifted so that a zero output means exactly `sigma`
        span = 1.0 - self.floor
        share = self.floor + span * nn.functional.softplus(output[..., 4] + math.log(math.e - 1.0))
        return output[..., :3], log_weights, torch.log(share) + math.log(self.sigma)

    def log_prob(self, output: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Log-likelihood [B], nats, of targets [B, N, 3] under decoder rows [B, M, 5]."""
        check_rows(target, "cloud", mask=mask)
        check_rows(output, "decoder output", distance_limit(torch.float32))
        target = present(target, mask)
        centres, log_weights, log_scales = self.components(output)
        constant = log_weights - 3.0 * log_scales - 1.5 * math.log(2.0 * math.pi)
        precision = torch.exp(-2.0 * log_scales)
        per_point = mixture_log_density(target, centres, precision, constant)
        if mask is not None:
            per_point = per_point.masked_fill(~mask, 0.0)
        return per_point.sum(dim=1)

    def cloud(self, output: Tensor, count: int, generator: Generator | None = None, *, noisy: bool = False) -> Tensor:
        """Centres, each as often as its weight says [B, count, 3]; ``noisy`` adds the components' own noise."""
        centres, log_weights, log_scales = self.components(output)
        index = systematic_choice(log_weights.exp(), count, generator)
        points = gather_points(centres, index)
        if noisy:
            noise = normal(points.shape, generator, points.device, points.dtype)
            points = points + noise * log_scales.exp().gather(1, index).unsqueeze(2)
        return points
