"""Golden tensors: what a model made of two fixed clouds where it was saved, to see that it does so still."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pointvae.errors import InputError
from pointvae.geometry.finite import unwatched
from pointvae.models.modes import evaluation_mode
from pointvae.models.vae import PointVAE
from pointvae.version import __version__
from pointvae.writing import whole_file

GOLDEN, MADE_WITH = "golden.safetensors", "made_with"
POINTS = 128
TOLERANCE = 0.01
"""Share of a tensor's largest value. Other CPUs and versions of torch differ by some 1e-6 of it, products in bfloat16
by some 3e-3; another formula, layer or order of weights by far more."""

WORDS = {"posterior_mean": "posterior mean", "posterior_std": "posterior deviation", "decoded": "decoded points"}


def write_golden(model: PointVAE, path: Path) -> None:
    """Write what a model makes of the fixed clouds, and the versions it was made with.

    Args:
        model: the model as a reader will have it.
        path: the file.
    """
    clouds = fixed_clouds()
    tensors = {name: value.contiguous() for name, value in _outputs(model, clouds).items()}
    with whole_file(path) as temporary:
        # one entry: safetensors writes several in an order of its own, other ones in the next process
        temporary.write_bytes(save({"clouds": clouds, **tensors}, {MADE_WITH: json.dumps(versions())}))


def check_golden(model: PointVAE, path: Path) -> None:
    """See that a model makes of the fixed clouds what it did when it was saved; a folder without the file passes.

    Args:
        model: the model as it was read.
        path: the file.

    Raises:
        InputError: the file is damaged or another model's, or the model computes something else here.
    """
    if not path.is_file():
        return
    try:
        with safe_open(path, "pt") as file:
            before = json.loads((file.metadata() or {}).get(MADE_WITH, "{}"))
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        clouds = stored.pop("clouds")
        if not isinstance(before, dict):
            raise ValueError(f"{MADE_WITH} holds no names")
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); restore it, or remove it to load without this check") from None
    try:
        made = _outputs(model, clouds)
    except (InputError, RuntimeError):
        raise InputError(f"{path}: holds no clouds that the model takes; restore the folder's files") from None
    if {name: value.shape for name, value in made.items()} != {name: value.shape for name, value in stored.items()}:
        raise InputError(f"{path}: belongs to another model; restore the folder's files")
    for name, value in made.items():
        expected, found = stored[name].double(), value.double()
        finite = expected[expected.isfinite()]
        allowed = TOLERANCE * float(finite.abs().max()) if len(finite) else 0.0
        if not bool(torch.isclose(found, expected, rtol=0.0, atol=allowed, equal_nan=True).all()):
            far = float((found - expected).abs().nan_to_num(torch.inf).max())
            raise InputError(
                f"{path.parent}: the model does not compute here what it did where it was saved: its {WORDS[name]} "
                f"is off by up to {far:.2g}, {allowed:.2g} is allowed; saved with {_told(before)}, read with "
                f"{_told(versions())}; restore the folder's files, install those versions, or pass check=False"
            )


def fixed_clouds() -> Tensor:
    """Two clouds [2, 128, 3] inside the unit sphere, the same everywhere: an ellipsoid and a box without a bottom."""
    generator = torch.Generator().manual_seed(0)
    ellipsoid = torch.nn.functional.normalize(torch.randn(POINTS, 3, generator=generator), dim=1)
    box = 2 * torch.rand(POINTS, 3, generator=generator) - 1
    side = torch.arange(POINTS) % 5  # x = -1, x = 1, y = -1, y = 1, z = 1
    box[torch.arange(POINTS), side // 2] = torch.where((side % 2 == 1) | (side == 4), 1.0, -1.0)
    scales = torch.tensor([[[0.9, 0.5, 0.7]], [[0.6, 0.4, 0.5]]])
    return torch.stack([ellipsoid, box]) * scales


def versions() -> dict[str, str]:
    """What a model's digits may depend on beside its weights."""
    return {
        "pointvae": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def _told(made_with: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {made_with.get(name, 'unknown')}" for name in versions())


def _outputs(model: PointVAE, clouds: Tensor) -> dict[str, Tensor]:
    weight = next(model.parameters())
    with evaluation_mode(model), torch.no_grad(), unwatched():  # what is no number is kept as it is
        posterior = model.posterior(clouds.to(weight))
        made = {
            "posterior_mean": posterior.mean,
            "posterior_std": posterior.stddev,
            "decoded": model.decode(posterior.mean),
        }
    return {name: value.float().cpu() for name, value in made.items()}
