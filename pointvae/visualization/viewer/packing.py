"""Numbers as base64 that the page's script reads: clouds of ten bits a coordinate, latents of sixteen a dimension."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.visualization.clouds import Frame

Floats = npt.NDArray[np.floating[Any]]

STEPS = 1023
"""A coordinate is rounded to one of 1,024 places across its cloud's ball: by at most 1/1023 of the radius."""


@dataclass(frozen=True)
class PackedClouds:
    """Clouds of P points, P a multiple of 3, so that every cloud is a piece of the base64 of its own.

    Attributes:
        text: base64 of a little-endian uint32 a point, ten bits a coordinate, x lowest.
        frames: base64 of float32 (n, 4): the centre and the radius of each cloud's ball.
        points: P.
    """

    text: str
    frames: str
    points: int


def pack_clouds(clouds: Floats, frames: list[Frame] | None = None) -> PackedClouds:
    """Clouds (n, P, 3), each within its ball; what is not finite stands in the ball's middle.

    Args:
        clouds: the clouds; P must be a multiple of 3.
        frames: their balls; each cloud's own when absent.
    """
    count, points = clouds.shape[:2]
    if points % 3:
        raise ValueError(f"{points} points are no multiple of 3")
    frames = frames or [Frame.of(cloud) for cloud in clouds]
    words = np.empty((count, points), np.uint32)
    for row, (cloud, frame) in enumerate(zip(clouds, frames, strict=True)):
        unit = np.nan_to_num((cloud - frame.centre) / frame.radius, nan=0.0, posinf=0.0, neginf=0.0)
        steps = np.clip(np.round((unit + 1) * (STEPS / 2)), 0, STEPS).astype(np.uint32)
        words[row] = steps[:, 0] | steps[:, 1] << 10 | steps[:, 2] << 20
    balls = np.array([[*frame.centre, frame.radius] for frame in frames])
    return PackedClouds(pack(words, "<u4"), pack(balls, "<f4"), points)


def thin(count: int, wanted: int, seed: int) -> npt.NDArray[np.int64]:
    """Which of ``count`` points are shown, in an order of which every beginning is a fair draw.

    Their number is a multiple of 3; of one or two points some come twice.
    """
    size = max(3, min(count, wanted) // 3 * 3)
    order: npt.NDArray[np.int64] = np.resize(np.random.default_rng(seed).permutation(count), size)
    return order


@dataclass(frozen=True)
class PackedLatents:
    """Latents (n, D), each dimension rounded to 65,535 steps between its least and its largest.

    Attributes:
        text: base64 of little-endian int16 (n, D).
        scale: base64 of float32 (2, D): the step, and what 0 stands for.
    """

    text: str
    scale: str


def pack_latents(latents: Floats) -> PackedLatents:
    """Latents (n, D), rounded by at most half of 1/65534 of the range of their dimension."""
    latents = latents.astype(np.float64)
    low, high = latents.min(axis=0), latents.max(axis=0)
    middle = ((low + high) / 2).astype(np.float32)
    step = np.maximum(np.maximum(high - middle, middle - low) / 32767, 1e-12).astype(np.float32)
    steps = np.clip(np.round((latents - middle) / step), -32767, 32767)
    return PackedLatents(pack(steps, "<i2"), pack(np.stack([step, middle]), "<f4"))


def pack(values: npt.NDArray[Any], kind: str) -> str:
    """Base64 of an array's numbers as ``kind``, row after row."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")
