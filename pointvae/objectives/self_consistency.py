"""Self-consistency: what the decoder makes of a code must be encoded back to that code.

Source: Cemgil et al., "The Autoencoding Variational Autoencoder", NeurIPS 2020, arXiv 2012.03715.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor

from pointvae.errors import InputError
from pointvae.geometry.sampling import shuffled
from pointvae.models.modes import evaluation_mode
from pointvae.models.posteriors import Path, Posterior, draw_noise, follow
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Bound, Term, Terms, check_number
from pointvae.objectives.elbo import ELBO


def coupling_kl(code: Path, again: Path, rho: float) -> Tensor:
    """Expected KL( q(z~|x~) || N(rho z, (1 - rho²) I) ) over z ~ N(m, v), of every dimension [B, D], nats.

        1/2 [ (v' + rho² v + (m' - rho m)²) / (1 - rho²) - 1 - log( v' / (1 - rho²) ) ]

    with m, v of q(z|x) and m', v' of q(z~|x~). The expectation takes x~ as given.
    """
    left = 1.0 - rho**2
    v, v_again = code.stddev.square(), again.stddev.square()
    squared = v_again + rho**2 * v + (again.mean - rho * code.mean).square()
    return 0.5 * (squared / left - 1.0 - torch.log(v_again / left))


@torch.no_grad()
def decoded(
    model: PointVAE,
    z: Tensor,
    like: Tensor,
    mask: Tensor | None = None,
    generator: Generator | None = None,
    *,
    noisy: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What latents [B, D] decode to, as clouds [B, N, 3] to be encoded again, and their mask; without gradient.

    They have as many points as the clouds ``like`` [B, N, 3] with ``mask`` [B, N], where the decoder has so many.
    """
    clouds = model.likelihood.cloud(model.decoder(z), like.shape[1], generator, noisy=noisy)
    if mask is None or clouds.shape[1] < like.shape[1]:
        return clouds, None
    return shuffled(clouds, generator), mask


class SelfConsistency(Bound):
    """AVAE: L(x) - weight E[ KL( q(z~|x~) || p_rho(z~|z) ) ], to be maximised, around any bound L.

    The chain is x -> z ~ q(z|x) -> x~ = decoder(z) -> q(z~|x~), and p_rho(z~|z) = N(rho z, (1 - rho²) I) couples its
    ends so that both are N(0, I). No gradient passes x~: the encoder is taught from both ends, the decoder by L
    alone. (A hierarchical posterior reads the anchors that the decoder places; those networks are of both.)

    For point clouds x~ is a set. It has as many points as x, since an encoder's features depend on the number of
    points it sees: a larger output is thinned at random, a smaller one is taken whole. ``mean`` takes the decoder's
    points as they are, as the paper takes the decoder's mean; of a mixture it takes each centre as often as its
    weight says, since a centre of no weight lies anywhere. ``sample`` adds the mixture's own noise: then x~ is an
    exact draw of p(x|z), noisier than the surface where the scales are wide. A Chamfer likelihood is no density and
    has no draw.

    x~ is encoded with the running statistics of batch normalisation, as it will be once training is over. Its own
    batch's statistics would normalise away the very shift from x to x~ that the penalty is there to see.

    Args:
        base: the bound L; the ELBO when absent.
        rho: how closely the ends are coupled, in (0, 1). Both posteriors are pulled to the variance 1 - rho².
        weight: factor of the penalty; 1 is the paper's.
        draw: what x~ is: ``mean`` or ``sample``.
    """

    def __init__(
        self,
        base: Bound | None = None,
        rho: float = 0.975,
        weight: float = 1.0,
        draw: Literal["mean", "sample"] = "mean",
    ) -> None:
        if not 0 < rho < 1:
            raise InputError(f"SelfConsistency: rho must be between 0 and 1, got {rho}")
        if draw not in ("mean", "sample"):
            raise InputError(f"SelfConsistency: draw must be 'mean' or 'sample', got {draw!r}")
        self.base = base if base is not None else ELBO()
        self.rho, self.weight, self.draw = rho, check_number("SelfConsistency", "weight", weight), draw

    def terms(
        self,
        model: PointVAE,
        posterior: Posterior,
        points: Tensor,
        mask: Tensor | None = None,
        *,
        target: Tensor | None = None,
        copies: int = 1,
        generator: Generator | None = None,
        step: int = 0,
    ) -> Terms:
        """The base's terms and ``self_consistency``, for each shape [B], nats."""
        terms = self.base.terms(
            model, posterior, points, mask, target=target, copies=copies, generator=generator, step=step
        )
        code = follow(posterior, draw_noise(posterior, generator, copies=copies))
        again, there = decoded(model, code.z, points, mask, generator, noisy=self.draw == "sample")
        with evaluation_mode(model):
            chain = model.posterior(again, there)
        back = follow(chain, draw_noise(chain, generator, copies=copies))
        terms["self_consistency"] = Term(coupling_kl(code, back, self.rho).sum(dim=1), self.weight)
        return terms
