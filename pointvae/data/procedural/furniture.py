"""Chair, stool, table, bench, sofa and lamp: the unit is the width of the seat or the top; they face -y."""

import numpy as np

from pointvae.data.procedural.category import Category, Choices, Factors
from pointvae.data.procedural.parts import Part, ball, band, box, column, ease, lathe, move, rod, tube, turn

SUPPORT = {
    "leg_thickness": (0.05, 0.13),
    "leg_splay": (0.0, 0.14),
    "leg_taper": (0.45, 1.0),
    "rail_height": (0.2, 0.85),
}
BASES = ("four legs", "pedestal", "panels")


def _support(f: Factors, base: str, half: tuple[float, float], height: float, power: float = np.inf) -> list[Part]:
    """What carries a seat or a top: four or three legs, a star-footed pedestal, or two side panels, with rails."""
    thick, splay, taper, rail = f["leg_thickness"], f["leg_splay"], f["leg_taper"], f["rail_height"] * height
    inset = 0.92 * 2.0 ** (-1.0 / power)
    wide, deep = inset * half[0] - thick / 2, inset * half[1] - thick / 2
    level = 1.0 - rail / height
    if base == "pedestal":
        foot = 0.5 * min(half) + 2.0 * splay
        neck = 0.55 * f["rail_height"] * height
        post = column([0.3 * neck, neck, height], [thick, thick, thick * taper], [thick, thick, thick * taper])
        feet = [
            turn(tube([[0, 0, neck], [foot, 0, thick / 3]], [thick / 2, thick / 3]), "z", 45 + 90 * k)
            for k in range(4)
        ]
        return [post, *feet]
    if base == "panels":
        parts = []
        for side in (-1.0, 1.0):
            x = [side * (wide + splay), side * wide]
            parts.append(column([0.0, height], thick / 2, [deep * (0.4 + 0.6 * taper), deep], x=x, power=np.inf))
        reach = wide + splay * level
        return [*parts, rod([-reach, 0, rail], [reach, 0, rail], thick / 3)]
    if base == "three legs":
        angles = np.radians([90.0, 210.0, 330.0])
        corners = [(1.1 * wide * np.cos(a), 1.1 * deep * np.sin(a)) for a in angles]
    else:
        corners = [(-wide, -deep), (wide, -deep), (wide, deep), (-wide, deep)]
    parts, knees = [], []
    for x, y in corners:
        out = splay / np.hypot(wide, deep)
        parts.append(
            column(
                [0.0, height],
                [thick * taper / 2, thick / 2],
                [thick * taper / 2, thick / 2],
                x=[x * (1 + out), x],
                y=[y * (1 + out), y],
                sides=8,
            )
        )
        knees.append([x * (1 + out * level), y * (1 + out * level), rail])
    for here, there in zip(knees, knees[1:] + knees[:1], strict=True):
        parts.append(rod(here, there, thick / 4))
    return parts


def _back(style: str, width: float, height: float, tilt: float, y: float, z: float, top: float = 1.0) -> list[Part]:
    """A back rest of full width standing at (y, z), tilted backwards by degrees."""
    half, thin = width / 2, 0.05 * min(width, 1.2)
    if style == "solid":
        parts = [column([0, 0.5 * height, height], [half, half * (1 + top) / 2, half * top], thin / 2, power=6.0)]
    else:
        post = half - thin / 2
        parts = [rod([s * post, 0, 0], [s * post * top, 0, height], 0.7 * thin) for s in (-1.0, 1.0)]
        parts.append(box(width * top, thin, 0.16 * height, z=0.84 * height))
        if style == "slats":
            for level in (0.25, 0.5):
                parts.append(box(width * (1 + (top - 1) * level), thin / 2, 0.14 * height, z=level * height))
        else:
            for x in np.linspace(-0.6, 0.6, 4) * post:
                parts.append(rod([x, 0, 0], [x * top, 0, 0.85 * height], 0.35 * thin))
    return [move(turn(part, "x", -tilt), y=y, z=z) for part in parts]


