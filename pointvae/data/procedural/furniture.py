"""Table, desk, bookcase, cabinet and lamp: the unit is the width of the top or of the shade; they face -y."""

import numpy as np

from pointvae.data.procedural.category import Category, Choices, Factors
from pointvae.data.procedural.parts import Part, ball, band, box, column, ease, lathe, move, rod, tube, turn
from pointvae.data.procedural.supports import BASES, SUPPORT, support


def _table(f: Factors, style: Choices) -> list[Part]:
    deep, height = f["depth"] / 2, f["height"]
    half = (0.5 - f["overhang"], deep * (1.0 - 1.2 * f["overhang"]))
    top = column([height, height + f["top_thickness"]], 0.5, deep, power=f["roundness"])
    parts = [*support(f, style["base"], half, height, f["roundness"]), top]
    if style["setting"] == "vase":
        level = np.linspace(0.0, 1.0, 7)
        radius = ease(level, (0, 0.4, 0.8, 1), (0.05, 0.09, 0.04, 0.07))
        profile = np.stack([np.r_[0, radius, 0], height + f["top_thickness"] + 0.35 * np.r_[0, level, 1]], axis=-1)
        parts.append(move(lathe(profile, 12), x=0.1))
    return parts


def _desk(f: Factors, style: Choices) -> list[Part]:
    deep, height, wide = f["depth"] / 2, f["height"], f["drawer_width"]
    parts = _table(f, {"base": style["base"], "setting": "bare"})
    tall = f["drawer_height"] * height
    room = 0.46 - f["overhang"]
    places = {"one side": [room - wide / 2], "both sides": [room - wide / 2, wide / 2 - room]}[style["drawers"]]
    for x in places:
        parts.append(box(wide, 1.7 * (deep - f["overhang"]), tall, x=x, z=height - tall))
        front = -0.85 * (deep - f["overhang"])
        for level in (0.25, 0.75):
            parts.append(box(0.4 * wide, 0.03, 0.02, x=x, y=front - 0.015, z=height - level * tall))
    return parts + _above(style["above"], deep, height + f["top_thickness"])


def _above(style: str, deep: float, z: float) -> list[Part]:
    """What stands at the back of a desk: nothing, a shelf on two sides, or a screen."""
    if style == "shelf":
        shelf = [box(0.9, 0.2, 0.03, y=deep - 0.12, z=z + 0.27), box(0.9, 0.2, 0.03, y=deep - 0.12, z=z + 0.12)]
        return [*shelf, *(box(0.03, 0.2, 0.28, x=x, y=deep - 0.12, z=z) for x in (-0.44, 0.44))]
    if style == "screen":
        foot = [box(0.16, 0.12, 0.02, y=deep - 0.15, z=z), box(0.04, 0.03, 0.12, y=deep - 0.13, z=z)]
        return [*foot, box(0.45, 0.03, 0.28, y=deep - 0.15, z=z + 0.08)]
    return []


def _carcass(f: Factors, panel: float) -> list[Part]:
    """Two sides, a bottom and a top of a case one unit wide."""
    deep, height, foot = f["depth"], f["height"], f["foot_height"]
    parts = [box(panel, deep, height, x=side * (0.5 - panel / 2)) for side in (-1.0, 1.0)]
    parts += [box(1.0, deep, panel, z=z) for z in (foot, height)]
    return parts


def _bookcase(f: Factors, style: Choices) -> list[Part]:
    panel, deep, height, foot = f["panel"], f["depth"], f["height"], f["foot_height"]
    parts = _carcass(f, panel)
    count = {"two": 2, "three": 3, "four": 4}[style["shelves"]]
    for k in range(1, count + 1):
        share = (k / (count + 1)) ** f["grading"]
        parts.append(box(1.0 - panel, 0.96 * deep, panel, z=foot + share * (height - foot)))
    if style["back"] == "closed":
        parts.append(box(1.0, 0.02, height - foot, y=deep / 2 - 0.01, z=foot))
    elif style["back"] == "divided":
        parts.append(box(panel, 0.96 * deep, height - foot, z=foot))
    return parts


def _cabinet(f: Factors, style: Choices) -> list[Part]:
    panel, deep, height, foot = f["panel"], f["depth"], f["height"], f["foot_height"]
    parts = [*_carcass(f, panel), box(1.0, 0.02, height - foot, y=deep / 2 - 0.01, z=foot)]
    inner, tall, front = 1.0 - 0.5 * panel, height - foot - panel, -deep / 2 - 0.01
    if style["front"] == "doors":
        for side in (-1.0, 1.0):
            parts.append(box(inner / 2 - 0.01, 0.03, tall, x=side * inner / 4, y=front, z=foot + panel))
            parts.append(box(0.03, 0.05, 0.25 * tall, x=0.05 * side, y=front - 0.03, z=foot + f["knob_level"] * tall))
    else:
        count = {"three drawers": 3, "four drawers": 4}[style["front"]]
        for k in range(count):
            z = foot + panel + k * tall / count
            parts.append(box(inner, 0.03, 0.92 * tall / count, y=front, z=z))
            for x in (-0.22, 0.22):
                parts.append(box(0.12, 0.05, 0.03, x=x, y=front - 0.03, z=z + f["knob_level"] * tall / count))
    return parts


