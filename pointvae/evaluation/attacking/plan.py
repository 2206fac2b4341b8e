"""What an evaluation's attacks try, and what came of every one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pointvae.errors import InputError
from pointvae.evaluation.attacking.tiles import Attack, Ground, Outcome
from pointvae.geometry.balls import BALLS

GOALS = ("margin", "kl", "w2")
NORMS = tuple(BALLS)
UNBOUNDED = 2.0  # clouds within the unit sphere can become one another


@dataclass(frozen=True)
class AttackSettings:
    """What is tried, and how hard.

    Args:
        shapes: how many are attacked, from every class in turn.
        radii: of the balls, unit-sphere lengths, in growing order.
        norms: ``linf``: each coordinate within the radius; ``l2``: root mean square way of a point within it.
        goals: ``margin`` of the frozen linear head (left out without labels), ``kl`` and ``w2`` of the posterior.
        steps: of each ascent.
        restarts: random starts of each ascent, and draws of noise beside it; each shape's best counts.

    Raises:
        InputError: a setting is unknown or out of range.
    """

    shapes: int = 96
    radii: Sequence[float] = (0.003, 0.01, 0.03)
    norms: Sequence[str] = NORMS
    goals: Sequence[str] = GOALS
    steps: int = 10
    restarts: int = 2

    def __post_init__(self) -> None:
        for name in ("shapes", "steps", "restarts"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name} {getattr(self, name)}: must be at least 1")
        for option, given, known in (("norm", self.norms, NORMS), ("goal", self.goals, GOALS)):
            for name in given:
                if name not in known:
                    raise InputError(f"--{option} {name}: unknown; choose from all, {', '.join(known)}")
        radii = list(self.radii)
        if not radii or not all(0 <= r <= UNBOUNDED for r in radii) or radii != sorted(set(radii)):
            told = ",".join(f"{r:g}" for r in radii)
            raise InputError(f"--radii {told}: must be numbers from 0 to {UNBOUNDED:g} in growing order")

    @property
    def middle(self) -> float:
        """The radius at which the attack is checked and shown."""
        return float(self.radii[len(self.radii) // 2])


@dataclass(frozen=True)
class Campaign:
    """Every attack that was made, and on what."""

    settings: AttackSettings
    ground: Ground
    clean: dict[str, Outcome]
    made: dict[Attack, Outcome] = field(repr=False)

    def find(self, **wanted: Any) -> Outcome:
        """The outcome of the one attack that has some attributes."""
        (found,) = self.all(**wanted)
        return found

    def all(self, **wanted: Any) -> list[Outcome]:
        """The outcomes of every attack that has some attributes, in the order in which they were made."""
        return [o for a, o in self.made.items() if all(getattr(a, name) == value for name, value in wanted.items())]
