"""Self-consistency measured: how far the code of a shape drifts as it is decoded and encoded again and again.

The chain starts at q_0 = q(z|x) and z_0, its mean. Round n decodes z_{n-1} to a cloud x_n of as many points as x and
encodes it: q_n = q(z|x_n), z_n its mean. A self-consistent model (Cemgil et al., "The Autoencoding Variational
Autoencoder", NeurIPS 2020) stays where it is; the measure is ours.

The KLs of the posteriors are measured in widths of the posterior: a model that narrows its posteriors, as AVAE's does
to the variance 1 - rho², can halve the way that codes go and still raise them. The way itself, in standard deviations
of the prior, compares models whose posteriors differ in width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.features import to_array
from pointvae.evaluation.probing.linear_probe import LinearProbe
from pointvae.evaluation.scores import standard_error
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.models.modes import evaluation_mode
from pointvae.models.vae import PointVAE
from pointvae.objectives.consistency import kl_between
from pointvae.randomness import generator_for

Floats = npt.NDArray[np.float32]
ROUNDS = 5
OVERFLOW = "decoded and encoded again, codes become NaN or infinite: the model's weights are too large"


@dataclass(frozen=True)
class Drift:
    """What a chain of R rounds makes of n shapes.

    Attributes:
        kl_to_start: KL( q_r || q_0 ) for r = 1 to R (R, n), nats.
        kl_step: KL( q_r || q_{r-1} ) for r = 1 to R (R, n), nats.
        codes: z_r for r = 0 to R (R + 1, n, D), in standard deviations of the prior.
    """

    kl_to_start: Floats
    kl_step: Floats
    codes: Floats

    @property
    def rounds(self) -> int:
        """R."""
        return len(self.kl_step)

    @property
    def distance_to_start(self) -> Floats:
        """Root mean square over dimensions of z_r - z_0 for r = 1 to R (R, n), standard deviations of the prior."""
        distance: Floats = np.sqrt(np.square(self.codes[1:] - self.codes[0]).mean(axis=2))
        return distance

    def describe(self) -> dict[str, Any]:
        """Means over the shapes and their standard errors, each round, as JSON-able data."""
        figures: dict[str, Any] = {"rounds": self.rounds}
        for name in ("kl_to_start", "kl_step", "distance_to_start"):
            each = getattr(self, name)
            figures[name] = each.mean(axis=1, dtype=np.float64).tolist()
            figures[f"{name}_standard_error"] = standard_error(each).tolist()
        return figures


def self_consistency_drift(
    model: PointVAE,
    shapes: Shapes,
    view: View | None = None,
    rounds: int = ROUNDS,
    *,
    seed: int = 0,
    work: Work | None = None,
) -> Drift:
    """Follow the chain from every shape.

    What is drawn (the points of a decoded cloud; of a hierarchical posterior, the path along which its KL is taken,
    one for each shape and round) depends on ``seed``, the round and the place of the shape alone.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        shapes: the shapes.
        view: which points are seen; all when absent.
        rounds: R.
        seed: what is drawn from.
        work: how much is done at a time.

    Raises:
        InputError: there is no shape, too few points for the view, or no round.
    """
    if rounds < 1:
        raise InputError(f"rounds must be at least 1, got {rounds}")
    if not len(shapes):
        raise InputError("no shape to measure the drift of: the split or folder is empty")
    device = next(model.parameters()).device
    seen = view or View()

    def chains(places: range) -> tuple[Floats, Floats, Floats]:
        return _chain(model, torch.tensor(seen.clouds(shapes, places), device=device), rounds, seed, places)

    with evaluation_mode(model):
        parts = (work or Work()).tiles(chains, len(shapes), "measuring drift")
    found = Drift(*(np.concatenate(part, axis=1) for part in zip(*parts, strict=True)))
    if not all(np.isfinite(values).all() for values in (found.kl_to_start, found.kl_step, found.codes)):
        raise InputError(OVERFLOW)
    return found


def _chain(model: PointVAE, clouds: Tensor, rounds: int, seed: int, places: range) -> tuple[Floats, Floats, Floats]:
    """KLs to the start and of each step (R, B), and codes (R + 1, B, D), of one batch of clouds [B, N, 3]."""
    count, start = clouds.shape[1], model.posterior(clouds)
    before, codes = start, [start.mean]
    to_start: list[Tensor] = []
    step: list[Tensor] = []
    for turn in range(rounds):
        draws = [generator_for(seed, place, turn, device=clouds.device) for place in places]
        posterior = model.posterior(_decoded(model, codes[-1], count, draws))
        noise = torch.stack(
            [
                torch.randn(z.shape, device=z.device, dtype=z.dtype, generator=g)
                for z, g in zip(codes[-1], draws, strict=True)
            ]
        )
        to_start.append(kl_between(posterior, start, noise).sum(dim=1))
        step.append(kl_between(posterior, before, noise).sum(dim=1))
        before = posterior
        codes.append(posterior.mean)
    return to_array(torch.stack(to_start)), to_array(torch.stack(step)), to_array(torch.stack(codes))


def _decoded(model: PointVAE, z: Tensor, count: int, draws: list[Generator]) -> Tensor:
    """What latents [B, D] decode to, as clouds of ``count`` points, each thinned by its own generator."""
    rows = model.decoder(z)
    if not bool(rows.isfinite().all()):
        raise InputError(OVERFLOW)
    return torch.cat([model.likelihood.cloud(row, count, g) for row, g in zip(rows.split(1), draws, strict=True)])


def probe_drift(drift: Drift, probe: LinearProbe, labels: npt.NDArray[np.int64]) -> list[float]:
    """Accuracy of a frozen probe of posterior means on the codes of every round, 0 to R.

    Args:
        drift: the chain of the test shapes.
        probe: fitted to the training shapes' posterior means.
        labels: of the test shapes (n,).
    """
    return [float(np.mean(probe.predict(codes) == labels)) for codes in drift.codes]
