"""A small hierarchical posterior of two groups, and a model that has it."""

import torch
from torch import nn

from pointvae.models.posteriors import HierarchicalPosterior, Path
from pointvae.models.vae import PointVAE
from tests.models.test_contract import tiny

FIRST = 2  # size of the first group


class TwoGroups(HierarchicalPosterior):
    """q(z_1|x) = N(m_1, s_1²); q(z_2|z_1, x) = N(m_2 + tanh(z_1) A, (s_2 exp(sin(z_1) B))²)."""

    def __init__(self, mean, std, shift, spread):
        super().__init__(*mean.shape)
        self.base_mean, self.base_std, self.shift, self.spread = mean, std, shift, spread

    def _second(self, first):
        mean = self.base_mean[:, FIRST:] + torch.tanh(first) @ self.shift
        return mean, self.base_std[:, FIRST:] * torch.exp(torch.sin(first) @ self.spread)

    def path(self, noise):
        mean, std = self.base_mean[:, :FIRST], self.base_std[:, :FIRST]
        first = mean + std * noise[:, :FIRST]
        mean_2, std_2 = self._second(first)
        z = torch.cat([first, mean_2 + std_2 * noise[:, FIRST:]], dim=1)
        return Path(z, torch.cat([mean, mean_2], dim=1), torch.cat([std, std_2], dim=1))

    def along(self, z):
        mean_2, std_2 = self._second(z[:, :FIRST])
        mean, std = self.base_mean[:, :FIRST], self.base_std[:, :FIRST]
        return Path(z, torch.cat([mean, mean_2], dim=1), torch.cat([std, std_2], dim=1))

    def select(self, shapes):
        return TwoGroups(self.base_mean[shapes], self.base_std[shapes], self.shift, self.spread)

    def repeat(self, times):
        return TwoGroups(self.base_mean.repeat(times, 1), self.base_std.repeat(times, 1), self.shift, self.spread)

    def frozen(self):
        return TwoGroups(*(p.detach() for p in (self.base_mean, self.base_std, self.shift, self.spread)))

    def _zeros(self):
        return torch.zeros_like(self.base_mean)


class TwoGroupVAE(PointVAE):
    """The flat model with groups of two and three dimensions."""

    def __init__(self, **config):
        super().__init__(**config)
        generator = torch.Generator().manual_seed(5)
        self.shift = nn.Parameter(torch.randn(FIRST, self.latent_dim - FIRST, generator=generator))
        self.spread = nn.Parameter(0.5 * torch.randn(FIRST, self.latent_dim - FIRST, generator=generator))

    @property
    def groups(self):
        return [FIRST, self.latent_dim - FIRST]

    def posterior(self, points, mask=None):
        flat = super().posterior(points, mask)
        return TwoGroups(flat.mean, flat.stddev, self.shift, self.spread)


def two_groups(likelihood="mixture") -> TwoGroupVAE:
    flat = tiny(likelihood=likelihood)
    with torch.random.fork_rng():
        model = TwoGroupVAE(**flat.config).double()
    model.load_state_dict(flat.state_dict(), strict=False)
    return model


def numbers(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def two_group_posterior(batch=3, seed=0) -> TwoGroups:
    """One by itself, of five dimensions, whose parameters are leaves."""
    parts = [numbers(batch, 5, seed=seed), 0.3 * numbers(batch, 5, seed=seed + 1)]
    parts += [numbers(FIRST, 3, seed=seed + 2), 0.5 * numbers(FIRST, 3, seed=seed + 3)]
    mean, log_std, shift, spread = parts
    return TwoGroups(*(p.requires_grad_() for p in (mean, log_std.exp(), shift, spread)))
