"""A model whose every quantity is known: p(z) = N(0, I), p(x|z) = N(W z, v I), with its exact posterior.

W = U diag(w) with orthonormal columns U, so that the exact posterior is diagonal: with rho = w² / (w² + v) it has the
variance v / (w² + v) = 1 - rho and the mean rho / w · Uᵀ x in each direction.
"""

import math

import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

POINTS = 2
SIZES = torch.tensor([2.0, 0.7, 0.3], dtype=torch.float64)  # w
VARIANCE = 0.4  # v


class Decoder(nn.Module):
    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return (z @ self.weight.T).view(len(z), -1, 3)


class GaussianNoise(nn.Module):
    is_normalised = True

    def __init__(self, variance: float) -> None:
        super().__init__()
        self.variance = variance

    def log_prob(self, output, target, mask=None):
        each = Normal(output, math.sqrt(self.variance)).log_prob(target).sum(dim=2)
        return (each if mask is None else each * mask).sum(dim=1)

    def cloud(self, output, count, generator=None, *, noisy=False):
        if not noisy:
            return output
        noise = torch.randn(output.shape, dtype=output.dtype, generator=generator)
        return output + math.sqrt(self.variance) * noise


class LinearGaussian(nn.Module):
    """Its posterior has the mean ``gain`` · Uᵀ x + ``shift`` and the deviation exp(``log_std``); exact at first.

    With ``fit`` = False each is moved off its exact value.
    """

    def __init__(self, fit: bool = True, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        square = torch.randn(3 * POINTS, 3 * POINTS, dtype=torch.float64, generator=generator)
        self.directions = torch.linalg.qr(square)[0][:, : len(SIZES)]
        self.rho = SIZES**2 / (SIZES**2 + VARIANCE)
        self.decoder = Decoder(self.directions * SIZES)
        self.likelihood = GaussianNoise(VARIANCE)
        off = 0.0 if fit else 1.0
        self.gain = nn.Parameter(self.rho / SIZES * (1.0 - 0.2 * off))
        self.shift = nn.Parameter(torch.full_like(SIZES, 0.15 * off))
        self.log_std = nn.Parameter(0.5 * torch.log(1.0 - self.rho) + 0.25 * off)
        self.latent_dim, self.groups = len(SIZES), [len(SIZES)]

    def posterior(self, points, mask=None):
        mean = self.gain * (points.flatten(1) @ self.directions) + self.shift
        return Independent(Normal(mean, self.log_std.exp().expand_as(mean)), 1)

    def exact(self, points):
        """The true p(z|x) as (mean [B, D], covariance [D, D]), by linear algebra alone."""
        weight = (self.directions * SIZES).detach()
        precision = torch.eye(len(SIZES), dtype=torch.float64) + weight.T @ weight / VARIANCE
        covariance = torch.linalg.inv(precision)
        return points.flatten(1) @ weight @ covariance.T / VARIANCE, covariance

    def log_marginal(self, points):
        """Log p(x) [B], nats: x ~ N(0, W Wᵀ + v I)."""
        weight = (self.directions * SIZES).detach()
        covariance = weight @ weight.T + VARIANCE * torch.eye(3 * POINTS, dtype=torch.float64)
        return MultivariateNormal(torch.zeros(3 * POINTS, dtype=torch.float64), covariance).log_prob(
            points.flatten(1)
        )

    def draw(self, count: int, seed: int = 1):
        """Clouds of the model itself [B, N, 3]."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(count, len(SIZES), dtype=torch.float64, generator=generator)
        with torch.no_grad():
            return self.likelihood.cloud(self.decoder(z), POINTS, generator, noisy=True)
