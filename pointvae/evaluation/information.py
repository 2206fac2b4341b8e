"""How much the codes tell of which shape they came from, and how far all of them together lie from the prior.

The aggregate posterior of n shapes is q(z) = 1/n Σ_i q(z|x_i). Their mean KL to the prior is exactly the sum of two
parts: the mutual information of code and shape, and the distance of the aggregate to the prior,

    1/n Σ_i KL( q(z|x_i) || p(z) ) = I_q(x; z) + KL( q(z) || p(z) ),    0 <= I_q(x; z) <= log n

(Hoffman & Johnson, "ELBO surgery", NIPS 2016 workshop on approximate inference). The second part splits once more,
into what the dimensions have in common and the distance of each alone,

    KL( q(z) || p(z) ) = KL( q(z) || Π_d q(z_d) ) + Σ_d KL( q(z_d) || p(z_d) ),

of which the first is the total correlation (Chen et al., "Isolating sources of disentanglement", NeurIPS 2018,
equation 2). All of these belong to the n shapes: where the information is near log n every code tells its shape
apart from the others, q(z) is n separate blobs, and no more can be seen without more shapes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from pointvae.evaluation.features import Codes
from pointvae.evaluation.latents import active_units, kl_per_dimension
from pointvae.evaluation.results import Part
from pointvae.evaluation.work import Work

PROTOCOL = "aggregate_information/1"
DRAWS = 4
SATURATION = 1.0  # nats below log n
PERMUTATIONS = 500
ROWS, COLUMNS = 64, 16  # shapes, and dimensions, of a unit of work
FINEST = 2048  # points of a dimension's grid at most
_LATENT, _PRIOR, _SWAP = 0, 1, 2  # streams of random numbers

Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Information:
    """What n posteriors tell, in nats.

    Attributes:
        mutual_information: I_q(x; z).
        standard_error: of it and of ``marginal_kl``, from the draws of z; the shapes are given.
        ceiling: log n, which the mutual information cannot exceed.
        kl: mean KL to the prior.
        marginal_kl: KL( q(z) || p(z) ).
        per_dimension: I_q(x; z_d) of each dimension alone (D,).
        marginal_kl_per_dimension: KL( q(z_d) || p(z_d) ) (D,).
        each: log q(z|x_i) - log q(z), mean over the draws of each shape (n,).
    """

    mutual_information: float
    standard_error: float
    ceiling: float
    kl: float
    marginal_kl: float
    per_dimension: Doubles
    marginal_kl_per_dimension: Doubles
    each: Doubles

    @property
    def saturated(self) -> bool:
        """Whether the information is within 1 nat of its ceiling, so that more shapes would show more of it."""
        return self.mutual_information > self.ceiling - SATURATION

    @property
    def total_correlation(self) -> float:
        """KL( q(z) || Π_d q(z_d) )."""
        return self.marginal_kl - float(self.marginal_kl_per_dimension.sum())


def posterior_information(
    mean: Floats, std: Floats, *, draws: int = DRAWS, seed: int = 0, work: Work | None = None
) -> Information:
    """The information in posteriors N(m, diag s²), the expectation over z by ``draws`` from each.

    Args:
        mean: m (n, D).
        std: s (n, D).
        draws: of each shape, at least 2.
        seed: what they are drawn from, with the place of the shape.
        work: how much is done at a time.

    Source: Hoffman & Johnson 2016; the estimate of log q(z) over all n shapes is that of Dieng et al., "Avoiding
    latent variable collapse", AISTATS 2019, section 4.
    """
    m, s = mean.astype(np.float64), std.astype(np.float64)
    centre = m.mean(axis=0)  # near the origin the expanded square loses no digits
    mixture = _Mixture(m - centre, s)

    def surprise(start: int) -> Doubles:
        own = slice(start, min(start + ROWS, len(m)))
        noise = _noise(range(own.start, own.stop), (draws, m.shape[1]), seed, _LATENT)
        z = (m[own] - centre)[:, None] + s[own][:, None] * noise
        log_own = -(0.5 * np.square(noise) + np.log(s[own])[:, None]).sum(axis=2)
        log_all = mixture.log_density(z.reshape(-1, m.shape[1])).reshape(log_own.shape)
        ratios: Doubles = log_own - log_all
        return ratios

    work = work or Work()
    ratios = np.concatenate(work.each(surprise, range(0, len(m), ROWS), "measuring information"))
    kl = float(kl_per_dimension(m, s).sum())
    information = float(ratios.mean())
    per_dimension, marginal = information_by_dimension(m, s, work=work)
    return Information(
        mutual_information=information,
        standard_error=float(np.sqrt(ratios.var(axis=1, ddof=1).sum() / draws) / len(m)),
        ceiling=math.log(len(m)),
        kl=kl,
        marginal_kl=kl - information,
        per_dimension=per_dimension,
        marginal_kl_per_dimension=marginal,
        each=ratios.mean(axis=1),
    )


class _Mixture:
    """1/n Σ_i N(m_i, diag s_i²), up to the factor (2π)^(-D/2)."""

    def __init__(self, mean: Doubles, std: Doubles) -> None:
        precision = 1.0 / np.square(std)
        self.weights = np.concatenate([precision * mean, -0.5 * precision], axis=1).T
        self.offset = -0.5 * (precision * np.square(mean)).sum(axis=1) - np.log(std).sum(axis=1) - math.log(len(mean))

    def log_density(self, z: Doubles) -> Doubles:
        """Log densities (k,) of points (k, D): Σ_d (z - m)² / s² is linear in (z, z²), so one product."""
        table = np.concatenate([z, np.square(z)], axis=1) @ self.weights
        table += self.offset
        density: Doubles = logsumexp(table, axis=1)
        return density


def information_by_dimension(mean: Doubles, std: Doubles, *, work: Work | None = None) -> tuple[Doubles, Doubles]:
    """I_q(x; z_d) and KL( q(z_d) || p(z_d) ) of each dimension alone (D,), nats, by the trapezoid rule.

    A step of the narrowest deviation makes its error negligible. Where that needs more than 2,048 steps from end to
    end, posteriors narrower than a step count as that wide: noise is added, so that too little is told, never too
    much.

    Args:
        mean: m (n, D).
        std: s (n, D).
        work: how much is done at a time.
    """

    def measure(start: int) -> list[tuple[float, float]]:
        columns = range(start, min(start + COLUMNS, mean.shape[1]))
        return [_one_dimension(mean[:, column], std[:, column]) for column in columns]

    parts = (work or Work()).each(measure, range(0, mean.shape[1], COLUMNS), "measuring dimensions")
    information, marginal = np.array([values for part in parts for values in part]).T
    return information, marginal


def _one_dimension(mean: Doubles, std: Doubles) -> tuple[float, float]:
    low, high = (mean - 9 * std).min(), (mean + 9 * std).max()
    points = 1 + min(FINEST, math.ceil((high - low) / std.min()))
    grid, step = np.linspace(low, high, points, retstep=True)
    wide = np.maximum(std, step)
    density = np.zeros(points)
    for part in range(0, len(mean), 512):
        m, s = mean[part : part + 512, None], wide[part : part + 512, None]
        density += (np.exp(-0.5 * np.square((grid - m) / s)) / s).sum(axis=0)
    density /= len(mean) * math.sqrt(2 * math.pi)
    entropy = -step * np.sum(density * np.log(np.maximum(density, 1e-300)))
    own = np.log(wide).mean() + 0.5 * math.log(2 * math.pi * math.e)
    cross = 0.5 * math.log(2 * math.pi) + 0.5 * (np.square(mean) + np.square(wide)).mean()
    return float(entropy - own), float(cross - entropy)


def prior_distance(mean: Floats, std: Floats, *, seed: int = 0, work: Work | None = None) -> dict[str, Any]:
    """Squared maximum mean discrepancy of aggregate posterior and prior, from a draw of each for every shape.

    The kernel is the inverse multiquadric C / (C + |a - b|²) with C = 2 D. The estimate is unbiased and can be
    negative. Its null comes from swapping the two draws of random shapes: under equality each swap is as likely.

    Args:
        mean: m (n, D).
        std: s (n, D).
        seed: what draws and swaps are made from.
        work: how much is done at a time.

    Returns:
        ``mmd2``, its ``standard_error`` over shapes, ``null_95`` (what chance alone stays below 19 times in 20),
        ``p_value``, ``permutations`` and ``kernel``.

    Source: Gretton et al., "A Kernel Two-Sample Test", JMLR 2012, lemma 6; the kernel: Tolstikhin et al.,
    "Wasserstein Auto-Encoders", ICLR 2018, section 4.
    """
    n, dim = mean.shape
    z = mean.astype(np.float64) + std.astype(np.float64) * _noise(range(n), (dim,), seed, _LATENT)
    prior = _noise(range(n), (dim,), seed, _PRIOR)
    signs = np.random.default_rng((seed, _SWAP)).choice([-1.0, 1.0], size=(n, PERMUTATIONS))

    def rows(start: int) -> tuple[Doubles, Doubles]:
        own = slice(start, min(start + ROWS, n))
        table = _kernel(z[own], z) + _kernel(prior[own], prior) - _kernel(z[own], prior) - _kernel(prior[own], z)
        table[np.arange(own.stop - own.start), np.arange(own.start, own.stop)] = 0.0
        return table.sum(axis=1), (signs[own] * (table @ signs)).sum(axis=0)

    parts = (work or Work()).each(rows, range(0, n, ROWS), "measuring the distance to the prior")
    sums = np.concatenate([part[0] for part in parts])
    null = np.sum([part[1] for part in parts], axis=0) / (n * (n - 1))
    found = float(sums.sum() / (n * (n - 1)))
    return {
        "mmd2": found,
        "standard_error": float(2.0 * (sums / (n - 1)).std(ddof=1) / math.sqrt(n)),
        "null_95": float(np.quantile(null, 0.95)),
        "p_value": float((1 + np.sum(null >= found)) / (1 + PERMUTATIONS)),
        "permutations": PERMUTATIONS,
        "kernel": f"inverse multiquadric, C = {2 * dim}",
    }


def _kernel(a: Doubles, b: Doubles) -> Doubles:
    scale = 2.0 * a.shape[1]
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2.0 * a @ b.T
    kernel: Doubles = scale / (scale + np.maximum(squared, 0.0))
    return kernel


def _noise(places: range, shape: tuple[int, ...], seed: int, stream: int) -> Doubles:
    """Standard normal noise (places, *shape), each place's from a generator of its own."""
    return np.stack([np.random.default_rng((seed, stream, place)).standard_normal(shape) for place in places])


