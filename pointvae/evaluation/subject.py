"""A frozen model under measurement, with the linear probes that read its features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pointvae.evaluation.features import Codes
from pointvae.evaluation.probing.linear_probe import LinearProbe
from pointvae.models.vae import PointVAE


@dataclass(frozen=True)
class Subject:
    """A model and its probes.

    Attributes:
        model: the model.
        probes: by the name of the feature that each reads, fitted to training shapes as they are; none where there
            are no labels.
    """

    model: PointVAE
    probes: Mapping[str, LinearProbe] = field(default_factory=dict)

    def right(self, codes: Codes, labels: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.bool_]]:
        """Which shapes each probe classifies rightly (n,), by feature."""
        return {name: probe.predict(getattr(codes, name)) == labels for name, probe in self.probes.items()}

    def accuracy(self, codes: Codes, labels: npt.NDArray[np.int64]) -> dict[str, float]:
        """The share of shapes that each probe classifies rightly, by feature."""
        return {name: float(right.mean()) for name, right in self.right(codes, labels).items()}
