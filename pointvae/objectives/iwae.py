"""The importance-weighted bound: many draws of z for each shape, weighed against each other.

Sources: Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016, equation 8; the low-variance
encoder gradient: Tucker, Lawson, Gu & Maddison, "Doubly Reparameterized Gradient Estimators for Monte Carlo
Objectives", ICLR 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Generator, Tensor

from pointvae.models.posteriors import Path, Posterior, along, draw_noise, follow, frozen, repeat
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Bound, Term, Terms, check_number
from pointvae.objectives.elbo import kl_to_prior


@dataclass(frozen=True)
class Weighed:
    """What K draws of z for each shape are worth.

    Attributes:
        path: the draws, [K B, D]; the whole batch K times, one after another.
        log_likelihood: log p(x|z_k) [K, B], nats.
        log_weight: log w_k = log p(x, z_k) - log q(z_k|x) [K, B], nats.
    """

    path: Path
    log_likelihood: Tensor
    log_weight: Tensor

    def kl(self) -> Tensor:
        """KL( q(z|x) || p(z) ) in closed form along each drawn path [K, B], nats."""
        return kl_to_prior(self.path).sum(dim=1).view(self.log_weight.shape)


def log_prior(z: Tensor) -> Tensor:
    """Log N(z; 0, I) of latents [B, D]: [B], nats."""
    return -0.5 * (z.square() + math.log(2.0 * math.pi)).sum(dim=1)


def weigh(
    model: PointVAE,
    posterior: Posterior,
    target: Tensor,
    mask: Tensor | None,
    noise: Tensor,
    *,
    dreg: bool = False,
) -> Weighed:
    """Importance weights of the draws that noise [K B, D] makes of a posterior of B shapes.

    Args:
        model: decoder and likelihood.
        posterior: q(z|x) of the shapes.
        target: clouds x whose likelihood is taken [B, N, 3]; K copies of them go through the likelihood.
        mask: which of their points exist [B, N].
        noise: the batch of draws K times, one after another, as `draw_noise` gives it.
        dreg: hold the parameters of q inside log w, and scale the gradient into z_k by its normalised weight.
    """
    samples = len(noise) // len(target)
    many = repeat(posterior, samples)
    path = follow(many, noise)
    log_q = (along(frozen(many), path.z) if dreg else path).log_prob()
    masks = None if mask is None else mask.repeat(samples, 1)
    log_likelihood = model.likelihood.log_prob(model.decoder(path.z), target.repeat(samples, 1, 1), masks)
    log_weight = (log_likelihood + log_prior(path.z) - log_q).view(samples, -1)
    if dreg and path.z.requires_grad:
        # log w_k sends its gradient times w̃_k into z_k; once more makes Σ_k w̃_k² ∂log w_k/∂z_k ∂z_k/∂φ
        share = log_weight.detach().softmax(dim=0).view(-1, 1)
        path.z.register_hook(lambda grad: share * grad)  # type: ignore[no-untyped-call]
    return Weighed(path, log_likelihood.view(samples, -1), log_weight)


class IWAE(Bound):
    """L_K(x) = E[ log 1/K Σ_k p(x, z_k) / q(z_k|x) ], z_k ~ q(z|x) independently, to be maximised.

    It rises with K from the ELBO to log p(x). Flat and hierarchical posteriors alike: log q is that of the whole
    path. K copies of the batch go through decoder and likelihood, so memory and time are K times the ELBO's. The
    bound is in true nats with a normalised likelihood (``mixture``); with ``chamfer``, which is no density, it trains
    on a pseudo-bound that weighs draws in the same way and means nothing beyond runs of one sigma.

    Args:
        samples: K. One is the ELBO with log q drawn instead of its KL in closed form.
        dreg: the doubly reparameterised gradient for the encoder: the same in expectation, with a signal-to-noise
            ratio that grows with K instead of falling. The value and the decoder's gradient are as without.
    """

    def __init__(self, samples: int = 5, dreg: bool = False) -> None:
        check_number("IWAE", "samples", samples, low=1)
        self.samples, self.dreg = samples, dreg

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
        """``iwae`` = -L_K for each shape [B], nats.

        ``reconstruction`` = -log p(target|z) and ``kl``, means over the draws, are reported beside it (weight 0,
        without gradient) as the ELBO's terms are.
        """
        noise = draw_noise(posterior, generator, samples=self.samples, copies=copies)
        found = weigh(model, posterior, points if target is None else target, mask, noise, dreg=self.dreg)
        return {
            "iwae": Term(math.log(self.samples) - found.log_weight.logsumexp(dim=0)),
            "reconstruction": Term(-found.log_likelihood.detach().mean(dim=0), 0.0),
            "kl": Term(found.kl().detach().mean(dim=0), 0.0),
        }
