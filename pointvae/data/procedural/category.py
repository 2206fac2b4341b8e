"""What a procedural category is: its table of factors, its styles, and how they become parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pointvae.data.procedural.parts import Part, stretch, turn

Factors: TypeAlias = Mapping[str, float]
Choices: TypeAlias = Mapping[str, str]

TILT = {"pitch": (-20.0, 20.0), "roll": (-20.0, 20.0)}
"""Degrees about x, then about y, by which a thing that is held or that drives stands off the level."""


OVAL = {"oval": (0.7, 1.3), **TILT}
"""The same, and how deep along y a turned body is for each unit that it is wide."""


@dataclass(frozen=True)
class Category:
    """Ranges (low, high) of the continuous factors, names of each style's choices, and the maker of the parts.

    `make(factors, choices)` gets the factors' values and, for each style, the name that was chosen; its parts
    stand upright and turned, and are flattened and tilted here where the table has the factors of `OVAL` or `TILT`.
    """

    make: Callable[[Factors, Choices], list[Part]]
    factors: dict[str, tuple[float, float]]
    styles: dict[str, tuple[str, ...]]

    def parts(self, factors: Factors) -> list[Part]:
        """The closed parts that a full set of factors describes."""
        choices = {name: names[int(factors[name])] for name, names in self.styles.items()}
        parts = self.make(factors, choices)
        if "oval" in self.factors:
            parts = [stretch(part, 1.0, factors["oval"], 1.0) for part in parts]
        if "pitch" in self.factors:
            parts = [turn(turn(part, "x", factors["pitch"]), "y", factors["roll"]) for part in parts]
        return parts
