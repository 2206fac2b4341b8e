"""Every kernel on a small input beside its plain form in double precision, once in a process."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pointvae.kernels.mixture import mixture_log_density
from pointvae.kernels.nearest import nearest_indices
from pointvae.kernels.winners import winning_points
from pointvae.randomness import generator_for

BATCH, N, M, INNER, CHANNELS = 2, 66, 70, 40, 66  # two tiles each way, the last one not full
EXACT, PRODUCT = 1e-4, 5e-2  # tolerances: of single precision, and of products that may be TF32


@torch.inference_mode(False)
@torch.enable_grad()
def first_difference(device: torch.device) -> str | None:
    """What the first kernel that differs from its plain form does wrong; None where all agree."""
    generator = generator_for(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device="cpu").to(device)

    x, y, mask = draw(BATCH, N, 3), draw(BATCH, M, 3), draw(BATCH, M) < 1.0
    features, weight = draw(BATCH, M, INNER), draw(CHANNELS, INNER)
    squared = (x.unsqueeze(2).double() - y.unsqueeze(1).double()).square().sum(-1)
    scores = weight.double() @ features.double().transpose(1, 2)
    for given in (None, mask):
        # every candidate comes twice: the first of equals must win
        twice, flags = torch.cat([y, y], 1), None if given is None else torch.cat([given, given], 1)
        if not _is_least(nearest_indices(x, twice, flags), squared, given, EXACT):
            return "nearest_indices finds other points than the plain form"
        if not _is_least(winning_points(features, weight, given), -scores, given, PRODUCT):
            return "winning_points finds other points than the plain form"
    inputs = [x, y, draw(BATCH, M).exp(), draw(BATCH, M)]
    ours, plain = (
        [t.to(kind, copy=True).requires_grad_() for t in inputs] for kind in (torch.float32, torch.float64)
    )
    push = draw(BATCH, N)
    results = zip(
        _with_gradients(mixture_log_density(*ours), ours, push),
        _with_gradients(_plain_log_density(*plain), plain, push),
        strict=True,
    )
    if not all(torch.allclose(a.double(), b, rtol=EXACT, atol=EXACT) for a, b in results):
        return "mixture_log_density or its gradient differs from the plain form"
    return None


def _is_least(index: Tensor, values: Tensor, mask: Tensor | None, tolerance: float) -> bool:
    """Whether the indices [B, R] are valid and point to the least of values [B, R, M], up to a tolerance."""
    if mask is not None:
        values = values.masked_fill(~mask.unsqueeze(1), torch.inf)
    if bool((index < 0).any() or (index >= values.shape[2]).any()):
        return False
    found = values.gather(2, index.unsqueeze(2)).squeeze(2)
    return bool((found <= values.amin(dim=2) + tolerance).all())


def _plain_log_density(x: Tensor, y: Tensor, precision: Tensor, constant: Tensor) -> Tensor:
    squared = (x.unsqueeze(2) - y.unsqueeze(1)).square().sum(-1)
    return torch.logsumexp(constant.unsqueeze(1) - 0.5 * precision.unsqueeze(1) * squared, dim=2)


def _with_gradients(values: Tensor, inputs: Sequence[Tensor], push: Tensor) -> list[Tensor]:
    return [values.detach(), *torch.autograd.grad(values, inputs, push.to(values.dtype))]
