"""Fifteen ways in which a cloud can be worse than those a model was trained on, each in five severities.

The corruptions of ModelNet40-C (Sun, Zhang, Kailkhura, Yu, Xiao and Mao 2022, "Benchmarking Robustness of 3D Point
Cloud Recognition Against Common Corruptions", section 3), written anew for any cloud. docs/corruptions.md has each
one's parameters and every difference from the released benchmark.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from pointvae.corruptions import density, noise, transformation
from pointvae.corruptions.frames import Frame, fit_box
from pointvae.errors import InputError

__all__ = ["CORRUPTIONS", "FAMILIES", "SEVERITIES", "Corruption", "Family", "corrupt"]

Family = Literal["density", "noise", "transformation"]
FAMILIES: tuple[str, ...] = get_args(Family)

SEVERITIES = (1, 2, 3, 4, 5)

Cloud = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Corruption:
    """One of the fifteen.

    Attributes:
        name: as in the file names of the release.
        family: ``density``, ``noise`` or ``transformation``.
        label: the name in words.
        function: a cloud (N, 3) in the unit sphere, a severity and a generator, to the corrupted cloud (M, 3).
        fits_box: whether the result is moved and scaled into the box of the clean cloud afterwards.
        supply: points to be given to it for each that a model sees, as far as there are; infinite for all.
        keep: at most so many points of the result for each that a model sees; infinite for all.
    """

    name: str
    family: Family
    label: str
    function: Callable[[Cloud, int, np.random.Generator], Cloud]
    fits_box: bool
    supply: float = 1.0
    keep: float = math.inf


CORRUPTIONS: dict[str, Corruption] = {
    one.name: one
    for one in (
        Corruption("occlusion", "density", "occlusion", density.occlusion, True, supply=math.inf, keep=1.0),
        Corruption("lidar", "density", "lidar scan", density.lidar, False, supply=math.inf, keep=0.75),
        Corruption("density_inc", "density", "local increase", density.density_inc, False, supply=2.0),
        Corruption("density", "density", "local decrease", density.density, False),
        Corruption("cutout", "density", "cutout", density.cutout, False),
        Corruption("uniform", "noise", "uniform", noise.uniform, True),
        Corruption("gaussian", "noise", "Gaussian", noise.gaussian, False),
        Corruption("impulse", "noise", "impulse", noise.impulse, True),
        Corruption("upsampling", "noise", "upsampling", noise.upsampling, True),
        Corruption("background", "noise", "background", noise.background, False),
        Corruption("rotation", "transformation", "rotation", transformation.rotation, True),
        Corruption("shear", "transformation", "shear", transformation.shear, True),
        Corruption("distortion", "transformation", "free-form distortion", transformation.distortion, True),
        Corruption("distortion_rbf", "transformation", "RBF distortion", transformation.distortion_rbf, True),
        Corruption(
            "distortion_rbf_inv", "transformation", "inverse RBF distortion", transformation.distortion_rbf_inv, True
        ),
    )
}
"""By name, in the order of the paper's families."""


def corrupt(cloud: npt.NDArray[Any], name: str, severity: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A corrupted copy of a cloud, its points in no particular order.

    Lengths are relative to the shape: it is centred on its mean and scaled into the unit sphere, corrupted, and put
    back, so that moving or scaling the cloud moves or scales the result alike.

    Args:
        cloud: the clean cloud (N, 3), z up, N at least 1.
        name: one of `CORRUPTIONS`.
        severity: 1 to 5.
        rng: what all chance is drawn from.

    Returns:
        The corrupted cloud (M, 3), float32; M is at least 1 and may differ from N.

    Raises:
        InputError: the name or severity is unknown, or the cloud is empty, not (N, 3) or not finite.

    Example:
        >>> clean = np.random.default_rng(0).standard_normal((1024, 3))
        >>> corrupt(clean, "background", 5, np.random.default_rng(1)).shape
        (1075, 3)
    """
    corruption = find(name, severity)
    if cloud.ndim != 2 or cloud.shape[1] != 3 or not len(cloud) or not np.isfinite(cloud).all():
        raise InputError(f"cloud of shape {cloud.shape}: to be corrupted it must be (N, 3), N at least 1, all finite")
    frame = Frame.of(cloud)
    clean = frame.into(cloud)
    worse = corruption.function(clean, severity, rng)
    if corruption.fits_box:
        worse = fit_box(worse, clean)
    return frame.back(worse).astype(np.float32)


def find(name: str, severity: int = 1) -> Corruption:
    """The corruption of a name.

    Raises:
        InputError: there is none, or the severity is not 1 to 5.
    """
    if name not in CORRUPTIONS:
        raise InputError(f"corruption {name!r}: unknown; choose from {', '.join(CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise InputError(f"severity {severity} of {name}: must be a whole number from 1 to 5")
    return CORRUPTIONS[name]
