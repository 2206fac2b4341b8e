"""Chair, stool, bench, sofa and bed: the unit is the width of the seat, for the bed its length; they face -y."""

import numpy as np

from pointvae.data.procedural.category import Category, Choices, Factors
from pointvae.data.procedural.parts import Part, box, column, move, rod, turn
from pointvae.data.procedural.supports import BASES, SUPPORT, back_rest, support


def _chair(f: Factors, style: Choices) -> list[Part]:
    deep, height, top = f["seat_depth"] / 2, f["seat_height"], f["seat_height"] + f["seat_thickness"]
    parts = support(f, style["base"], (0.5, deep), height, f["roundness"])
    parts.append(column([height, top], 0.5, deep, power=f["roundness"]))
    parts += back_rest(
        style["back"], 0.94, f["back_height"], f["back_tilt"], deep - 0.05, top - 0.03, f["back_taper"]
    )
    if style["arms"] == "arms":
        rest = top + 0.3 * f["back_height"]
        for side in (-0.47, 0.47):
            parts.append(box(0.07, 1.7 * deep, 0.05, x=side, y=0.1 * deep, z=rest))
            parts.append(box(0.05, 0.06, rest - top + 0.04, x=side, y=-0.6 * deep, z=top - 0.02))
    return parts


def _stool(f: Factors, style: Choices) -> list[Part]:
    deep, height, top = f["seat_depth"] / 2, f["seat_height"], f["seat_height"] + f["seat_thickness"]
    parts = support(f, style["base"], (0.5, deep), height, f["roundness"])
    if style["seat"] == "cushion":
        z = height + f["seat_thickness"] * np.array([0.0, 0.3, 0.7, 1.0])
        swell = np.array([0.46, 0.5, 0.5, 0.4])
        return [*parts, column(z, swell, swell * 2 * deep, power=f["roundness"])]
    return [*parts, column([height, top], 0.5, deep, power=f["roundness"])]


def _bench(f: Factors, style: Choices) -> list[Part]:
    deep, height = f["depth"] / 2, f["height"]
    top = height + f["seat_thickness"]
    parts = support(f, style["base"], (0.5 - f["overhang"], deep), height)
    if style["seat"] == "planks":
        for y in (-0.67, 0.0, 0.67):
            parts.append(box(1.0, 0.55 * deep, f["seat_thickness"], y=y * deep, z=height))
    else:
        parts.append(box(1.0, 2 * deep, f["seat_thickness"], z=height))
    if style["arms"] == "arms":
        rest = top + 0.1 + 0.3 * f["back_height"]
        for x in (-0.46, 0.46):
            parts.append(box(0.04, 1.9 * deep, 0.03, x=x, z=rest))
            parts.append(box(0.03, 0.03, rest - top + 0.02, x=x, y=-0.85 * deep, z=top - 0.01))
    return parts + back_rest(style["back"], 0.96, f["back_height"], f["back_tilt"], deep - 0.03, top - 0.01)


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


def _bed(f: Factors, style: Choices) -> list[Part]:
    # Built along y, then turned so that its long side faces the front, as a sofa's does.
    half, legs, frame = f["width"] / 2, f["leg_height"], f["frame_height"]
    deck = legs + frame
    parts = [box(2 * half, 1.0, frame, z=legs)]
    for y in (-0.46, 0.46):
        parts += [box(0.06, 0.06, legs + 0.01, x=s * (half - 0.04), y=y) for s in (-1.0, 1.0)]
    mattress = [deck, deck + f["mattress"]]
    parts.append(column(mattress, 0.97 * half, 0.47, power=9.0))
    pillows = {"one": [0.0], "two": [-0.48 * half, 0.48 * half]}[style["pillows"]]
    for x in pillows:
        parts.append(column([mattress[1], mattress[1] + 0.05], 0.4 * half, 0.1, x=x, y=0.34, power=4.0))
    parts += back_rest(style["head"], 2 * half, deck + f["head_height"], 0.0, 0.5, 0.0)
    if style["foot"] == "four posts":
        tall = deck + 1.6 * f["head_height"]
        for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            parts.append(rod([x * half, 0.5 * y, 0], [x * half, 0.5 * y, tall], 0.025))
            parts.append(rod([x * half, 0.5 * y, tall], [-y * half, 0.5 * x, tall], 0.015))
    elif style["foot"] == "board":
        parts += back_rest(style["head"], 2 * half, deck + 0.4 * f["head_height"], 0.0, -0.5, 0.0)
    return [turn(part, "z", 90.0) for part in parts]


SEATING = {
    "chair": Category(
        _chair,
        factors={
            "seat_depth": (0.55, 1.4),
            "seat_height": (0.4, 1.5),
            "seat_thickness": (0.05, 0.22),
            "roundness": (2.2, 8.0),
            "back_height": (0.4, 1.6),
            "back_tilt": (0.0, 20.0),
            "back_taper": (0.7, 1.05),
            **SUPPORT,
        },
        styles={"base": BASES, "back": ("solid", "slats", "spindles"), "arms": ("none", "arms")},
    ),
    "stool": Category(
        _stool,
        factors={
            "seat_depth": (0.6, 1.4),
            "seat_height": (0.6, 2.2),
            "seat_thickness": (0.09, 0.3),
            "roundness": (2.0, 8.0),
            **SUPPORT,
        },
        styles={"base": (*BASES, "three legs"), "seat": ("flat", "cushion")},
    ),
    "bench": Category(
        _bench,
        factors={
            "depth": (0.18, 0.6),
            "height": (0.15, 0.65),
            "seat_thickness": (0.02, 0.14),
            "overhang": (0.0, 0.12),
            "back_height": (0.02, 0.7),
            "back_tilt": (0.0, 20.0),
            **{**SUPPORT, "leg_thickness": (0.03, 0.08), "leg_splay": (0.0, 0.06)},
        },
        styles={
            "base": ("four legs", "panels"),
            "seat": ("solid", "planks"),
            "back": ("solid", "slats", "spindles"),
            "arms": ("none", "arms"),
        },
    ),
    "sofa": Category(
        _sofa,
        factors={
            "width": (1.15, 3.2),
            "leg_height": (0.03, 0.4),
            "seat_height": (0.2, 0.5),
            "arm_width": (0.08, 0.28),
            "arm_height": (0.03, 0.4),
            "back_height": (0.25, 0.9),
            "back_tilt": (0.0, 18.0),
            "roundness": (3.0, 12.0),
        },
        styles={"cushions": ("one cushion", "two cushions", "three cushions"), "arms": ("box", "rolled")},
    ),
    "bed": Category(
        _bed,
        factors={
            "width": (0.4, 1.3),
            "leg_height": (0.03, 0.4),
            "frame_height": (0.06, 0.16),
            "mattress": (0.05, 0.22),
            "head_height": (0.12, 0.6),
        },
        styles={
            "head": ("solid", "slats", "spindles"),
            "foot": ("none", "board", "four posts"),
            "pillows": ("one", "two"),
        },
    ),
}
