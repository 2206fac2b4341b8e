"""Mug, jug, bowl, vase, bottle and goblet: the unit is the greatest width; handles point to +x, spouts to -x."""

import numpy as np

from pointvae.data.procedural.category import Category, Choices, Factors
from pointvae.data.procedural.parts import Array, Part, column, ease, hollow, lathe, tube

LEVEL = np.linspace(0.0, 1.0, 12)


def _handle(radius: Array, height: Array, f: Factors, power: float) -> Part:
    """A loop on the +x side of a turned body (P,): its size, thickness, and the levels of its two ends."""
    tall = float(height[-1])
    low, high = f["handle_low"] * tall, f["handle_high"] * tall
    angle = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 11)
    c, s = np.cos(angle), np.sin(angle)
    out = np.abs(c) ** (2 / power)
    z = 0.5 * (low + high) + 0.5 * (high - low) * np.sign(s) * np.abs(s) ** (2 / power)
    x = np.interp(z, height, radius) - 0.02 + f["handle_size"] * out
    return tube(np.stack([x, 0 * x, z], axis=-1), f["handle_thickness"] / 2, flat=1.5)


def _mug(f: Factors, style: Choices) -> list[Part]:
    height = f["height"] * LEVEL
    radius = 0.5 * (f["foot"] + (1 - f["foot"]) * LEVEL + f["bulge"] * LEVEL * (1 - LEVEL) * 4)
    power = 2.0 if style["handle"] == "round" else 5.0
    return [hollow(radius, height, f["wall"]), _handle(radius, height, f, power)]


def _jug(f: Factors, style: Choices) -> list[Part]:
    height = f["height"] * LEVEL
    radius = 0.5 * ease(LEVEL, (0, f["belly_level"], f["neck_level"], 1), (f["foot"], 1, f["neck"], f["lip"]))
    vertices, faces = hollow(radius, height, 0.05)
    upper = np.clip((vertices[:, 2] / f["height"] - 0.7) / 0.3, 0.0, 1.0)
    bearing = np.arctan2(vertices[:, 1], -vertices[:, 0])
    vertices[:, 0] -= f["spout"] * upper**2 * np.exp(-((bearing / 0.5) ** 2))
    power = 2.0 if style["handle"] == "round" else 5.0
    return [(vertices, faces), _handle(radius, height, f, power)]


def _bowl(f: Factors, style: Choices) -> list[Part]:
    sides = {"round": 24, "octagonal": 8}[style["outline"]]
    foot = f["foot_height"]
    curve = f["foot"] + (1 - f["foot"]) * LEVEL ** f["curvature"]
    radius = 0.5 * np.r_[f["foot"] * 1.05, curve, 1 + f["flare"]]
    height = f["height"] * np.r_[0.0, foot + (0.97 - foot) * LEVEL, 1.0]
    return [hollow(radius, height, f["wall"], floor=foot + 0.06, sections=sides)]


def _vase(f: Factors, style: Choices) -> list[Part]:
    sides = {"round": 24, "six-sided": 6}[style["outline"]]
    height = f["height"] * LEVEL
    knots = (0, f["belly_level"], f["neck_level"], 1)
    radius = 0.5 * ease(LEVEL, knots, (f["foot"], 1, f["neck"], f["lip"]))
    return [hollow(radius, height, 0.05, sections=sides)]


def _bottle(f: Factors, style: Choices) -> list[Part]:
    power = {"round": 2.0, "square": 6.0}[style["body"]]
    body, neck = f["height"] * f["shoulder_level"], 0.5 * f["neck"]
    top = f["height"]
    slope = np.linspace(0.0, 1.0, 7)
    z = body + (top - body) * f["shoulder_slope"] * slope
    shoulder = neck + (0.5 - neck) * (1 - slope**2) ** f["shoulder_curve"]
    radius = np.r_[0.5 * f["foot"], 0.5, shoulder, neck, neck]
    height = np.r_[0.0, 0.06, z, top - 0.001, top]
    parts = [column(height, radius, radius, power=power, sides=24)]
    cap = f["cap_height"]
    if style["cap"] == "screw cap":
        parts.append(column([top - cap, top + 0.02], 1.25 * neck, 1.25 * neck))
    elif style["cap"] == "cork":
        parts.append(column([top - 0.01, top + cap], [0.7 * neck, 0.9 * neck], [0.7 * neck, 0.9 * neck]))
    else:
        parts.append(lathe([[0, top - cap], [1.05 * neck, top - cap], [1.3 * neck, top], [0, top + 0.01]], 16))
    return parts


