"""What the latents carry: active units, KL by dimension, and how far a transformation moves the posterior."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.distributions import Independent, Normal

from pointvae.data.dataset import Shapes
from pointvae.evaluation.features import Codes, evaluating
from pointvae.evaluation.progress import track
from pointvae.evaluation.views import View
from pointvae.models.vae import PointVAE
from pointvae.objectives.consistency import consistency_gap
from pointvae.objectives.elbo import ACTIVE_VARIANCE, kl_to_prior
from pointvae.randomness import generator_for
from pointvae.transforms import Transform

Floats = npt.NDArray[np.float32]


def active_units(mean: Floats) -> int:
    """Latent dimensions whose posterior mean varies by more than 0.01 over the shapes, from means (n, D).

    Source: Burda et al., "Importance Weighted Autoencoders", ICLR 2016, section 5.2.
    """
    return int(np.sum(mean.var(axis=0, dtype=np.float64) > ACTIVE_VARIANCE))


def kl_per_dimension(mean: Floats, std: Floats) -> npt.NDArray[np.float64]:
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
    batch_size: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> Floats:
    """KL( q(z|t(x)) || q(z|x) ) of every shape (n,), nats, one draw of t each.

    The draw depends on ``seed`` and the place of the shape, not on the batch size.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        shapes: the shapes.
        transform: t.
        view: which points are seen; all when absent.
        batch_size: shapes a step.
        seed: what t is drawn from.
        progress: show a bar on stderr.
    """
    device = next(model.parameters()).device
    view = view or View()
    gaps: list[Floats] = []
    batches = view.clouds(shapes, batch_size)
    steps = -(-len(shapes) // max(batch_size, 1))
    place = 0
    with evaluating(model):
        for batch in track(batches, "measuring consistency", steps, shown=progress):
            clouds = torch.from_numpy(batch)
            moved = torch.empty_like(clouds)
            for row in range(len(clouds)):
                generator = generator_for(seed, place)
                moved[row] = transform(clouds[row : row + 1], generator=generator)[0]
                place += 1
            gap = consistency_gap(model, clouds.to(device), Moved(moved.to(device)))
            gaps.append(gap.float().cpu().numpy())
    return np.concatenate(gaps)


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