def _chair(f: Factors, style: Choices) -> list[Part]:
    deep, height, top = f["seat_depth"] / 2, f["seat_height"], f["seat_height"] + f["seat_thickness"]
    parts = _support(f, style["base"], (0.5, deep), height, f["roundness"])
    parts.append(column([height, top], 0.5, deep, power=f["roundness"]))
    parts += _back(style["back"], 0.94, f["back_height"], f["back_tilt"], deep - 0.05, top - 0.03, f["back_taper"])
    if style["arms"] == "arms":
        rest = top + 0.3 * f["back_height"]
        for side in (-0.47, 0.47):
            parts.append(box(0.07, 1.7 * deep, 0.05, x=side, y=0.1 * deep, z=rest))
            parts.append(box(0.05, 0.06, rest - top + 0.04, x=side, y=-0.6 * deep, z=top - 0.02))
    return parts


def _stool(f: Factors, style: Choices) -> list[Part]:
    deep, height, top = f["seat_depth"] / 2, f["seat_height"], f["seat_height"] + f["seat_thickness"]
    parts = _support(f, style["base"], (0.5, deep), height, f["roundness"])
    if style["seat"] == "cushion":
        z = height + f["seat_thickness"] * np.array([0.0, 0.3, 0.7, 1.0])
        swell = np.array([0.46, 0.5, 0.5, 0.4])
        return [*parts, column(z, swell, swell * 2 * deep, power=f["roundness"])]
    return [*parts, column([height, top], 0.5, deep, power=f["roundness"])]


def _table(f: Factors, style: Choices) -> list[Part]:
    deep, height = f["depth"] / 2, f["height"]
    half = (0.5 - f["overhang"], deep - f["overhang"])
    top = column([height, height + f["top_thickness"]], 0.5, deep, power=f["roundness"])
    return [*_support(f, style["base"], half, height, f["roundness"]), top]


def _bench(f: Factors, style: Choices) -> list[Part]:
    deep, height = f["depth"] / 2, f["height"]
    top = height + f["seat_thickness"]
    parts = _support(f, style["base"], (0.5 - f["overhang"], deep), height)
    if style["seat"] == "planks":
        for y in (-0.67, 0.0, 0.67):
            parts.append(box(1.0, 0.55 * deep, f["seat_thickness"], y=y * deep, z=height))
    else:
        parts.append(box(1.0, 2 * deep, f["seat_thickness"], z=height))
    return parts + _back(style["back"], 0.96, f["back_height"], f["back_tilt"], deep - 0.03, top - 0.01)


def _sofa(f: Factors, style: Choices) -> list[Part]:
    half, deep, seat, arm = f["width"] / 2, 0.5, f["leg_height"] + f["seat_height"], f["arm_width"]
    base = f["leg_height"] + 0.45 * f["seat_height"]
    parts = [box(2 * half, 2 * deep, base - f["leg_height"], z=f["leg_height"])]
    for x in (-0.9, 0.9):
        parts += [box(0.07, 0.07, f["leg_height"] + 0.02, x=x * half, y=y) for y in (-0.4, 0.4)]
    count = {"one cushion": 1, "two cushions": 2, "three cushions": 3}[style["cushions"]]
    room = (2 * half - 2 * arm) / count
    for k in range(count):
        x = -half + arm + room * (k + 0.5)
        parts.append(column([base, seat], 0.47 * room, 0.42, x=x, y=-0.06, power=f["roundness"]))
    for side in (-1.0, 1.0):
        x, top = side * (half - arm / 2), seat + f["arm_height"]
        parts.append(box(arm, 2 * deep, top - base, x=x, z=base))
        if style["arms"] == "rolled":
            parts.append(rod([x, -deep - 0.01, top], [x, deep, top], 0.65 * arm))
    rest = column([0, f["back_height"] + seat - base], half, 0.1, power=f["roundness"])
    return [*parts, move(turn(rest, "x", -f["back_tilt"]), y=deep - 0.12, z=base)]


