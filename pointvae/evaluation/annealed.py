"""log p(x) by annealed importance sampling from the encoder's posterior.

Plain importance weights compare p(x, z) with q(z|x) in one leap, and where their shapes differ one draw of hundreds
decides alone. Here each draw walks from q to the true posterior in T small leaps: with z = f(ε) the latent that noise
ε makes of q(z|x), and w(ε) its importance weight, the densities on the way are

    π_t(ε) ∝ N(ε; 0, I) w(ε)^(t/T),

and a draw's weight is Π_t w(ε_{t-1})^(1/T), each ε_t coming from ε_{t-1} by a Metropolis-adjusted Langevin step that
leaves π_t as it is. The mean of these weights is p(x) on average, as that of the plain ones is, so minus its
logarithm is on average not below -log p(x) (Neal, "Annealed importance sampling", Statistics and Computing 2001; for
decoders: Wu et al., "On the quantitative analysis of decoder-based generative models", ICLR 2017). In the noise's
coordinates flat and hierarchical posteriors are alike, and one step length fits every dimension.

The step lengths are found beforehand by draws of their own, so that the walk that is weighed adapts to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from pointvae.data.dataset import Shapes
from pointvae.evaluation.nll import NLL, nll_from_sums
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.models.modes import evaluation_mode
from pointvae.models.vae import PointVAE
from pointvae.objectives.iwae import weigh
from pointvae.randomness import generator_for

FIRST_STEP, ACCEPTED = 0.3, 0.65

CHAINS = 4
PILOT_CHAINS, PILOT_SHAPES = 2, 8
_PILOT, _CHAINS = 1, 2  # streams of random numbers, beside that of the plain draws

LogWeight = Callable[[Tensor], Tensor]
"""Log weights [K, B] of noise [K, B, D]."""


def annealed_nll(
    model: PointVAE,
    shapes: Shapes,
    places: Sequence[int],
    view: View,
    *,
    leaps: int,
    seed: int = 0,
    work: Work | None = None,
) -> tuple[NLL, dict[str, Any]]:
    """-log p(x) of the shapes at some places by 4 walks each (with no bound), and what there is to know of the walks.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        shapes: the shapes.
        places: where in ``shapes`` those stand that are measured.
        view: which of their points are seen and how they are turned.
        leaps: T.
        seed: what the walks are drawn from, with the place of the shape.
        work: how much is done at a time.
    """
    parameter = next(model.parameters())

    def clouds(own: Sequence[int]) -> Tensor:
        return torch.tensor(view.clouds(shapes, own)).to(parameter)

    def pilot(own: Sequence[int]) -> list[float]:
        draws = [generator_for(seed, place, _PILOT) for place in own]
        return find_steps(model, clouds(own), draws, chains=PILOT_CHAINS, leaps=leaps)

    def measure(tile: range) -> tuple[Tensor, float]:
        own = [places[row] for row in tile]
        draws = [generator_for(seed, place, _CHAINS) for place in own]
        found, accepted = annealed_log_weights(model, clouds(own), draws, chains=CHAINS, steps=steps)
        return found.cpu(), accepted * len(own)

    with evaluation_mode(model):
        work = work or Work()
        (steps,) = work.each(pilot, [places[:PILOT_SHAPES]], "finding the walks' steps")
        parts = work.tiles(measure, len(places), "measuring likelihood by annealing")
    log_weights = torch.cat([part[0] for part in parts], dim=1)
    first, second = log_weights.logsumexp(dim=0), (2.0 * log_weights).logsumexp(dim=0)
    told = {
        "leaps": leaps,
        "steps": {"first": steps[0], "middle": steps[len(steps) // 2], "last": steps[-1]},
        "accepted": sum(part[1] for part in parts) / len(places),
    }
    return nll_from_sums(first, second, torch.full_like(first, math.nan), len(log_weights)), told


def find_steps(
    model: PointVAE, points: Tensor, generators: Sequence[Generator], *, chains: int, leaps: int
) -> list[float]:
    """Step lengths of the T leaps at which about 65 % of the moves are accepted, by a pilot walk.

    Args:
        model: in evaluation mode.
        points: clouds [B, N, 3].
        generators: where each cloud's draws come from.
        chains: walks of each cloud.
        leaps: T.
    """
    steps = [FIRST_STEP]

    def adapt(accepted: float) -> None:
        steps.append(min(2.0, steps[-1] * math.exp(0.5 * (accepted - ACCEPTED))))

    _walk(_log_weight(model, points), _noise(generators, chains, model, points), generators, leaps, steps, adapt)
    return steps[:leaps]


def annealed_log_weights(
    model: PointVAE, points: Tensor, generators: Sequence[Generator], *, chains: int, steps: Sequence[float]
) -> tuple[Tensor, float]:
    """Log weights [K, B] of K walks for each cloud, nats, and the share of moves that was accepted.

    Args:
        model: in evaluation mode.
        points: clouds [B, N, 3].
        generators: where each cloud's draws come from.
        chains: K.
        steps: the step length of each of the T leaps, fixed beforehand; one leap alone is plain importance sampling.
    """
    shares: list[float] = []
    start = _noise(generators, chains, model, points)
    found = _walk(_log_weight(model, points), start, generators, len(steps), steps, shares.append)
    return found, sum(shares) / max(1, len(shares))


def _walk(
    log_weight: LogWeight,
    noise: Tensor,
    generators: Sequence[Generator],
    leaps: int,
    steps: Sequence[float],
    told: Callable[[float], None],
) -> Tensor:
    """Log weights [K, B] of walks from noise [K, B, D]; ``told`` hears after each move the share accepted."""
    value, slope = _with_slope(log_weight, noise)
    total = value.double() / leaps
    for leap in range(1, leaps):
        share, step = leap / leaps, steps[leap - 1]
        push = 0.5 * step**2 * (share * slope - noise)
        moved = noise + push + step * _noise_like(noise, generators)
        new_value, new_slope = _with_slope(log_weight, moved)
        new_push = 0.5 * step**2 * (share * new_slope - moved)
        gain = share * (new_value - value) - 0.5 * (moved.square() - noise.square()).sum(dim=2)
        there, back = moved - noise - push, noise - moved - new_push
        gain = gain + (there.square() - back.square()).sum(dim=2) / (2 * step**2)
        accepted = _uniform_like(value, generators).log() < gain  # False where a weight is no number
        noise = torch.where(accepted.unsqueeze(2), moved, noise)
        slope = torch.where(accepted.unsqueeze(2), new_slope, slope)
        value = torch.where(accepted, new_value, value)
        total += value.double() / leaps
        told(float(accepted.double().mean()))
    return total


def _log_weight(model: PointVAE, points: Tensor) -> LogWeight:
    posterior = model.posterior(points)

    def weights(noise: Tensor) -> Tensor:
        return weigh(model, posterior, points, None, noise.flatten(0, 1)).log_weight

    return weights


def _with_slope(log_weight: LogWeight, noise: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = noise.detach().requires_grad_(True)
        value = log_weight(leaf)
        (slope,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), slope


def _noise(generators: Sequence[Generator], chains: int, model: PointVAE, points: Tensor) -> Tensor:
    return _noise_like(points.new_empty(chains, len(points), model.latent_dim), generators)


def _noise_like(like: Tensor, generators: Sequence[Generator]) -> Tensor:
    """Standard normal noise [K, B, D], each shape's from its own generator."""
    shape = (like.shape[0], like.shape[2])
    return torch.stack([torch.randn(shape, generator=g, dtype=like.dtype) for g in generators], dim=1).to(like.device)


def _uniform_like(like: Tensor, generators: Sequence[Generator]) -> Tensor:
    """Uniform numbers [K, B], each shape's from its own generator."""
    draws = [torch.rand(len(like), generator=g, dtype=like.dtype) for g in generators]
    return torch.stack(draws, dim=1).to(like.device)