def _lamp(f: Factors, style: Choices) -> list[Part]:
    pole, reach, thick, foot = f["pole_height"], f["reach"], f["pole_thickness"], f["base_radius"]
    height = f["base_height"] + pole + 0.7 * f["shade_height"]
    rise = np.linspace(0.0, 1.0, 9)
    path = np.stack([reach * rise**3, 0 * rise, 0.02 + height * rise], axis=-1)
    parts = [tube(path, thick / 2)]
    if style["base"] == "tripod":
        for k in range(3):
            leg = rod([0, 0, f["base_height"] + 0.5 * pole], [foot, 0, 0.3 * thick], 0.6 * thick, 0.35 * thick)
            parts.append(turn(leg, "z", 90 + 120 * k))
    elif style["base"] == "urn":
        level = np.linspace(0.0, 1.0, 9)
        radius = ease(level, (0, 0.15, 0.5, 1), (0.6 * foot, 0.45 * foot, foot, 0.6 * thick))
        z = level * (f["base_height"] + 0.7 * pole)
        parts.append(lathe(np.stack([np.r_[0, radius, 0], np.r_[0, z, z[-1]]], axis=-1), 20))
    else:
        parts.append(
            column([0, f["base_height"], f["base_height"] + 0.02], [foot, foot, foot / 3], [foot, foot, foot / 3])
        )
    top = height + 0.3 * f["shade_height"]
    bottom, rim = top - f["shade_height"], 0.5 * f["shade_top"]
    level = np.linspace(0.0, 1.0, 5)
    if style["shade"] == "dome":
        radius = rim + (0.5 - rim) * np.sqrt(1 - 0.96 * level**2)
    else:
        radius = 0.5 + (rim - 0.5) * level
    z = bottom + f["shade_height"] * level
    outer, inner = np.stack([radius, z], axis=-1), np.stack([radius - 0.015, z], axis=-1)[::-1]
    shade = move(band(np.concatenate([outer, inner])), x=reach)
    return [*parts, shade, ball(0.09, x=reach, z=height)]


CASE = {"height": (0.5, 2.4), "depth": (0.18, 0.9), "foot_height": (0.02, 0.2), "panel": (0.03, 0.08)}

FURNITURE = {
    "table": Category(
        _table,
        factors={
            "depth": (0.35, 1.3),
            "height": (0.25, 1.15),
            "top_thickness": (0.02, 0.09),
            "overhang": (0.0, 0.12),
            "roundness": (2.0, 12.0),
            **{**SUPPORT, "leg_thickness": (0.03, 0.1)},
        },
        styles={"base": BASES, "setting": ("bare", "vase")},
    ),
    "desk": Category(
        _desk,
        factors={
            "depth": (0.35, 1.1),
            "height": (0.3, 1.15),
            "top_thickness": (0.02, 0.09),
            "overhang": (0.0, 0.06),
            "roundness": (6.0, 16.0),
            "drawer_width": (0.2, 0.38),
            "drawer_height": (0.25, 0.9),
            **{**SUPPORT, "leg_thickness": (0.03, 0.1)},
        },
        styles={
            "base": ("four legs", "panels"),
            "drawers": ("one side", "both sides"),
            "above": ("bare", "shelf", "screen"),
        },
    ),
    "bookcase": Category(
        _bookcase,
        factors={**CASE, "grading": (0.75, 1.3)},
        styles={"shelves": ("two", "three", "four"), "back": ("open", "closed", "divided")},
    ),
    "cabinet": Category(
        _cabinet,
        factors={**CASE, "knob_level": (0.3, 0.7)},
        styles={"front": ("doors", "three drawers", "four drawers")},
    ),
    "lamp": Category(
        _lamp,
        factors={
            "base_radius": (0.25, 0.6),
            "base_height": (0.03, 0.15),
            "pole_height": (0.45, 2.4),
            "pole_thickness": (0.04, 0.14),
            "reach": (-0.4, 0.4),
            "shade_height": (0.3, 1.0),
            "shade_top": (0.3, 0.95),
        },
        styles={"base": ("disc", "tripod", "urn"), "shade": ("cone", "dome")},
    ),
}