def _lamp(f: Factors, style: Choices) -> list[Part]:
    height, reach, thick, foot = f["pole_height"], f["reach"], f["pole_thickness"], f["base_radius"]
    rise = np.linspace(0.0, 1.0, 9)
    path = np.stack([reach * rise**3, 0 * rise, 0.02 + height * rise], axis=-1)
    parts = [tube(path, thick / 2)]
    if style["base"] == "tripod":
        for k in range(3):
            leg = rod([0, 0, f["base_height"] + 0.25 * height], [foot, 0, 0.02], 0.7 * thick)
            parts.append(turn(leg, "z", 90 + 120 * k))
    elif style["base"] == "urn":
        level = np.linspace(0.0, 1.0, 9)
        radius = ease(level, (0, 0.15, 0.5, 1), (0.6 * foot, 0.45 * foot, foot, 0.6 * thick))
        z = level * (f["base_height"] + 0.45 * height)
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


FURNITURE = {
    "chair": Category(
        _chair,
        factors={
            "seat_depth": (0.8, 1.15),
            "seat_height": (0.65, 1.3),
            "seat_thickness": (0.05, 0.22),
            "roundness": (2.2, 8.0),
            "back_height": (0.5, 1.5),
            "back_tilt": (0.0, 20.0),
            "back_taper": (0.7, 1.05),
            **SUPPORT,
        },
        styles={"base": BASES, "back": ("solid", "slats", "spindles"), "arms": ("none", "arms")},
    ),
    "stool": Category(
        _stool,
        factors={
            "seat_depth": (0.7, 1.1),
            "seat_height": (0.7, 2.2),
            "seat_thickness": (0.05, 0.3),
            "roundness": (2.0, 8.0),
            **SUPPORT,
        },
        styles={"base": (*BASES, "three legs"), "seat": ("flat", "cushion")},
    ),
    "table": Category(
        _table,
        factors={
            "depth": (0.4, 1.0),
            "height": (0.3, 0.85),
            "top_thickness": (0.02, 0.09),
            "overhang": (0.0, 0.12),
            "roundness": (2.0, 12.0),
            **{**SUPPORT, "leg_thickness": (0.03, 0.1)},
        },
        styles={"base": BASES},
    ),
    "bench": Category(
        _bench,
        factors={
            "depth": (0.22, 0.42),
            "height": (0.22, 0.45),
            "seat_thickness": (0.02, 0.07),
            "overhang": (0.0, 0.12),
            "back_height": (0.02, 0.42),
            "back_tilt": (0.0, 20.0),
            **{**SUPPORT, "leg_thickness": (0.03, 0.08), "leg_splay": (0.0, 0.06)},
        },
        styles={"base": ("four legs", "panels"), "seat": ("solid", "planks"), "back": ("solid", "slats", "spindles")},
    ),
    "sofa": Category(
        _sofa,
        factors={
            "width": (1.3, 2.8),
            "leg_height": (0.03, 0.2),
            "seat_height": (0.2, 0.4),
            "arm_width": (0.08, 0.28),
            "arm_height": (0.05, 0.35),
            "back_height": (0.25, 0.7),
            "back_tilt": (0.0, 18.0),
            "roundness": (3.0, 12.0),
        },
        styles={"cushions": ("one cushion", "two cushions", "three cushions"), "arms": ("box", "rolled")},
    ),
    "lamp": Category(
        _lamp,
        factors={
            "base_radius": (0.25, 0.6),
            "base_height": (0.03, 0.15),
            "pole_height": (0.8, 3.0),
            "pole_thickness": (0.04, 0.14),
            "reach": (0.0, 0.4),
            "shade_height": (0.4, 1.0),
            "shade_top": (0.3, 0.95),
        },
        styles={"base": ("disc", "tripod", "urn"), "shade": ("cone", "dome")},
    ),
}
