"""The unit sphere in which clouds are corrupted, and the box into which they are fitted afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Cloud = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """Where a cloud lies and how large it is.

    Attributes:
        centre: the mean of its points (3,).
        radius: the distance from there to its farthest point; 1 where all points coincide.
    """

    centre: Cloud
    radius: float

    @classmethod
    def of(cls, cloud: npt.NDArray[Any]) -> Frame:
        """The frame of a cloud (N, 3)."""
        points = cloud.astype(np.float64)
        centre = points.mean(axis=0)
        radius = float(np.linalg.norm(points - centre, axis=1).max())
        return cls(centre, radius if radius > 1e-9 * (1 + float(np.abs(centre).max())) else 1.0)

    def into(self, cloud: npt.NDArray[Any]) -> Cloud:
        """The cloud (N, 3) in the unit sphere."""
        moved: Cloud = (cloud.astype(np.float64) - self.centre) / self.radius
        return moved

    def back(self, cloud: Cloud) -> Cloud:
        """A cloud of the unit sphere (N, 3) where and as large as it was."""
        placed: Cloud = cloud * self.radius + self.centre
        return placed


def fit_box(cloud: Cloud, clean: Cloud) -> Cloud:
    """The cloud (N, 3), its bounding box moved to the middle of the clean cloud's and scaled to its longest side."""
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    clean_low, clean_high = clean.min(axis=0), clean.max(axis=0)
    side, clean_side = float((high - low).max()), float((clean_high - clean_low).max())
    scale = clean_side / side if side > 0 and clean_side > 0 else 1.0
    fitted: Cloud = (cloud - (low + high) / 2) * scale + (clean_low + clean_high) / 2
    return fitted
