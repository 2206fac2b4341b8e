"""Corruptions by noise: points that moved, and points that do not belong to the shape.

Clouds (N, 3) lie in the unit sphere; lengths are in its radius. Parameters by severity are those of the release.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Cloud = npt.NDArray[np.float64]
Generator = np.random.Generator

UNIFORM = (0.01, 0.02, 0.03, 0.04, 0.05)
GAUSSIAN = (0.01, 0.015, 0.02, 0.025, 0.03)
IMPULSE_ONE_IN, IMPULSE_STEP = (30, 25, 20, 15, 10), 0.1
UPSAMPLING_ONE_IN, UPSAMPLING_REACH = (5, 4, 3, 2, 1), 0.05
BACKGROUND_ONE_IN = (45, 40, 35, 30, 20)


def uniform(cloud: Cloud, severity: int, rng: Generator) -> Cloud:
    """Every coordinate is off by noise uniform in [-c, c]."""
    reach = UNIFORM[severity - 1]
    return cloud + rng.uniform(-reach, reach, cloud.shape)


def gaussian(cloud: Cloud, severity: int, rng: Generator) -> Cloud:
    """Every coordinate is off by normal noise of deviation c; what leaves [-1, 1] is moved to its edge."""
    return np.clip(cloud + GAUSSIAN[severity - 1] * rng.standard_normal(cloud.shape), -1.0, 1.0)


def impulse(cloud: Cloud, severity: int, rng: Generator) -> Cloud:
    """One point in c is off by 0.1 in every coordinate, up or down."""
    chosen = rng.permutation(len(cloud))[: len(cloud) // IMPULSE_ONE_IN[severity - 1]]
    noisy = cloud.copy()
    noisy[chosen] += IMPULSE_STEP * rng.choice([-1.0, 1.0], (len(chosen), 3))
    return noisy


def upsampling(cloud: Cloud, severity: int, rng: Generator) -> Cloud:
    """Beside one point in c stands another, off by noise uniform in [-0.05, 0.05]."""
    chosen = rng.permutation(len(cloud))[: len(cloud) // UPSAMPLING_ONE_IN[severity - 1]]
    added = cloud[chosen] + rng.uniform(-UPSAMPLING_REACH, UPSAMPLING_REACH, (len(chosen), 3))
    return np.concatenate([cloud, added])


def background(cloud: Cloud, severity: int, rng: Generator) -> Cloud:
    """For one point in c there is another, uniform in the cube [-1, 1]³."""
    added = rng.uniform(-1.0, 1.0, (len(cloud) // BACKGROUND_ONE_IN[severity - 1], 3))
    return np.concatenate([cloud, added])
