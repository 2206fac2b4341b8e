"""What a procedural category is: its table of factors, its styles, and how they become parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pointvae.data.procedural.parts import Part

Factors: TypeAlias = Mapping[str, float]
Choices: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Category:
    """Ranges (low, high) of the continuous factors, names of each style's choices, and the maker of the parts.

    `make(factors, choices)` gets the factors' values and, for each style, the name that was chosen.
    """

    make: Callable[[Factors, Choices], list[Part]]
    factors: dict[str, tuple[float, float]]
    styles: dict[str, tuple[str, ...]]
