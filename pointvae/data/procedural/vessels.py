"""Vase, bottle, bowl and goblet, vessels without handles: the unit is the greatest width of the body."""

import numpy as np

from pointvae.data.procedural.category import OVAL, Category, Choices, Factors
from pointvae.data.procedural.parts import Array, Part, ball, column, ease, hollow, lathe, tube, turn

LEVEL = np.linspace(0.0, 1.0, 12)


def belly(f: Factors) -> tuple[Array, Array]:
    """Radii (L,) at heights (L,) of a body that swells from its foot and closes to a neck below its lip."""
    knots = (0, f["belly_level"], f["neck_level"], 1)
    return 0.5 * ease(LEVEL, knots, (f["foot"], 1, f["neck"], f["lip"])), f["height"] * LEVEL


def _vase(f: Factors, style: Choices) -> list[Part]:
    sides = {"round": 24, "six-sided": 6}[style["outline"]]
    radius, height = belly(f)
    parts = [hollow(radius, height, 0.05, sections=sides)]
    if style["content"] == "flowers":
        rim = 0.8 * float(radius[-2:].min())
        for k, (lean, long) in enumerate(((0.9, 0.5), (0.7, 0.75), (0.5, 0.6), (0.15, 1.0), (0.8, 0.65))):
            s = np.linspace(0.0, 1.0, 5)
            out = rim * lean * (0.3 + 0.7 * s) + 0.4 * lean * f["height"] * s**3 * f["lip"]
            top = f["height"] * (1 + 0.55 * long)
            stem = tube(np.stack([out, 0 * s, 0.5 * f["height"] + (top - 0.5 * f["height"]) * s], -1), 0.025)
            bloom = ball((0.13, 0.13, 0.1), x=float(out[-1]), z=top)
            parts += [turn(stem, "z", 144.0 * k), turn(bloom, "z", 144.0 * k)]
    return parts


def _bottle(f: Factors, style: Choices) -> list[Part]:
    power = {"round": 2.0, "square": 6.0}[style["body"]]
    top, neck, cap = f["height"], 0.5 * f["neck"], f["cap_height"]
    body = top * f["shoulder_level"]
    slope = np.linspace(0.0, 1.0, 7)
    shoulder = neck + (0.5 - neck) * (1 - slope**2) ** f["shoulder_curve"]
    radius = np.r_[0.5 * f["foot"], 0.5, shoulder, neck, neck]
    height = np.r_[0.0, 0.06, body + (top - body) * f["shoulder_slope"] * slope, top - 0.001, top]
    parts = [column(height, radius, radius, power=power, sides=24)]
    if style["cap"] == "screw cap":
        return [*parts, column([top - cap, top + 0.02], 1.25 * neck, 1.25 * neck)]
    if style["cap"] == "cork":
        plug = [0.7 * neck, 0.9 * neck]
        return [*parts, column([top - 0.01, top + cap], plug, plug)]
    return [*parts, lathe([[0, top - cap], [1.05 * neck, top - cap], [1.3 * neck, top], [0, top + 0.01]], 16)]


def _bowl(f: Factors, style: Choices) -> list[Part]:
    sides = {"round": 24, "octagonal": 8}[style["outline"]]
    foot = f["foot_height"]
    curve = f["foot"] + (1 - f["foot"]) * LEVEL ** f["curvature"]
    radius = 0.5 * np.r_[f["foot"] * 1.05, curve, 1 + f["flare"]]
    height = f["height"] * np.r_[0.0, foot + (0.97 - foot) * LEVEL, 1.0]
    parts = [hollow(radius, height, f["wall"], floor=foot + 0.06, sections=sides)]
    if style["content"] == "fruit":
        for x, y, z in ((0.2, 0.05, 0.85), (-0.15, 0.17, 0.9), (-0.1, -0.18, 0.87), (0.02, 0.0, 1.1)):
            parts.append(ball(0.15, x=x, y=y, z=f["height"] * z))
    return parts


def _goblet(f: Factors, style: Choices) -> list[Part]:
    stem, cup, thick = f["stem_height"], f["cup_height"], f["stem_thickness"] / 2
    foot, mouth = f["foot"] / 2, f["mouth"] / 2
    if style["cup"] == "tulip":
        wide = ease(LEVEL, (0, 0.45, 1), (thick, 0.5, mouth))
    elif style["cup"] == "cone":
        wide = thick + (1.15 * mouth - thick) * LEVEL
    else:
        wide = thick + (mouth - thick) * np.sqrt(1 - (1 - LEVEL) ** 2)
    inner = np.maximum(wide - 0.03, 0.4 * wide)
    base = np.array([[0, 0], [foot, 0], [foot, 0.02], [thick * 1.4, f["foot_height"]], [thick, 0.5 * stem]])
    outer = np.stack([wide, stem + cup * LEVEL], axis=-1)
    inside = np.stack([inner, stem + 0.05 + (cup - 0.05) * LEVEL], axis=-1)[::-1]
    return [lathe(np.concatenate([base, outer, inside, [[0.0, stem + 0.05]]]), 20)]


BELLY = {
    "height": (0.7, 2.6),
    "foot": (0.4, 0.95),
    "belly_level": (0.2, 0.5),
    "neck_level": (0.65, 0.9),
    "neck": (0.25, 0.9),
    "lip": (0.3, 1.0),
    **OVAL,
}

VESSELS = {
    "vase": Category(
        _vase,
        factors=BELLY,
        styles={"outline": ("round", "six-sided"), "content": ("none", "flowers")},
    ),
    "bottle": Category(
        _bottle,
        factors={
            "height": (1.0, 3.4),
            "foot": (0.65, 1.0),
            "shoulder_level": (0.3, 0.72),
            "shoulder_slope": (0.25, 0.9),
            "shoulder_curve": (0.5, 2.0),
            "neck": (0.22, 0.6),
            "cap_height": (0.05, 0.2),
            **OVAL,
        },
        styles={"body": ("round", "square"), "cap": ("screw cap", "cork", "lip")},
    ),
    "bowl": Category(
        _bowl,
        factors={
            "height": (0.22, 0.75),
            "foot": (0.3, 0.6),
            "foot_height": (0.02, 0.2),
            "curvature": (0.35, 0.9),
            "flare": (-0.08, 0.15),
            "wall": (0.02, 0.07),
            **OVAL,
        },
        styles={"outline": ("round", "octagonal"), "content": ("none", "fruit")},
    ),
    "goblet": Category(
        _goblet,
        factors={
            "stem_height": (0.25, 1.8),
            "stem_thickness": (0.05, 0.14),
            "cup_height": (0.35, 1.5),
            "mouth": (0.6, 1.0),
            "foot": (0.5, 0.95),
            "foot_height": (0.04, 0.2),
            **OVAL,
        },
        styles={"cup": ("tulip", "cone", "round")},
    ),
}
