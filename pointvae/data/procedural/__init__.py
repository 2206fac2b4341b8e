"""Procedural shapes: recognisable categories built as meshes from continuous, recorded factors.

Every shape is one `trimesh.Trimesh` of closed parts, z up, in arbitrary units. All share one heading: fronts and
noses point to -y, handles to +x. Furniture stands level; what is held or drives is tilted a little, as scans are.
Ranges overlap between neighbours (stool and table, mug and pot, rake and broom), so that proportions alone do not
tell them apart; the tables of factors stand at the end of each family's module.
"""

import difflib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pointvae.data.procedural.furniture import FURNITURE
from pointvae.data.procedural.garden import GARDEN
from pointvae.data.procedural.handled import HANDLED
from pointvae.data.procedural.parts import assemble
from pointvae.data.procedural.seating import SEATING
from pointvae.data.procedural.tools import TOOLS
from pointvae.data.procedural.vehicles import VEHICLES
from pointvae.data.procedural.vessels import VESSELS
from pointvae.errors import InputError

__all__ = ["CATEGORIES", "FACTORS", "STYLES", "build", "draw_factors", "mesh_from_factors"]

_TABLE = {**SEATING, **FURNITURE, **VESSELS, **HANDLED, **VEHICLES, **TOOLS, **GARDEN}

CATEGORIES: tuple[str, ...] = tuple(sorted(_TABLE))
"""Names of the categories, alphabetical."""

FACTORS: dict[str, dict[str, tuple[float, float]]] = {name: dict(_TABLE[name].factors) for name in CATEGORIES}
"""Of each category, its continuous factors and the range (low, high) that each is drawn from, uniformly."""

STYLES: dict[str, dict[str, tuple[str, ...]]] = {name: dict(_TABLE[name].styles) for name in CATEGORIES}
"""Of each category, its discrete styles; a recorded value 0.0, 1.0, ... is a place in the tuple of choices."""


def draw_factors(category: str, rng: np.random.Generator) -> dict[str, float]:
    """Draw every factor and style of a category, in the order of its table.

    Raises:
        InputError: the category is unknown.
    """
    _known(category)
    factors = {name: float(rng.uniform(low, high)) for name, (low, high) in FACTORS[category].items()}
    styles = {name: float(rng.integers(len(choices))) for name, choices in STYLES[category].items()}
    return {**factors, **styles}


def mesh_from_factors(category: str, factors: Mapping[str, float]) -> Any:
    """The `trimesh.Trimesh` (z up, arbitrary units) that a full set of factors describes.

    Raises:
        InputError: the category is unknown, or a factor is missing, unknown or outside its range.
    """
    _known(category)
    _check(category, factors)
    return assemble(_TABLE[category].parts(factors))


def build(category: str, rng: np.random.Generator) -> tuple[Any, dict[str, float]]:
    """One random shape: its `trimesh.Trimesh` (z up, arbitrary units) and the factors that made it.

    Raises:
        InputError: the category is unknown.

    Example:
        >>> mesh, factors = build("chair", np.random.default_rng(0))
        >>> 0.8 <= factors["seat_depth"] <= 1.15
        True
    """
    factors = draw_factors(category, rng)
    return mesh_from_factors(category, factors), factors


def _known(category: str) -> None:
    if category not in _TABLE:
        near = difflib.get_close_matches(category, CATEGORIES, n=3, cutoff=0.5) or CATEGORIES
        raise InputError(f"unknown procedural category {category!r}: did you mean {', '.join(near)}?")


def _check(category: str, factors: Mapping[str, float]) -> None:
    ranges = {**FACTORS[category], **{name: (0.0, len(c) - 1.0) for name, c in STYLES[category].items()}}
    if odd := sorted(ranges.keys() ^ factors.keys()):
        fault = "is missing" if odd[0] in ranges else "is not one of its factors"
        raise InputError(f"factors of {category}: {odd[0]!r} {fault}; it takes {', '.join(ranges)}")
    for name, (low, high) in ranges.items():
        value = factors[name]
        whole = name in FACTORS[category] or float(value).is_integer()
        if not (math.isfinite(value) and low <= value <= high and whole):
            kind = "a value" if name in FACTORS[category] else "a whole number"
            raise InputError(f"factors of {category}: {name} is {value}; give {kind} from {low:g} to {high:g}")
