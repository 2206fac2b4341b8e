"""How likely a model finds shapes: log p(x) by importance sampling, beside the bound it was trained on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.features import evaluating
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.models.modes import evaluation_mode
from pointvae.models.posteriors import Posterior, draw_noise
from pointvae.models.vae import PointVAE
from pointvae.objectives.iwae import weigh
from pointvae.randomness import generator_for


@dataclass(frozen=True)
class NLL:
    """Estimates of -log p(x) for each shape [B], float64.

    Attributes:
        nll: -log of the mean importance weight, nats for the whole cloud; on average not below -log p(x).
        effective_samples: (Σ w)² / Σ w², from 1, where one draw decides alone, to the number of draws.
        standard_error: of ``nll``, nats, by the delta method; too small itself where few draws decide.
        elbo: mean over the same draws of log p(x|z) minus the KL, nats for the whole cloud.
    """

    nll: Tensor
    effective_samples: Tensor
    standard_error: Tensor
    elbo: Tensor


def importance_nll(
    model: PointVAE,
    points: Tensor,
    mask: Tensor | None = None,
    *,
    samples: int = 100,
    chunk: int = 16,
    generator: Generator | None = None,
) -> NLL:
    """-log p(x) of clouds [B, N, 3], nats, from draws of q(z|x): -log 1/K Σ_k p(x, z_k) / q(z_k|x).

    Args:
        model: the model; put into evaluation mode, and back into its own.
        points: the clouds [B, N, 3].
        mask: which points exist [B, N].
        samples: draws K of each shape, at least 2.
        chunk: draws that go through the decoder at once; it changes memory, not the values.
        generator: where the draws come from.

    Raises:
        InputError: the likelihood is no density, so that its nats have no unit, or a number is too small.

    Source: Burda et al., "Importance Weighted Autoencoders", ICLR 2016, section 5.
    """
    _check(model, samples, chunk)
    with evaluating(model):
        posterior = model.posterior(points, mask)
        noise = draw_noise(posterior, generator, samples=samples).view(samples, len(points), -1)
        return _estimate(model, posterior, points, mask, noise, chunk)


@dataclass(frozen=True)
class Bounds:
    """Means over a set of shapes, nats per point: each shape's value divided by its number of points.

    Attributes:
        elbo: the evidence lower bound with beta 1.
        nll: the importance-sampled negative log-likelihood; ``-nll`` is what the bound is below.
        standard_error: of ``nll``, from the draws alone; not the spread over shapes.
        effective_samples: mean over shapes.
        samples: draws of each shape.
    """

    elbo: float
    nll: float
    standard_error: float
    effective_samples: float
    samples: int


def bound_and_nll(
    model: PointVAE,
    shapes: Shapes,
    view: View | None = None,
    *,
    samples: int = 100,
    chunk: int = 16,
    seed: int = 0,
    work: Work | None = None,
) -> Bounds:
    """ELBO and NLL of a set of shapes, nats per point, from the same draws.

    The draws depend on ``seed`` and the place of the shape alone.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        shapes: the shapes.
        view: which points are seen and how they are turned; all of them as they are when absent.
        samples: draws of each shape, at least 2.
        chunk: draws that go through the decoder at once.
        seed: what the latents are drawn from.
        work: how much is done at a time.

    Raises:
        InputError: the likelihood is no density, there is no shape, or a number is too small.
    """
    _check(model, samples, chunk)
    if not len(shapes):
        raise InputError("no shape to measure: the split or folder is empty")
    parameter = next(model.parameters())
    seen = view or View()

    def measure(places: range) -> Tensor:
        points = torch.tensor(seen.clouds(shapes, places)).to(parameter)
        noise = _noise(places, samples, model.latent_dim, seed).to(parameter)
        values = _estimate(model, model.posterior(points), points, None, noise, chunk)
        return torch.stack([values.elbo, values.nll, values.standard_error, values.effective_samples]).cpu()

    with evaluation_mode(model):
        found = (work or Work()).tiles(measure, len(shapes), "measuring likelihood")
    elbo, nll, error, effective = torch.cat(found, dim=1)
    count = seen.points or shapes.points.shape[1]
    return Bounds(
        elbo=elbo.mean().item() / count,
        nll=nll.mean().item() / count,
        standard_error=error.square().sum().sqrt().item() / (len(shapes) * count),
        effective_samples=effective.mean().item(),
        samples=samples,
    )


def _noise(places: Iterable[int], samples: int, dim: int, seed: int) -> Tensor:
    """Standard normal noise [K, B, D] of the shapes at these places, each from a generator of its own."""
    return torch.stack([torch.randn(samples, dim, generator=generator_for(seed, place)) for place in places], dim=1)


def _estimate(
    model: PointVAE, posterior: Posterior, points: Tensor, mask: Tensor | None, noise: Tensor, chunk: int
) -> NLL:
    """The estimates from noise [K, B, D], ``chunk`` draws at a time; no table of K log weights is kept."""
    samples, batch, dim = noise.shape
    first = torch.full((batch,), -math.inf, dtype=torch.float64, device=noise.device)  # log Σ w
    second = first.clone()  # log Σ w²
    elbo = torch.zeros_like(first)
    for part in torch.split(noise, chunk):
        found = weigh(model, posterior, points, mask, part.reshape(-1, dim))
        log_weight = found.log_weight.double()
        first = torch.logaddexp(first, log_weight.logsumexp(dim=0))
        second = torch.logaddexp(second, (2.0 * log_weight).logsumexp(dim=0))
        elbo += (found.log_likelihood - found.kl()).double().sum(dim=0)
    effective = torch.exp(2.0 * first - second).clamp(1.0, samples)
    # the sample variance of w over K and its mean squared, in terms of the effective number of draws
    error = torch.sqrt((samples / effective - 1.0) / (samples - 1))
    return NLL(math.log(samples) - first, effective, error, elbo / samples)


def _check(model: PointVAE, samples: int, chunk: int) -> None:
    if not model.likelihood.is_normalised:
        name = type(model.likelihood).__name__.lower()
        raise InputError(
            f"likelihood '{name}' is no density, so its NLL has no unit: train with the likelihood 'mixture'"
        )
    for owner, value, low in (("samples", samples, 2), ("chunk", chunk, 1)):
        if value < low:
            raise InputError(f"{owner} {value}: must be at least {low}")
