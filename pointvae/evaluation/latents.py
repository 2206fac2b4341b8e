"""What the latents carry: active units, KL by dimension, and how far a transformation moves the posterior."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.distributions import Independent, Normal

from pointvae.data.dataset import Shapes
from pointvae.evaluation.features import Codes, to_array
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.models.modes import evaluation_mode
from pointvae.models.vae import PointVAE
from pointvae.objectives.consistency import consistency_gap
from pointvae.objectives.elbo import ACTIVE_VARIANCE, kl_to_prior
from pointvae.randomness import generator_for
from pointvae.transforms import Transform

Floats = npt.NDArray[np.float32]
AnyFloats = npt.NDArray[np.floating[Any]]


def active_units(mean: Floats) -> int:
    """Latent dimensions whose posterior mean varies by more than 0.01 over the shapes, from means (n, D).

    Source: Burda et al., "Importance Weighted Autoencoders", ICLR 2016, section 5.2.
    """
    return int(np.sum(mean.var(axis=0, dtype=np.float64) > ACTIVE_VARIANCE))


def kl_per_dimension(mean: AnyFloats, std: AnyFloats) -> npt.NDArray[np.float64]:
    """KL( N(m, s²) || N(0, 1) ) of each dimension (D,), mean over shapes, nats; from m and s (n, D)."""
    m, s = (torch.from_numpy(part.astype(np.float64)) for part in (mean, std))
    divergence: npt.NDArray[np.float64] = kl_to_prior(Independent(Normal(m, s), 1)).mean(dim=0).numpy()
    return divergence


def describe_latents(codes: Codes) -> dict[str, Any]:
    """The figures of a set of codes, as JSON-able data: nats a shape, deviations in prior units."""
    divergence = kl_per_dimension(codes.posterior_mean, codes.posterior_std)
    return {
        "latent_dim": int(codes.posterior_mean.shape[1]),
        "active_units": active_units(codes.posterior_mean),
        "kl": float(divergence.sum()),
        "kl_per_dimension": divergence.tolist(),
        "posterior_std": float(codes.posterior_std.mean(dtype=np.float64)),
    }


def consistency_gaps(
    model: PointVAE,
    shapes: Shapes,
    transform: Transform,
    view: View | None = None,
    *,
    seed: int = 0,
    work: Work | None = None,
) -> Floats:
    """KL( q(z|t(x)) || q(z|x) ) of every shape (n,), nats, one draw of t each.

    The draw depends on ``seed`` and the place of the shape alone.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        shapes: the shapes.
        transform: t.
        view: which points are seen; all when absent.
        seed: what t is drawn from.
        work: how much is done at a time.
    """
    device = next(model.parameters()).device
    view = view or View()

    def gaps_of(places: range) -> Floats:
        clouds = torch.tensor(view.clouds(shapes, places))
        moved = [
            transform(cloud, generator=generator_for(seed, place))
            for cloud, place in zip(torch.split(clouds, 1), places, strict=True)
        ]
        return to_array(consistency_gap(model, clouds.to(device), Moved(torch.cat(moved).to(device))))

    with evaluation_mode(model):
        return np.concatenate((work or Work()).tiles(gaps_of, len(shapes), "measuring consistency"))


class Moved(Transform):
    """A transformation already made: gives the clouds it holds."""

    def __init__(self, clouds: torch.Tensor) -> None:
        self.clouds = clouds

    def __call__(
        self,
        points: torch.Tensor,
        mask: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """The clouds [B, N, 3] held, whatever comes in."""
        return self.clouds
