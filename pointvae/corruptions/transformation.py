"""Corruptions by transformation: every point belongs to the shape, and the shape is turned or bent.

Clouds (N, 3) lie in the unit sphere, z up; lengths are in its radius. Parameters by severity are the release's.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

Cloud = npt.NDArray[np.float64]
Generator = np.random.Generator
Kernel = Literal["multiquadric", "inverse_multiquadric"]

ROTATION, ROTATION_SPREAD = (2.5, 5.0, 7.5, 10.0, 15.0), 2.5  # degrees
SHEAR, SHEAR_SPREAD = (0.05, 0.10, 0.15, 0.20, 0.25), 0.05
DISTORTION = (0.1, 0.2, 0.3, 0.4, 0.5)  # of the box's side, which is 2
RBF_STEP = (0.025, 0.05, 0.075, 0.1, 0.125)
RBF_RADIUS = 0.5
CONTROLS = 5  # control points along each side of the cube [-1, 1]³


def rotation(cloud: Cloud, severity: int, rng: Generator) -> Cloud:
    """Turned about x, y and z in this order, each by c degrees, give or take 2.5, either way."""
    for axis in range(3):
        angle = math.radians(_about(ROTATION[severity - 1], ROTATION_SPREAD, rng))
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[a, a, b, b], [a, b, a, b]] = math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle)
        cloud = cloud @ turn.T
    return cloud


def shear(cloud: Cloud, severity: int, rng: Generator) -> Cloud:
    """Each horizontal coordinate gains c times, give or take 0.05 and either way, each other one; heights stay."""
    gain = np.eye(3)
    for to, of in ((0, 1), (0, 2), (1, 0), (1, 2)):
        gain[to, of] = _about(SHEAR[severity - 1], SHEAR_SPREAD, rng)
    return cloud @ gain.T


def distortion(cloud: Cloud, severity: int, rng: Generator) -> Cloud:
    """Bent by a lattice of 5³ control points, each displaced by up to c box sides in every coordinate.

    Free-form deformation with Bernstein polynomials of degree 4 (Sederberg and Parry 1986, "Free-Form Deformation of
    Solid Geometric Models", equation 2).
    """
    side, degree = 2.0, CONTROLS - 1
    reach = DISTORTION[severity - 1]
    displaced = side * rng.uniform(-reach, reach, (CONTROLS**3, 3))
    t = np.clip((cloud + 1.0) / side, 0.0, 1.0)[:, :, None]
    power = np.arange(CONTROLS)
    binomial = np.array([math.comb(degree, k) for k in power], dtype=np.float64)
    x, y, z = np.moveaxis(binomial * t**power * (1.0 - t) ** (degree - power), 1, 0)
    weight = (x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]).reshape(len(cloud), -1)
    moved: Cloud = cloud + weight @ displaced
    return moved


def distortion_rbf(cloud: Cloud, severity: int, rng: Generator) -> Cloud:
    """Bent such that each of 5³ control points moves by c, by multiquadric interpolation."""
    return _bent(cloud, severity, "multiquadric", rng)


def distortion_rbf_inv(cloud: Cloud, severity: int, rng: Generator) -> Cloud:
    """Bent such that each of 5³ control points moves by c, by inverse multiquadric interpolation."""
    return _bent(cloud, severity, "inverse_multiquadric", rng)


def _bent(cloud: Cloud, severity: int, kernel: Kernel, rng: Generator) -> Cloud:
    a, g = rng.uniform(-math.pi, math.pi, (2, CONTROLS**3))
    step = np.stack([np.cos(a) * np.sin(g), np.sin(a) * np.sin(g), np.cos(g)], axis=1)
    step = np.concatenate([RBF_STEP[severity - 1] * step, np.zeros((4, 3))])
    moved: Cloud = cloud + _basis(cloud, kernel) @ _solver(kernel) @ step
    return moved


def _basis(points: Cloud, kernel: Kernel) -> Cloud:
    """Values (N, 5³ + 4) of the functions that interpolate: one about each control point, and 1, x, y, z."""
    bump = np.sqrt(cdist(points, controls(), "sqeuclidean") + RBF_RADIUS**2)
    bump = bump if kernel == "multiquadric" else 1.0 / bump
    return np.concatenate([bump, np.ones((len(points), 1)), points], axis=1)


@lru_cache(maxsize=2)
def _solver(kernel: Kernel) -> Cloud:
    """The inverse of the equations for the functions' weights, the same for every displacement.

    Not SciPy's LU factors: its solver changes them while it runs, which another thread must not see.
    """
    top = _basis(controls(), kernel)
    flat = top[:, CONTROLS**3 :]
    inverse: Cloud = np.linalg.inv(np.block([[top], [flat.T, np.zeros((4, 4))]]))
    return inverse


def controls() -> Cloud:
    """The control points (5³, 3): a grid over the cube [-1, 1]³."""
    line = np.linspace(-1.0, 1.0, CONTROLS)
    return np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)


def _about(middle: float, spread: float, rng: Generator) -> float:
    return float(rng.uniform(middle - spread, middle + spread) * rng.choice([-1.0, 1.0]))
