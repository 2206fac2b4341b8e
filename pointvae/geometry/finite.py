"""Which numbers are taken for coordinates: what is NaN, infinite or too large is refused by the row of the batch.

A look costs one pass over the clouds, where they lie on the CPU; elsewhere the host would have to wait for the
device, so that nothing is looked at there. A training looks at its own terms: `pointvae.training.not_finite`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from pointvae.errors import InputError

LIMIT = 1e6
"""The largest coordinate, and latent, that a model takes.

Unit spheres need 1. Batch norms make squares of FoldingNet's covariances, which are fourth powers of coordinates: to
1e6 all of it stays within float32, forward and backward. Beyond, float32 leaves a shape of size 1 one digit.
"""

_looking: ContextVar[bool] = ContextVar("looking", default=True)


@contextmanager
def unwatched() -> Iterator[None]:
    """Within the block nothing is looked at: for whoever looks at what comes out."""
    token = _looking.set(False)
    try:
        yield
    finally:
        _looking.reset(token)


def looks_at(values: Tensor) -> bool:
    """Whether the numbers are at hand, and no one else looks at them."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return False
    return values.device.type == "cpu" and _looking.get()


def distance_limit(dtype: torch.dtype) -> float:
    """The largest coordinate whose squared distances can be summed over a cloud: 2e15 in float32, else 1e123."""
    return float(torch.finfo(dtype).max ** 0.4)


@torch.no_grad()
def check_rows(values: Tensor, what: str, limit: float = LIMIT, mask: Tensor | None = None) -> None:
    """Refuse rows of a batch that hold NaN, infinite or too large numbers, or no point at all.

    Args:
        values: clouds [B, N, C], or latents [B, D].
        what: what a row is, for the message ("cloud").
        limit: largest magnitude.
        mask: which points exist [B, N]; all when absent.

    Raises:
        InputError: on the CPU, where numbers are looked at; names the first row, and how many there are.
    """
    if not looks_at(values) or values.numel() == 0:
        return
    greatest = present(values.detach(), mask).flatten(1).abs().amax(dim=1)
    # NaN is not; and no limit may become the infinity of a smaller type
    fine = greatest <= min(limit, torch.finfo(values.dtype).max)
    if bool(fine.all()) and (mask is None or bool(mask.any(dim=1).all())):
        return
    if mask is not None:
        fine &= mask.any(dim=1)
    row, bad = int(fine.int().argmin()), int((~fine).sum())
    where = f"{what} {row} of {len(values)} (counted from 0)" + (f", and {bad - 1} more" if bad > 1 else "")
    if mask is not None and not bool(mask[row].any()):
        raise InputError(f"{where}: has no point; leave it out, its mask is empty")
    if bool(greatest[row].isfinite()):
        mend = "normalise it first" if what == "cloud" else "give one nearer to 0"
        raise InputError(f"{where}: holds {float(greatest[row]):.3g}, beyond the limit of {limit:.3g}; {mend}")
    kind = "NaN" if bool(greatest[row].isnan()) else "infinity"
    raise InputError(f"{where}: holds {kind}; mend it or leave it out")


def present(points: Tensor, mask: Tensor | None) -> Tensor:
    """Clouds [B, N, C] with zeros for the points that do not exist, whatever stands there, NaN too."""
    return points if mask is None else points.masked_fill(~mask.unsqueeze(2), 0.0)


def binary_scale(*clouds: Tensor) -> Tensor:
    """For each cloud of a batch a power of 2 [B, 1, 1] that brings its coordinates, or several clouds', to about 1.

    Squares of what is scaled neither overflow nor vanish, and no digit changes: an order of distances stays exact.
    """
    parts = [cloud.flatten(1).abs().amax(dim=1) for cloud in clouds if cloud.shape[1] and cloud.shape[2]]
    if not parts:
        return clouds[0].new_ones(len(clouds[0]), 1, 1)
    greatest = torch.stack(parts).amax(dim=0)
    limit = 126 if greatest.dtype == torch.float32 else 1022  # of a power whose inverse is a number too
    power = -torch.frexp(greatest).exponent.clamp(-limit, limit)
    return torch.ldexp(torch.ones_like(greatest), power).view(-1, 1, 1)
