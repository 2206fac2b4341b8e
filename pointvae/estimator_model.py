"""What a `PointVAETransformer` does with its model: decode, bound, pack it; and where its seed comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from pointvae.data.sampling import Geometry
from pointvae.errors import InputError
from pointvae.estimator_input import Floats, padded
from pointvae.evaluation.features import to_array, to_tensors
from pointvae.evaluation.work import Work
from pointvae.models.build import build_model
from pointvae.models.modes import evaluation_mode
from pointvae.models.posteriors import follow
from pointvae.models.vae import PointVAE
from pointvae.objectives.elbo import kl_to_prior
from pointvae.randomness import generator_for

PAIRS = 4
"""Pairs of draws z = m ± s ε that a bound is the mean of."""


def decode_latents(model: PointVAE, latents: Floats, work: Work) -> Floats:
    """The clouds (n, M, 3) of latents (n, D)."""
    device = next(model.parameters()).device

    def decode(places: range) -> Floats:
        return to_array(model.decode(torch.tensor(latents[places.start : places.stop], device=device)))

    with evaluation_mode(model):
        return np.concatenate(work.tiles(decode, len(latents), "decoding"))


def bounds(model: PointVAE, clouds: Sequence[Floats], work: Work) -> Floats:
    """The mean over draws of log p(x|z) - KL( q(z|x) || p(z) ) of clouds (p_i, 3), each divided by p_i; nats (n,)."""
    parameter = next(model.parameters())

    def measure(places: range) -> Floats:
        points, mask = to_tensors(*padded(clouds[places.start : places.stop]), parameter.device)
        posterior = model.posterior(points, mask)
        half = torch.stack([_noise(clouds[place], model.latent_dim) for place in places], dim=1).to(parameter)

        def bound(noise: Tensor) -> Tensor:
            path = follow(posterior, noise)
            log_likelihood = model.likelihood.log_prob(model.decoder(path.z), points, mask)
            return log_likelihood.double() - kl_to_prior(path).double().sum(dim=1)

        count = points.shape[1] if mask is None else mask.sum(dim=1)
        mean = torch.stack([bound(noise) for noise in torch.cat([half, -half])]).mean(dim=0) / count
        return to_array(mean)  # single, as what it is made of

    with evaluation_mode(model):
        return np.concatenate(work.tiles(measure, len(clouds), "scoring"))


def _noise(cloud: Floats, dim: int) -> Tensor:
    """Standard normal noise [pairs, D] of one cloud, made from its points alone: not from its place, nor their order.

    One noise for all would be simpler, but then what a few draws miss does not average out over shapes.
    """
    digest = Geometry(cloud[np.lexsort(cloud.T)].astype(np.float64)).digest()
    return torch.randn(PAIRS, dim, generator=generator_for(int(digest, 16)))


def packed(model: PointVAE) -> tuple[str, dict[str, Any], bytes]:
    """Class, constructor's arguments and safetensors: torch's own pickles run code, and tie a file to a device."""
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    return type(model).__name__, model.config, save(weights)


def unpacked(state: tuple[str, dict[str, Any], bytes]) -> PointVAE:
    """The model that was packed, on the CPU and in evaluation mode."""
    kind, config, weights = state
    model = build_model(config, 0, kind)
    model.load_state_dict(load(weights))
    return model.eval()


def seed_from(random_state: int | np.random.RandomState | None) -> int:
    """The seed itself, the next one of a RandomState, or fresh entropy; numpy's global generator is left alone.

    Raises:
        InputError: it is none of these.
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer) or random_state < 0:
        raise InputError(f"random_state must be None, a whole number >= 0 or a RandomState, got {random_state!r}")
    return int(random_state)
