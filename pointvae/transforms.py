"""Random shape-preserving transformations of batched clouds, on the clouds' own device.

Each is called as ``t(points, mask=None, generator=None)`` with clouds [B, N, 3] and returns clouds of the same
shape; each cloud gets its own draw, taken from ``generator``. A strength of zero is the identity.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from pointvae.errors import InputError
from pointvae.randomness import normal, uniform


class Transform(ABC):
    """A random map from clouds to clouds that keeps the shape recognisable."""

    @abstractmethod
    def __call__(self, points: Tensor, mask: Tensor | None = None, generator: Generator | None = None) -> Tensor:
        """Transform clouds [B, N, 3]; ``mask`` [B, N] tells which points exist."""


def _uniform(points: Tensor, shape: Sequence[int], generator: Generator | None) -> Tensor:
    return uniform(shape, generator, points.device, points.dtype)


def _normal(points: Tensor, shape: Sequence[int], generator: Generator | None) -> Tensor:
    return normal(shape, generator, points.device, points.dtype)


def _at_least_zero(name: str, value: float, owner: Transform) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{type(owner).__name__}: {name} must be a number >= 0, got {value}")
    return value


class RotateUp(Transform):
    """Rotate about the up axis (z) by an angle uniform in [-degrees, degrees].

    Args:
        degrees: largest angle either way; 180 gives every heading.
    """

    def __init__(self, degrees: float = 180.0) -> None:
        self.degrees = _at_least_zero("degrees", degrees, self)

    def matrices(self, points: Tensor, generator: Generator | None = None) -> Tensor:
        """Draw one rotation matrix for each cloud [B, 3, 3]."""
        angle = (2.0 * _uniform(points, (len(points),), generator) - 1.0) * math.radians(self.degrees)
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        rows = [cos, -sin, zero, sin, cos, zero, zero, zero, zero + 1.0]
        return torch.stack(rows, dim=1).view(-1, 3, 3)

    def __call__(self, points: Tensor, mask: Tensor | None = None, generator: Generator | None = None) -> Tensor:
        """Rotate clouds [B, N, 3]."""
        return points @ self.matrices(points, generator).transpose(1, 2)


class RotateSO3(Transform):
    """Rotate about a uniformly drawn axis: Haar-uniform over SO(3), or over its turns of at most ``degrees``.

    Haar measure gives the turn θ the density (1 - cos θ)/(θ_max - sin θ_max); it is drawn by inverting the
    distribution function θ - sin θ.

    Args:
        degrees: largest turn; 180 is all of SO(3).
    """

    def __init__(self, degrees: float = 180.0) -> None:
        self.degrees = _at_least_zero("degrees", degrees, self)
        if degrees > 180:
            raise InputError(f"RotateSO3: degrees must be at most 180, got {degrees}")

    def matrices(self, points: Tensor, generator: Generator | None = None) -> Tensor:
        """Draw one rotation matrix for each cloud [B, 3, 3]."""
        batch = len(points)
        axis = torch.nn.functional.normalize(_normal(points, (batch, 3), generator), dim=1)
        limit = math.radians(self.degrees)
        share = _uniform(points, (batch,), generator).double() * (limit - math.sin(limit))
        low, high = torch.zeros_like(share), torch.full_like(share, limit)
        for _ in range(40):  # bisection: the function is flat at zero, where Newton's method would stumble
            middle = (low + high) / 2
            below = middle - middle.sin() < share
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        angle = ((low + high) / 2).to(points.dtype) if limit > 0 else torch.zeros_like(axis[:, 0])
        x, y, z = axis.unbind(1)
        zero = torch.zeros_like(x)
        cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
        angle = angle.view(-1, 1, 1)
        eye = torch.eye(3, device=points.device, dtype=points.dtype)
        return eye + angle.sin() * cross + (1.0 - angle.cos()) * (cross @ cross)  # Rodrigues' formula

    def __call__(self, points: Tensor, mask: Tensor | None = None, generator: Generator | None = None) -> Tensor:
        """Rotate clouds [B, N, 3]."""
        return points @ self.matrices(points, generator).transpose(1, 2)


class Scale(Transform):
    """Scale by a factor whose logarithm is uniform between those of ``low`` and ``high``.

    Args:
        low: smallest factor, above zero.
        high: largest factor.
        anisotropic: draw a factor for each axis instead of one for the cloud.
    """

    def __init__(self, low: float = 0.8, high: float = 1.25, anisotropic: bool = False) -> None:
        if not 0 < low <= high < math.inf:
            raise InputError(f"Scale: factors must satisfy 0 < low <= high, got low {low} and high {high}")
        self.low, self.high, self.anisotropic = low, high, anisotropic

    def __call__(self, points: Tensor, mask: Tensor | None = None, generator: Generator | None = None) -> Tensor:
        """Scale clouds [B, N, 3] about the origin."""
        share = _uniform(points, (len(points), 1, 3 if self.anisotropic else 1), generator)
        return points * self.low * (self.high / self.low) ** share


class Jitter(Transform):
    """Move every point by Gaussian noise, cut off at ``clip``.

    Args:
        sigma: standard deviation, unit-sphere lengths.
        clip: largest move along an axis; the default is five standard deviations.
    """

    def __init__(self, sigma: float = 0.01, clip: float | None = None) -> None:
        self.sigma = _at_least_zero("sigma", sigma, self)
        self.clip = None if clip is None else _at_least_zero("clip", clip, self)

    def __call__(self, points: Tensor, mask: Tensor | None = None, generator: Generator | None = None) -> Tensor:
        """Jitter clouds [B, N, 3]."""
        limit = 5.0 * self.sigma if self.clip is None else self.clip
        return points + (self.sigma * _normal(points, points.shape, generator)).clamp(-limit, limit)


class Translate(Transform):
    """Move each cloud by a vector uniform in a cube.

    Args:
        distance: largest move along each axis, unit-sphere lengths.
    """

    def __init__(self, distance: float = 0.1) -> None:
        self.distance = _at_least_zero("distance", distance, self)

    def __call__(self, points: Tensor, mask: Tensor | None = None, generator: Generator | None = None) -> Tensor:
        """Translate clouds [B, N, 3]."""
        return points + self.distance * (2.0 * _uniform(points, (len(points), 1, 3), generator) - 1.0)


class DropPoints(Transform):
    """Drop a random share of each cloud's points and put copies of kept ones in their place.

    The share is uniform in [0, fraction], as in PointNet++'s random point dropout; the copies keep the shape of
    the tensor, and a set's maximum does not see them.

    Args:
        fraction: largest share dropped, below 1.
    """

    def __init__(self, fraction: float = 0.5) -> None:
        if not 0 <= fraction < 1:
            raise InputError(f"DropPoints: fraction must be in [0, 1), got {fraction}")
        self.fraction = fraction

    def __call__(self, points: Tensor, mask: Tensor | None = None, generator: Generator | None = None) -> Tensor:
        """Drop points of clouds [B, N, 3]; at least one of each cloud's points is kept."""
        batch, n, _ = points.shape
        share = self.fraction * _uniform(points, (batch, 1), generator)
        rank = _uniform(points, (batch, n), generator)
        chance = rank if mask is None else rank.masked_fill(~mask, -1.0)
        best = chance == chance.amax(dim=1, keepdim=True)
        kept = (chance >= share) | best
        # each dropped point takes the place of a kept one, drawn uniformly
        order = kept.to(torch.int8).argsort(dim=1, descending=True, stable=True)
        pick = (_uniform(points, (batch, n), generator) * kept.sum(1, keepdim=True)).long()
        source = order.gather(1, pick)
        own = torch.arange(n, device=points.device).expand(batch, -1)
        return points.gather(1, torch.where(kept, own, source).unsqueeze(2).expand(-1, -1, 3))


class Compose(Transform):
    """Apply transforms one after another.

    Args:
        transforms: the parts, first applied first.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)

    def __call__(self, points: Tensor, mask: Tensor | None = None, generator: Generator | None = None) -> Tensor:
        """Transform clouds [B, N, 3]."""
        for transform in self.transforms:
            points = transform(points, mask, generator)
        return points


def default_transforms() -> list[Transform]:
    """Every heading, a scale of 0.8 to 1.25, and jitter of 0.01: rotation, scaling, jitter."""
    return [RotateUp(), Scale(), Jitter()]
