"""The evidence lower bound, with beta, warm-up, free bits and balanced groups.

Sources: Kingma & Welling, "Auto-Encoding Variational Bayes", ICLR 2014; Higgins et al., "beta-VAE", ICLR 2017;
free bits: Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow", NeurIPS 2016;
balancing: Vahdat & Kautz, "NVAE: A Deep Hierarchical Variational Autoencoder", NeurIPS 2020.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.distributions import Independent, Normal

from pointvae.global_batch import mean_over_batch
from pointvae.models.posteriors import Path, Posterior, draw_noise, follow
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Bound, Term, Terms, check_number, warmth

ACTIVE_VARIANCE = 0.01
"""A latent dimension is active where its posterior mean varies by more than this over shapes.

Source: Burda et al., "Importance Weighted Autoencoders", ICLR 2016, section 5.2.
"""


def kl_to_prior(posterior: Posterior | Path) -> Tensor:
    """KL( N(m, diag s²) || N(0, I) ) of every dimension [B, D], nats, of a flat posterior or along a path.

    Of a hierarchical posterior, along the path of its means.

    KL_d = 1/2 (m_d² + s_d² - 1) - log s_d
    """
    mean, std = posterior.mean, posterior.stddev
    return 0.5 * (mean.square() + std.square() - 1.0) - std.log()


def group_coefficients(each: Tensor, groups: list[int]) -> Tensor:
    """NVAE's coefficients of latent groups [L], with mean 1, from the KL of every dimension [B, D].

    gamma_l ∝ E_x[KL_l] / D_l, without gradient: a group that says much for its size pays more, so that none is left
    unused while the KL warms up.
    """
    said = torch.stack([part.sum(dim=1).mean() for part in torch.split(each.detach(), groups, dim=1)])
    said, _ = mean_over_batch(said, len(each))
    # sizes stay Python's numbers: a tensor of them would make the host wait for a copy
    rates = torch.stack([part / size for part, size in zip(said, groups, strict=True)]) + 1e-3
    return rates / rates.mean()


class ELBO(Bound):
    """L(x) = E_q[log p(x|z)] - beta KL( q(z|x) || p(z) ), one draw of z for each shape.

    For a hierarchical posterior the KL is Σ_l KL( q(z_l|z_<l, x) || p(z_l|z_<l) ) along the drawn path.

    Args:
        beta: weight of the KL.
        warmup_steps: steps over which beta grows linearly from 0.
        free_bits: nats of each latent dimension, on average over the batch, that cost nothing.
        balance: while beta grows, let latent groups pay by what they say for their size, as NVAE does; without
            effect on a model of one group.
    """

    def __init__(
        self, beta: float = 1.0, warmup_steps: int = 0, free_bits: float = 0.0, balance: bool = False
    ) -> None:
        for name, value in (("beta", beta), ("warmup_steps", warmup_steps), ("free_bits", free_bits)):
            check_number("ELBO", name, value)
        self.beta, self.warmup_steps, self.free_bits, self.balance = beta, warmup_steps, free_bits, balance

    def kl(self, posterior: Independent[Normal] | Path) -> Tensor:
        """KL to the prior [B], nats; a dimension below its free bits counts as exactly those, without gradient."""
        return self._paid(kl_to_prior(posterior)).sum(dim=1)

    def _paid(self, each: Tensor) -> Tensor:
        if self.free_bits > 0:
            average, _ = mean_over_batch(each.detach().mean(dim=0, keepdim=True), len(each))
            costs = average > self.free_bits
            each = torch.where(costs, each, torch.full_like(each, self.free_bits))
        return each

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
        """``reconstruction`` = -log p(target|z) and ``kl``, for each shape [B], nats.

        While groups are balanced, ``kl_balance`` is what balancing adds to ``kl``.
        """
        path = follow(posterior, draw_noise(posterior, generator, copies=copies))
        target = points if target is None else target
        each, weight = self._paid(kl_to_prior(path)), self.beta * warmth(step, self.warmup_steps)
        terms = {
            "reconstruction": Term(-model.likelihood.log_prob(model.decoder(path.z), target, mask)),
            "kl": Term(each.sum(dim=1), weight),
        }
        if self.balance and len(model.groups) > 1 and step < self.warmup_steps:
            extra = group_coefficients(each, model.groups) - 1.0
            parts = torch.stack([part.sum(dim=1) for part in torch.split(each, model.groups, dim=1)], dim=1)
            terms["kl_balance"] = Term(parts @ extra, weight)
        return terms
