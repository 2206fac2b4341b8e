"""Mug, jug, teapot, pot and bucket, vessels with handles: the unit is the greatest width of the body.

Handles point to +x and spouts to -x.
"""

import numpy as np

from pointvae.data.procedural.category import OVAL, Category, Choices, Factors
from pointvae.data.procedural.parts import Array, Part, ball, both_sides, hollow, lathe, rod, tube
from pointvae.data.procedural.vessels import BELLY, LEVEL, belly


def _loop(radius: Array, height: Array, f: Factors, shape: str) -> Part:
    """A handle on the +x side of a turned body (L,): its reach, thickness, and the levels of its two ends."""
    power = {"round": 2.0, "square": 5.0}[shape]
    low, high = f["handle_low"] * float(height[-1]), f["handle_high"] * float(height[-1])
    angle = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 11)
    c, s = np.cos(angle), np.sin(angle)
    z = 0.5 * (low + high) + 0.5 * (high - low) * np.sign(s) * np.abs(s) ** (2 / power)
    x = np.interp(z, height, radius) - 0.02 + f["handle_size"] * np.abs(c) ** (2 / power)
    return tube(np.stack([x, 0 * x, z], axis=-1), f["handle_thickness"] / 2, flat=1.5)


def _lid(rim: float, z: float, rise: float) -> list[Part]:
    """A shallow cover of a rim at height z, with a knob."""
    cover = lathe([[0, z - 0.01], [rim, z - 0.01], [rim, z + 0.03], [0.4 * rim, z + rise], [0, z + rise]])
    return [cover, ball(0.08, z=z + rise + 0.05)]


def _mug(f: Factors, style: Choices) -> list[Part]:
    height = f["height"] * LEVEL
    radius = 0.5 * (f["foot"] + (1 - f["foot"]) * LEVEL + f["bulge"] * LEVEL * (1 - LEVEL) * 4)
    parts = [hollow(radius, height, f["wall"]), _loop(radius, height, f, style["handle"])]
    if style["saucer"] == "saucer":
        wide = f["foot"] / 2 + 0.4
        plate = [[0, -0.04], [0.6 * wide, -0.04], [wide, 0.08], [wide - 0.03, 0.1], [0.6 * wide, 0.0], [0, 0.0]]
        parts.append(lathe(plate))
    return parts


def _jug(f: Factors, style: Choices) -> list[Part]:
    radius, height = belly(f)
    vertices, faces = hollow(radius, height, 0.05)
    upper = np.clip((vertices[:, 2] / f["height"] - 0.7) / 0.3, 0.0, 1.0)
    bearing = np.arctan2(vertices[:, 1], -vertices[:, 0])
    vertices[:, 0] -= f["spout"] * upper**2 * np.exp(-((bearing / 0.5) ** 2))
    lid = _lid(float(radius[-1]), f["height"], 0.12) if style["lid"] == "lid" else []
    return [(vertices, faces), _loop(radius, height, f, style["handle"]), *lid]


def _teapot(f: Factors, style: Choices) -> list[Part]:
    radius, height = belly(f)
    parts = [hollow(radius, height, 0.05), _loop(radius, height, f, style["handle"])]
    parts += _lid(float(radius[-1]), f["height"], f["lid_height"])
    s = np.linspace(0.0, 1.0, 7)
    out = 0.42 + f["spout"] * s
    z = f["height"] * (
        0.3 + (f["spout_level"] - 0.3) * (s if style["spout_shape"] == "straight" else s * s * (3 - 2 * s))
    )
    return [*parts, tube(np.stack([-out, 0 * s, z], axis=-1), 0.12 - 0.07 * s)]


def _pot(f: Factors, style: Choices) -> list[Part]:
    height = f["height"] * LEVEL
    radius = 0.5 * (f["foot"] + (1 - f["foot"]) * np.minimum(1.0, 3 * LEVEL))
    parts = [hollow(radius, height, f["wall"])]
    z, thick, reach = f["handle_level"] * f["height"], f["handle_thickness"] / 2, f["handle_size"]
    if style["handle"] == "long":
        parts.append(rod([0.46, 0, z], [0.5 + 3 * reach, 0, z + 0.5 * reach], thick, 1.4 * thick))
    else:
        angle = np.linspace(-0.5 * np.pi, 0.5 * np.pi, 9)
        path = np.stack([0.46 + reach * np.cos(angle), 0.2 * np.sin(angle), 0 * angle + z], axis=-1)
        parts += both_sides(tube(path, thick))
    if style["lid"] == "lid":
        parts += _lid(0.49, f["height"], 0.14)
    return parts


def _bucket(f: Factors, style: Choices) -> list[Part]:
    height = f["height"] * LEVEL
    radius = 0.5 * (f["foot"] + (1 - f["foot"]) * LEVEL)
    radius[-2:] += f["rim"]
    angle = np.linspace(0.0, np.pi, 15)
    rise = 0.9 * f["height"] + f["bail"] * np.sin(angle) ** 0.8
    swing = np.radians(f["swing"])
    up = rise - 0.9 * f["height"]
    path = np.stack([0.5 * np.cos(angle), up * np.sin(swing), 0.9 * f["height"] + up * np.cos(swing)], axis=-1)
    parts = [hollow(radius, height, 0.03), tube(path, f["handle_thickness"] / 2)]
    if style["grip"] == "grip":
        parts.append(rod(list(path[6]), list(path[8]), 1.3 * f["handle_thickness"]))
    return parts


LOOP = {
    "handle_size": (0.15, 0.4),
    "handle_thickness": (0.05, 0.13),
    "handle_low": (0.1, 0.35),
    "handle_high": (0.65, 0.92),
}

HANDLED = {
    "mug": Category(
        _mug,
        factors={
            "height": (0.5, 1.9),
            "foot": (0.6, 1.05),
            "bulge": (-0.12, 0.2),
            "wall": (0.03, 0.09),
            **LOOP,
            **OVAL,
        },
        styles={"handle": ("round", "square"), "saucer": ("none", "saucer")},
    ),
    "jug": Category(
        _jug,
        factors={**BELLY, "spout": (0.08, 0.3), **LOOP},
        styles={"handle": ("round", "square"), "lid": ("none", "lid")},
    ),
    "teapot": Category(
        _teapot,
        factors={
            **BELLY,
            "height": (0.55, 1.5),
            "spout": (0.35, 0.6),
            "spout_level": (0.7, 1.1),
            "lid_height": (0.05, 0.2),
            **LOOP,
        },
        styles={"handle": ("round", "square"), "spout_shape": ("straight", "swan")},
    ),
    "pot": Category(
        _pot,
        factors={
            "height": (0.3, 1.3),
            "foot": (0.75, 1.0),
            "wall": (0.02, 0.06),
            "handle_level": (0.5, 0.9),
            "handle_thickness": (0.05, 0.1),
            "handle_size": (0.1, 0.25),
            **OVAL,
        },
        styles={"handle": ("long", "loops"), "lid": ("none", "lid")},
    ),
    "bucket": Category(
        _bucket,
        factors={
            "height": (0.5, 1.5),
            "foot": (0.5, 0.95),
            "rim": (0.0, 0.05),
            "bail": (0.25, 0.6),
            "swing": (-40.0, 40.0),
            "handle_thickness": (0.03, 0.07),
            **OVAL,
        },
        styles={"grip": ("none", "grip")},
    ),
}