def measure_information(
    subjects: Mapping[str, Codes],
    groups: Sequence[int],
    *,
    seed: int = 0,
    quick: bool = False,
    work: Work | None = None,
) -> Part:
    """Information, distance to the prior and active units of every subject's codes of the same shapes.

    Args:
        subjects: the codes of each model, by name.
        groups: sizes of the latent's groups. The first alone is measured: the posteriors of the others depend on
            the path of the groups before them, so that they are no Gaussians.
        seed: what the latents are drawn from.
        quick: two draws of each shape, where else there are four.
        work: how much is done at a time.
    """
    draws = 2 if quick else DRAWS
    count = len(next(iter(subjects.values())).posterior_mean)
    figures: dict[str, Any] = {
        "protocol": PROTOCOL,
        "seed": seed,
        "n_shapes": count,
        "draws": draws,
        "dimensions": groups[0],
        "group": "all dimensions" if len(groups) == 1 else f"the first of {len(groups)} groups of {list(groups)}",
        "saturation": f"within {SATURATION:g} nat of log n: the codes hold more than so many shapes can show",
    }
    if count < 2:
        return Part(figures | {"left_out": f"{count} shape: information is about telling shapes apart"})
    arrays = {}
    for name, codes in subjects.items():
        mean, std = (part[:, : groups[0]] for part in (codes.posterior_mean, codes.posterior_std))
        found = posterior_information(mean, std, draws=draws, seed=seed, work=work)
        figures[name] = {
            "active_units": active_units(mean),
            "kl": found.kl,
            "mutual_information": found.mutual_information,
            "mutual_information_standard_error": found.standard_error,
            "ceiling": found.ceiling,
            "saturated": found.saturated,
            "marginal_kl": found.marginal_kl,
            "total_correlation": found.total_correlation,
            "posterior_std": float(std.mean(dtype=np.float64)),
            "mutual_information_per_dimension": found.per_dimension.tolist(),
            "marginal_kl_per_dimension": found.marginal_kl_per_dimension.tolist(),
            "prior_distance": prior_distance(mean, std, seed=seed, work=work),
        }
        arrays[f"{name}_log_ratio"] = found.each
    return Part(figures, arrays)
