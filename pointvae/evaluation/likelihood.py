"""How likely a model finds shapes: log p(x) by importance sampling, beside the bound it was trained on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.annealed import CHAINS, annealed_nll
from pointvae.evaluation.features import evaluating
from pointvae.evaluation.nll import NLL, describe, nll_from_sums, standard_error
from pointvae.evaluation.results import Part
from pointvae.evaluation.selection import affordable, spread_over_classes
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.models.modes import evaluation_mode
from pointvae.models.posteriors import Posterior, draw_noise
from pointvae.models.vae import PointVAE
from pointvae.objectives.iwae import weigh
from pointvae.randomness import generator_for

PROTOCOL = "likelihood/1"


@dataclass(frozen=True)
class Effort:
    """What is spent: shapes and draws of plain importance sampling, shapes of the annealed."""

    shapes: int
    draws: int
    annealed_shapes: int
    leaps: int


EFFORT, QUICK = Effort(256, 64, 64, 100), Effort(64, 32, 16, 60)


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
    seen = view or View()
    found = _importance(model, shapes, range(len(shapes)), seen, samples, chunk, seed, work or Work())
    count = seen.points or shapes.points.shape[1]
    return Bounds(
        elbo=found.elbo.mean().item() / count,
        nll=found.nll.mean().item() / count,
        standard_error=found.standard_error.square().sum().sqrt().item() / (len(shapes) * count),
        effective_samples=found.effective_samples.mean().item(),
        samples=samples,
    )


def measure_likelihood(
    model: PointVAE,
    shapes: Shapes,
    view: View | None = None,
    *,
    seed: int = 0,
    quick: bool = False,
    work: Work | None = None,
) -> Part:
    """The bound and two estimates of -log p(x), nats per point, on shapes from every class in turn.

    ``importance``: 64 draws of the encoder's posterior for each of 256 shapes. ``annealed``: of 64 of these, 4 walks
    of 100 leaps (see `pointvae.evaluation.annealed`), whose estimate is closer; both lie above -log p(x) on average,
    so of two the smaller is the better. With ``quick`` there are 64 shapes of 32 draws, and 16 of 4 walks of 60.
    Of clouds of more than 256 points there are fewer shapes, down to an eighth.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        shapes: the shapes.
        view: which points are seen and how they are turned; all of them as they are when absent.
        seed: what shapes, latents and walks are drawn from.
        quick: spend less.
        work: how much is done at a time.

    Returns:
        Figures with the reason under ``left_out`` where the likelihood is no density, else means over shapes with
        two standard errors: of the draws, and over the shapes (which holds both).
    """
    effort, seen, work = QUICK if quick else EFFORT, view or View(), work or Work()
    try:
        _check(model, effort.draws, 1)
    except InputError as refusal:
        return Part({"protocol": PROTOCOL, "left_out": str(refusal)})
    if not len(shapes):
        return Part({"protocol": PROTOCOL, "left_out": "no shape to measure: the split is empty"})
    count = seen.points or shapes.points.shape[1]
    places = spread_over_classes(shapes, affordable(effort.shapes, count, power=2), seed=seed)
    plain = _importance(model, shapes, places.tolist(), seen, effort.draws, 16, seed, work)
    few = spread_over_classes(shapes[places], affordable(effort.annealed_shapes, count, power=2), seed=seed)
    annealed, told = annealed_nll(model, shapes, places[few].tolist(), seen, leaps=effort.leaps, seed=seed, work=work)
    same = plain.nll[torch.from_numpy(few)]
    figures = {
        "protocol": PROTOCOL,
        "seed": seed,
        "unit": "nats per point",
        "points": count,
        "importance": {
            "protocol": "importance_nll/1",
            "proposal": "q(z|x)",
            "draws": effort.draws,
            "elbo": plain.elbo.mean().item() / count,
            "elbo_standard_error": standard_error(plain.elbo) / count,
            **describe(plain, count),
        },
        "annealed": {
            "protocol": "annealed_nll/1",
            "proposal": "q(z|x), annealed to the posterior",
            "draws": CHAINS,
            **told,
            **describe(annealed, count),
            "importance_nll_of_these": same.mean().item() / count,
            "gain": (same - annealed.nll).mean().item() / count,
            "gain_standard_error": standard_error(same - annealed.nll) / count,
        },
    }
    arrays = {"places": places, "elbo": plain.elbo.numpy() / count, "nll": plain.nll.numpy() / count}
    arrays |= {"annealed_places": places[few], "annealed_nll": annealed.nll.numpy() / count}
    arrays |= {"effective_samples": plain.effective_samples.numpy()}
    return Part(figures, {name: np.asarray(values) for name, values in arrays.items()})


def _importance(
    model: PointVAE,
    shapes: Shapes,
    places: Sequence[int],
    view: View,
    samples: int,
    chunk: int,
    seed: int,
    work: Work,
) -> NLL:
    """The estimates of the shapes at some places, each from noise of its own."""
    parameter = next(model.parameters())

    def measure(tile: range) -> Tensor:
        own = [places[row] for row in tile]
        points = torch.tensor(view.clouds(shapes, own)).to(parameter)
        noise = _noise(own, samples, model.latent_dim, seed).to(parameter)
        values = _estimate(model, model.posterior(points), points, None, noise, chunk)
        return torch.stack([values.nll, values.effective_samples, values.standard_error, values.elbo]).cpu()

    with evaluation_mode(model):
        return NLL(*torch.cat(work.tiles(measure, len(places), "measuring likelihood"), dim=1))


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
    return nll_from_sums(first, second, elbo / samples, samples)


def _check(model: PointVAE, samples: int, chunk: int) -> None:
    if not model.likelihood.is_normalised:
        name = type(model.likelihood).__name__.lower()
        raise InputError(
            f"likelihood '{name}' is no density, so its NLL has no unit: train with the likelihood 'mixture'"
        )
    for owner, value, low in (("samples", samples, 2), ("chunk", chunk, 1)):
        if value < low:
            raise InputError(f"{owner} {value}: must be at least {low}")
