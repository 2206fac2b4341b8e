"""Estimates of -log p(x) from importance weights, and what is told of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class NLL:
    """Estimates of -log p(x) for each shape [B], float64.

    Attributes:
        nll: -log of the mean importance weight, nats for the whole cloud; on average not below -log p(x).
        effective_samples: (Σ w)² / Σ w², from 1, where one draw decides alone, to the number of draws.
        standard_error: of ``nll``, nats, by the delta method; too small itself where few draws decide.
        elbo: mean over the same draws of log p(x|z) minus the KL, nats for the whole cloud.
    """

    nll: Tensor
    effective_samples: Tensor
    standard_error: Tensor
    elbo: Tensor


def nll_from_sums(first: Tensor, second: Tensor, elbo: Tensor, samples: int) -> NLL:
    """The estimates from log Σ w and log Σ w² over K draws."""
    effective = torch.exp(2.0 * first - second).clamp(1.0, samples)
    # the sample variance of w over K and its mean squared, in terms of the effective number of draws
    error = torch.sqrt((samples / effective - 1.0) / (samples - 1))
    return NLL(math.log(samples) - first, effective, error, elbo)


def describe(found: NLL, count: int) -> dict[str, Any]:
    """Means over shapes, per point."""
    return {
        "n_shapes": len(found.nll),
        "nll": found.nll.mean().item() / count,
        "standard_error_of_draws": found.standard_error.square().sum().sqrt().item() / (len(found.nll) * count),
        "standard_error_over_shapes": standard_error(found.nll) / count,
        "effective_samples": found.effective_samples.mean().item(),
        "share_below_2_effective_samples": (found.effective_samples < 2).double().mean().item(),
    }


def standard_error(values: Tensor) -> float:
    """Of the mean over shapes; 0 where there is one."""
    return values.std().item() / math.sqrt(len(values)) if len(values) > 1 else 0.0