def _goblet(f: Factors, style: Choices) -> list[Part]:
    stem, cup, thick = f["stem_height"], f["cup_height"], f["stem_thickness"] / 2
    foot, mouth = f["foot"] / 2, f["mouth"] / 2
    if style["cup"] == "tulip":
        widest = ease(LEVEL, (0, 0.45, 1), (thick, 0.5, mouth))
    elif style["cup"] == "cone":
        widest = thick + (max(mouth, 0.4) * 1.15 - thick) * LEVEL
    else:
        widest = thick + (mouth - thick) * np.sqrt(1 - (1 - LEVEL) ** 2)
    inner = np.maximum(widest - 0.03, 0.4 * widest)
    base = np.array([[0, 0], [foot, 0], [foot, 0.02], [thick * 1.4, f["foot_height"]], [thick, 0.5 * stem]])
    outer = np.stack([widest, stem + cup * LEVEL], axis=-1)
    inside = np.stack([inner, stem + 0.05 + (cup - 0.05) * LEVEL], axis=-1)[::-1]
    return [lathe(np.concatenate([base, outer, inside, [[0.0, stem + 0.05]]]), 20)]


HANDLE = {
    "handle_size": (0.15, 0.4),
    "handle_thickness": (0.05, 0.13),
    "handle_low": (0.1, 0.35),
    "handle_high": (0.65, 0.92),
}

VESSELS = {
    "mug": Category(
        _mug,
        factors={"height": (0.6, 1.5), "foot": (0.6, 1.05), "bulge": (-0.12, 0.2), "wall": (0.03, 0.09), **HANDLE},
        styles={"handle": ("round", "square")},
    ),
    "jug": Category(
        _jug,
        factors={
            "height": (1.1, 2.2),
            "foot": (0.5, 0.95),
            "belly_level": (0.15, 0.45),
            "neck_level": (0.65, 0.85),
            "neck": (0.45, 0.85),
            "lip": (0.5, 0.95),
            "spout": (0.08, 0.3),
            **HANDLE,
        },
        styles={"handle": ("round", "square")},
    ),
    "bowl": Category(
        _bowl,
        factors={
            "height": (0.25, 0.75),
            "foot": (0.3, 0.6),
            "foot_height": (0.02, 0.2),
            "curvature": (0.35, 0.9),
            "flare": (-0.08, 0.15),
            "wall": (0.02, 0.07),
        },
        styles={"outline": ("round", "octagonal")},
    ),
    "vase": Category(
        _vase,
        factors={
            "height": (0.9, 2.6),
            "foot": (0.35, 0.9),
            "belly_level": (0.2, 0.6),
            "neck_level": (0.7, 0.92),
            "neck": (0.25, 0.8),
            "lip": (0.35, 1.0),
        },
        styles={"outline": ("round", "six-sided")},
    ),
    "bottle": Category(
        _bottle,
        factors={
            "height": (1.8, 3.6),
            "foot": (0.8, 1.0),
            "shoulder_level": (0.35, 0.7),
            "shoulder_slope": (0.25, 0.8),
            "shoulder_curve": (0.5, 2.0),
            "neck": (0.22, 0.5),
            "cap_height": (0.05, 0.2),
        },
        styles={"body": ("round", "square"), "cap": ("screw cap", "cork", "lip")},
    ),
    "goblet": Category(
        _goblet,
        factors={
            "stem_height": (0.4, 1.3),
            "stem_thickness": (0.05, 0.14),
            "cup_height": (0.5, 1.3),
            "mouth": (0.6, 1.0),
            "foot": (0.5, 0.95),
            "foot_height": (0.04, 0.2),
        },
        styles={"cup": ("tulip", "cone", "round")},
    ),
}
