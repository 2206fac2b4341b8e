"""Smooth encoder: clouds that are near each other, but as far apart as they can be in code, are pulled together.

Source: Cemgil et al., "Adversarially Robust Representations with Smooth Encoders", ICLR 2020.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from pointvae.geometry.balls import LinfBall
from pointvae.models.modes import evaluation_mode
from pointvae.models.posteriors import Path, Posterior, along, draw_noise, follow
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Bound, Term, Terms, check_number
from pointvae.objectives.elbo import ELBO
from pointvae.randomness import uniform

REACH = 2.0
"""Radii that the steps of the ascent cover together: what it takes to cross the ball from any start."""


def entropic_w2(first: Path, second: Path, g: float) -> Tensor:
    """Entropic squared 2-Wasserstein term of N(m_a, s_a²) and N(m_b, s_b²), of every dimension [B, D], nats.

    The least over Gaussian couplings, which are told by their correlation r, of E[ g/2 (z_a - z_b)² ] - entropy,
    less the constant log 2πe of the entropy:

        W = g/2 [ (m_a - m_b)² + s_a² + s_b² - 2 r s ] - 1/2 log(1 - r²) - log s_a - log s_b
        r = (-1 + sqrt(1 + 4 g² s²)) / (2 g s), s = s_a s_b

    Args:
        first: q_a.
        second: q_b, given the same groups before each.
        g: strength of the coupling, nats per squared latent length.
    """
    c = g * first.stddev * second.stddev
    root = torch.sqrt(1.0 + 4.0 * c.square())
    # r = 2 c / (1 + root); what W needs of it, free of differences that vanish for small or large c:
    apart = (1.0 + 1.0 / (root + 2.0 * c)) / (1.0 + root)  # 1 - r
    log_left = torch.log(2.0 / (1.0 + root))  # log(1 - r²)
    moved = (first.mean - second.mean).square() + (first.stddev - second.stddev).square()
    return 0.5 * g * moved + c * apart - 0.5 * log_left - first.stddev.log() - second.stddev.log()


def smoothness(first: Path, second: Path, g: float) -> Tensor:
    """What a second code adds to KL( q(z_a) || N(0, 1) ), of every dimension [B, D], nats.

        KL( q(z_a, z_b) || p_g(z_a, z_b) ) - KL( q(z_a) || N(0, 1) )
            = W + log s_a + 1/2 (m_b² + s_b² - 1 - log(1 + 2 g))

    with q the coupling of ``entropic_w2`` and p_g ∝ exp( -1/2 z_a² - 1/2 z_b² - g/2 (z_a - z_b)² ), a Gaussian of
    correlation g / (1 + g) and variances (1 + g) / (1 + 2 g).

    Args:
        first: q(z_a).
        second: q(z_b), given the same groups before each.
        g: strength of the coupling, nats per squared latent length.
    """
    prior = 0.5 * (second.mean.square() + second.stddev.square() - 1.0 - math.log1p(2.0 * g))
    return entropic_w2(first, second, g) + first.stddev.log() + prior


class SmoothEncoder(Bound):
    """SE: E_q[log p(x|z_a)] - KL( q(z_a, z_b | x, x_b) || p_g(z_a, z_b) ), to be maximised.

    x_b is the cloud near x whose code an ascent has found to be far from that of x; p_g holds the two codes together,
    and q couples the two posteriors as well as they can be. Around the ELBO (beta 1) the terms are exactly this: the
    base's reconstruction of x and KL of z_a, and ``smoothness``, the rest. Around another bound the same smoothness
    is added to that bound's own terms. Of a hierarchical model, q(z_b) is taken group by group along the path of z_a.

    The codes that p_g expects have the variance (1 + g) / (1 + 2 g), one half for large g, and not the 1 of the prior
    that samples are drawn from. (AVAE's coupling leaves it at 1.)

    The ascent moves every coordinate of every point within ``radius``, from a random start, ``steps`` times by the
    sign of the gradient of ``entropic_w2``. It sees the model in evaluation mode and leaves no trace in it. Points
    that no gradient reaches, as those that win no maximum of PointNet's, stay at their random start.

    Args:
        base: the bound L; the ELBO when absent.
        coupling: g, nats per squared latent length. 39 is the correlation g / (1 + g) = 0.975 that AVAE uses.
        radius: largest move along an axis, unit-sphere lengths. 0.05 is five times the default jitter and about
            the gap between neighbours among 256 points on a shape: what such a cloud cannot tell apart.
        steps: of the ascent; each costs a pass through the encoder and back. 2 long ones, of ``REACH`` / 2 radii,
            keep training affordable; more find worse neighbours. 0 is the random start alone, an ablation.
        weight: factor of the smoothness; 1 is the bound.
    """

    def __init__(
        self,
        base: Bound | None = None,
        coupling: float = 39.0,
        radius: float = 0.05,
        steps: int = 2,
        weight: float = 1.0,
    ) -> None:
        for name, value in (("coupling", coupling), ("radius", radius), ("steps", steps), ("weight", weight)):
            check_number("SmoothEncoder", name, value)
        self.base = base if base is not None else ELBO()
        self.coupling, self.radius, self.steps, self.weight = coupling, radius, steps, weight

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
        """The base's terms and ``smoothness``, for each shape [B], nats."""
        terms = self.base.terms(
            model, posterior, points, mask, target=target, copies=copies, generator=generator, step=step
        )
        noise = draw_noise(posterior, generator, copies=copies)
        near = self.perturbed(model, points, mask, noise, generator)
        # a second pass: in training, batch norms take x_b by its own batch's statistics, and update the running ones
        # again; running statistics would tell x from x_b by how far they lag behind, even at a radius of zero
        code = follow(posterior, noise)
        second = along(model.posterior(near, mask), code.z)
        terms["smoothness"] = Term(smoothness(code, second, self.coupling).sum(dim=1), self.weight)
        return terms

    def perturbed(
        self,
        model: PointVAE,
        points: Tensor,
        mask: Tensor | None,
        noise: Tensor,
        generator: Generator | None = None,
    ) -> Tensor:
        """Clouds x_b [B, N, 3] near ``points`` whose codes are far, without gradient; absent points stay put.

        Args:
            model: the model; its modes, statistics and gradients are left as they are.
            points: clouds x [B, N, 3].
            mask: which points exist [B, N]; all when absent.
            noise: what the path of z_a is drawn with [B, D]; of no effect on a flat posterior.
            generator: where the random start comes from.
        """
        # validation may run in inference mode, whose tensors cannot be differentiated; copies of them can
        with torch.inference_mode(False), evaluation_mode(model):
            points, noise = points.detach().clone(), noise.clone()
            mask = None if mask is None else mask.clone()
            with torch.no_grad():
                code = follow(model.posterior(points, mask), noise)
            move = uniform(points.shape, generator, points.device, points.dtype)
            ball = LinfBall(self.radius)
            move = ball.project((2.0 * move - 1.0) * self.radius, mask)
            for _ in range(self.steps):
                with torch.enable_grad():
                    move.requires_grad_()
                    second = along(model.posterior(points + move, mask), code.z)
                    (slope,) = torch.autograd.grad(entropic_w2(code, second, self.coupling).sum(), move)
                stride = REACH * self.radius / self.steps
                move = ball.project(move.detach() + stride * ball.steepest(slope), mask)
            return points + move
