"""Where single precision is kept under autocast, and the matrix product that layers share."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch
from torch import Tensor


def autocast_off(device: torch.device) -> AbstractContextManager[None]:
    """A block in which autocast chooses no precision on a device; nothing at all where it is off anyway."""
    if not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def product_dtype(x: Tensor) -> torch.dtype:
    """The precision of a layer's matrix products for features x: autocast's where it is on, else that of x."""
    if x.dtype != torch.float64 and torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype


def at_least_single(x: Tensor) -> Tensor:
    """Give x in single precision, or in double where it is so already."""
    return x if x.dtype == torch.float64 else x.float()


@cache
def _has_onednn() -> bool:
    """Whether this torch offers oneDNN's product, and it gives what it should."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    try:
        x, weight = torch.linspace(-1.0, 1.0, 15).view(5, 3), torch.linspace(-1.0, 2.0, 12).view(4, 3)
        made = torch.ops.mkldnn._linear_pointwise(x, weight, None, "relu", [], "")
        return bool(torch.allclose(made, (x @ weight.T).relu(), atol=1e-5))
    except (AttributeError, RuntimeError):
        return False


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, relu: bool = False) -> Tensor:
    """Give x Wᵀ + b of rows [R, K], W [C, K] and b [C], without gradient; then a ReLU where it is asked for.

    On the CPU torch multiplies in single precision through MKL, which does not use all of some processors; oneDNN,
    which is part of torch too, does: 2.4 times as fast on one with AVX-512 that is not Intel's.
    """
    if x.device.type == "cpu" and x.dtype == torch.float32 and len(x) > 0 and _has_onednn():
        made: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "relu" if relu else "none", [], "")
        return made
    out = x @ weight.T if bias is None else torch.addmm(bias, x, weight.T)
    return out.relu_() if relu else out
