"""Shovel, rake, fork and broom, standing on their working end: the unit is their length.

They face -y, reach to both sides along x.
"""

from itertools import pairwise

import numpy as np

from pointvae.data.procedural.category import TILT, Category, Choices, Factors
from pointvae.data.procedural.parts import Array, Part, box, column, ease, loft, rod, tube

LEVEL = np.linspace(0.0, 1.0, 9)


def _shaft(f: Factors, style: Choices, start: float) -> list[Part]:
    """The handle from a height to the top, and what the upper hand holds."""
    thick, grip = f["handle_thickness"] / 2, f["grip_width"] / 2
    parts = [rod([0, 0, start], [0, 0, 1.0], thick)]
    if style["grip"] == "d-grip":
        corners = ((0, 0), (0.8, 0.4), (1, 1), (-1, 1), (-0.8, 0.4), (0, 0))
        loop = [[x * grip, 0, 0.9 + 0.1 * z] for x, z in corners]
        return parts + [rod(a, b, 0.8 * thick) for a, b in pairwise(loop)]
    if style["grip"] == "t-grip":
        return [*parts, rod([-grip, 0, 1.0], [grip, 0, 1.0], 1.1 * thick)]
    knob = [thick, grip / 2, grip / 2.5]
    return [*parts, column([0.93, 0.95, 1.02], knob, knob)]


def _sheet(z: Array, half: Array, dish: Array, thickness: float) -> Part:
    """A sheet of half-widths (R,) at rising heights (R,), its edges bent towards -y by `dish` (R,)."""
    across = np.linspace(-1.0, 1.0, 7)
    x = half[:, None] * across
    y = -dish[:, None] * across**2 - thickness / 2
    front = np.stack([x, y, np.broadcast_to(z[:, None], x.shape)], axis=-1)
    return loft(np.concatenate([front, front[:, ::-1] + np.array([0.0, thickness, 0.0])], axis=1))


def _shovel(f: Factors, style: Choices) -> list[Part]:
    long, half = f["head_length"], f["head_width"] / 2
    outline = ease(LEVEL, (0, 0.45, 0.85, 1), (f["tip"] * half, half, half, 0.6 * half))
    dish = f["dish"] * (0.3 + LEVEL) * half
    parts = [_sheet(long * LEVEL, outline, dish, 0.014), *_shaft(f, style, 0.85 * long)]
    return parts


def _rake(f: Factors, style: Choices) -> list[Part]:
    long, half, thin = f["head_length"], f["head_width"] / 2, 0.011
    count = {"few tines": 7, "many tines": 11}[style["tines"]]
    parts = _shaft(f, style, 0.9 * long if style["form"] == "fan" else 0.3 * long)
    for x in np.linspace(-1.0, 1.0, count):
        if style["form"] == "fan":
            path = [[0.1 * half * x, 0, long], [half * x, 0, 0.12 * long], [half * x, -f["tine_bend"], 0.0]]
        else:
            z = 0.3 * long
            path = [[half * x, 0, z], [half * x, -0.3 * f["tine_bend"], 0.1 * z], [half * x, -f["tine_bend"], 0.0]]
        parts.append(tube(path, thin, sides=5))
    level = f["bar_level"] * long
    reach = half * (1.0 - 0.9 * f["bar_level"]) if style["form"] == "fan" else half
    parts.append(box(2 * reach, 0.03, 0.025, z=level if style["form"] == "fan" else 0.3 * long))
    if style["form"] == "bar":
        for side in (-1.0, 1.0):
            parts.append(rod([side * 0.7 * half, 0, 0.3 * long], [0, 0, 0.3 * long + level], thin))
    return parts


def _fork(f: Factors, style: Choices) -> list[Part]:
    long, half = f["head_length"], f["head_width"] / 2
    count = {"three": 3, "four": 4, "five": 5}[style["prongs"]]
    shoulder = (1 - 0.3 * f["shoulder"]) * long
    parts = _shaft(f, style, 0.95 * long)
    for x in half * np.linspace(-1.0, 1.0, count):
        bow = -f["dish"] * np.array([0.0, 0.6, 1.0])
        path = np.stack([[x, x, x], bow, [shoulder, 0.4 * long, 0.0]], axis=-1)
        parts.append(tube(path, [0.016, 0.013, 0.005], sides=6))
        parts.append(rod([x, 0, shoulder], [0, 0, long], 0.016))
    return parts


def _broom(f: Factors, style: Choices) -> list[Part]:
    long, half, thick = f["head_length"], f["head_width"] / 2, f["handle_thickness"] / 2
    parts = _shaft(f, style, 0.8 * long)
    if style["head"] == "besom":
        wide = thick + (half - thick) * (1 - LEVEL) ** f["flare"]
        parts.append(column(long * LEVEL, wide, f["head_depth"] * wide, power=2.5, sides=12))
        parts.append(column([0.8 * long, 0.9 * long], 1.9 * thick, 1.9 * thick))
    else:
        wide = half * (1.0 + 0.15 * f["flare"] * (1 - LEVEL))
        deep = f["head_depth"] * 0.2 * (0.6 + 0.4 * (1 - LEVEL))
        parts.append(column(0.7 * long * LEVEL, wide, deep, power=5.0))
        parts.append(box(2 * half, 0.09, 0.1 * long, z=0.7 * long))
    return parts


SHAFT = {
    "head_length": (0.15, 0.45),
    "head_width": (0.15, 0.5),
    "handle_thickness": (0.025, 0.07),
    "grip_width": (0.08, 0.25),
    **TILT,
}
GRIPS = ("d-grip", "t-grip", "knob")

GARDEN = {
    "shovel": Category(
        _shovel,
        factors={**SHAFT, "tip": (0.15, 1.0), "dish": (0.05, 0.4)},
        styles={"grip": GRIPS},
    ),
    "rake": Category(
        _rake,
        factors={**SHAFT, "tine_bend": (0.02, 0.1), "bar_level": (0.3, 0.7)},
        styles={"grip": GRIPS, "form": ("fan", "bar"), "tines": ("few tines", "many tines")},
    ),
    "fork": Category(
        _fork,
        factors={**SHAFT, "shoulder": (0.2, 1.0), "dish": (0.01, 0.1)},
        styles={"grip": GRIPS, "prongs": ("three", "four", "five")},
    ),
    "broom": Category(
        _broom,
        factors={**SHAFT, "head_depth": (0.25, 0.5), "flare": (0.5, 1.6)},
        styles={"grip": GRIPS, "head": ("besom", "flat")},
    ),
}
