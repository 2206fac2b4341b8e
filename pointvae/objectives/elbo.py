"""The evidence lower bound, with beta, warm-up and free bits.

Sources: Kingma & Welling, "Auto-Encoding Variational Bayes", ICLR 2014; Higgins et al., "beta-VAE", ICLR 2017;
free bits: Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow", NeurIPS 2016.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.distributions import Independent, Normal

from pointvae.errors import InputError
from pointvae.models.vae import PointVAE, rsample
from pointvae.objectives.base import Bound, Term, Terms

ACTIVE_VARIANCE = 0.01
"""A latent dimension is active where its posterior mean varies by more than this over shapes.

Source: Burda et al., "Importance Weighted Autoencoders", ICLR 2016, section 5.2.
"""


def kl_to_prior(posterior: Independent[Normal]) -> Tensor:
    """KL( N(m, diag s²) || N(0, I) ) of every dimension [B, D], nats.

    KL_d = 1/2 (m_d² + s_d² - 1) - log s_d
    """
    mean, std = posterior.mean, posterior.stddev
    return 0.5 * (mean.square() + std.square() - 1.0) - std.log()


class ELBO(Bound):
    """L(x) = E_q[log p(x|z)] - beta KL( q(z|x) || p(z) ), one draw of z for each shape.

    Args:
        beta: weight of the KL.
        warmup_steps: steps over which beta grows linearly from 0.
        free_bits: nats of each latent dimension, on average over the batch, that cost nothing.
    """

    def __init__(self, beta: float = 1.0, warmup_steps: int = 0, free_bits: float = 0.0) -> None:
        for name, value in (("beta", beta), ("warmup_steps", warmup_steps), ("free_bits", free_bits)):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"ELBO: {name} must be a number >= 0, got {value}")
        self.beta, self.warmup_steps, self.free_bits = beta, warmup_steps, free_bits

    def kl(self, posterior: Independent[Normal]) -> Tensor:
        """KL to the prior [B], nats; a dimension below its free bits counts as exactly those, without gradient."""
        each = kl_to_prior(posterior)
        if self.free_bits > 0:
            costs = each.mean(dim=0, keepdim=True) > self.free_bits
            each = torch.where(costs, each, torch.full_like(each, self.free_bits))
        return each.sum(dim=1)

    def terms(
        self,
        model: PointVAE,
        posterior: Independent[Normal],
        target: Tensor,
        mask: Tensor | None = None,
        *,
        generator: Generator | None = None,
        step: int = 0,
    ) -> Terms:
        """``reconstruction`` = -log p(target|z) and ``kl``, for each shape [B], nats."""
        output = model.decoder(rsample(posterior, generator))
        warmth = min(1.0, step / self.warmup_steps) if self.warmup_steps else 1.0
        return {
            "reconstruction": Term(-model.likelihood.log_prob(output, target, mask)),
            "kl": Term(self.kl(posterior), self.beta * warmth),
        }
