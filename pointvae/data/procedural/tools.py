"""Hammer, axe, pickaxe, standing on the handle, and guitar, on its body: the unit is their length.

Heads reach to both sides along x.
"""

import numpy as np

from pointvae.data.procedural.category import TILT, Category, Choices, Factors
from pointvae.data.procedural.parts import Part, both_sides, box, column, ease, move, rod, tube, turn

LEVEL = np.linspace(0.0, 1.0, 11)


def _handle(f: Factors, top: float, bend: float = 0.0, power: float = 2.0) -> Part:
    """An upright handle from the floor to `top`, thicker at the grip, swinging sideways by `bend`."""
    thick = 0.5 * f["handle_thickness"] * ease(LEVEL, (0, 0.25, 0.55, 1), (1.0, f["grip"], 0.85, 0.85))
    x = bend * np.sin(np.pi * LEVEL * 1.5) * (1 - LEVEL)
    return column(top * LEVEL, thick, 0.75 * thick, x=x, power=power, sides=10)


def _hammer(f: Factors, style: Choices) -> list[Part]:
    half, r = f["head_length"] / 2, f["head_thickness"] / 2
    z = 1.0 - r
    parts = [_handle(f, 1.0 - 0.3 * r)]
    if style["head"] == "mallet":
        parts.append(
            tube([[-half, 0, z], [-0.9 * half, 0, z], [0.9 * half, 0, z], [half, 0, z]], [r, 1.15 * r, 1.15 * r, r])
        )
    elif style["head"] == "sledge":
        parts.append(box(2 * half, 1.7 * r, 2 * r, z=z - r))
    else:
        parts.append(
            tube([[-0.3 * half, 0, z], [0.6 * half, 0, z], [0.62 * half, 0, z], [half, 0, z]], [r, 0.65 * r, r, r])
        )
        angle = np.linspace(0.0, 1.3, 7)
        claw = np.stack(
            [-0.2 * half - half * np.sin(angle), 0 * angle, z - 0.9 * half * (1 - np.cos(angle))], axis=-1
        )
        for y in (-0.3, 0.3):
            parts.append(move(tube(claw, r * np.linspace(0.8, 0.2, 7), flat=0.45), y=y * r))
    return parts


def _axe(f: Factors, style: Choices) -> list[Part]:
    long, edge, poll, thick = f["blade_length"], f["edge_height"] / 2, f["poll_height"] / 2, f["head_thickness"] / 2
    z = 0.97 - poll
    s = np.linspace(0.0, 1.0, 6)
    tall = poll + (edge - poll) * s ** f["blade_curve"]

    def cheek() -> Part:
        rings = column(long * s, thick * (1 - 0.9 * s), tall, y=-z - f["droop"] * s**2, power=3.0, sides=12)
        return turn(turn(rings, "x", -90.0), "z", -90.0)

    parts = [_handle(f, 0.97, f["handle_bend"]), cheek()]
    if style["head"] == "double":
        parts.append(both_sides(cheek())[1])
    else:
        parts.append(
            box(1.6 * f["handle_thickness"], 2 * thick, 2 * poll, x=-0.5 * f["handle_thickness"], z=z - poll)
        )
    return parts


def _pickaxe(f: Factors, style: Choices) -> list[Part]:
    half, r = f["head_length"] / 2, f["head_thickness"] / 2
    s = np.linspace(-1.0, 1.0, 11)
    wide = r * (1 - 0.8 * np.abs(s) ** 1.5)
    path = np.stack([half * s, 0 * s, 0.97 - f["droop"] * s**2], axis=-1)
    if style["head"] == "adze":
        flat = turn(column([0.0, half], [r, 0.25 * r], [r, f["edge_width"] / 2], power=4.0), "y", 90.0)
        drop = f["droop"] * (flat[0][:, :1] / half) ** 2
        parts = [tube(path[:6], wide[:6]), (flat[0] + np.array([0, 0, 0.97]) - drop * np.array([0, 0, 1.0]), flat[1])]
    else:
        parts = [tube(path, wide, flat=f["edge_width"] / (2 * r))]
    return [_handle(f, 0.97), *parts]


def _guitar(f: Factors, style: Choices) -> list[Part]:
    long, lower, waist, upper = f["body_length"], f["body_width"] / 2, f["waist"], f["upper_bout"]
    deep, neck = f["body_depth"] / 2, f["neck_width"] / 2
    z = long * np.linspace(0.0, 1.0, 17)
    wide = lower * ease(z / long, (0, 0.28, 0.6, 0.83, 1), (0.45, 1, waist, upper, 0.35 * upper))
    parts = [column(z, wide, deep, power=5.0, sides=12)]
    if style["body"] == "horned":
        for side, reach in ((-1.0, 0.2), (1.0, 0.12)):
            x = side * upper * lower
            parts.append(
                column([0.75 * long, long + reach * long], [0.3 * lower, 0.08 * lower], 0.8 * deep, x=[0.6 * x, x])
            )
    else:
        hole = 0.4 * lower * waist
        parts.append(turn(column([deep, deep + 0.008], hole, hole, y=0.62 * long), "x", 90.0))
    parts.append(box(0.8 * lower, 0.02, 0.025, y=-deep - 0.01, z=0.25 * long))
    top = 1.0 - f["head_length"]
    parts.append(column([0.6 * long, top], [1.15 * neck, neck], 0.02, y=-deep, power=4.0))
    flare = 1.7 if style["head"] == "wide" else 1.3
    parts.append(
        column(
            [top, top + 0.03, 1.0],
            [neck, flare * neck, flare * neck],
            0.015,
            y=[-deep, 0.01 - deep, 0.03 - deep],
            power=6.0,
        )
    )
    for height in np.linspace(0.3, 0.9, 3):
        level = top + height * f["head_length"]
        parts.append(
            rod([-(flare * neck + 0.03), 0.02 - deep, level], [flare * neck + 0.03, 0.02 - deep, level], 0.009)
        )
    return parts


SHAFT = {"handle_thickness": (0.04, 0.1), "grip": (0.9, 1.5), **TILT}

TOOLS = {
    "hammer": Category(
        _hammer,
        factors={"head_length": (0.25, 0.65), "head_thickness": (0.07, 0.22), **SHAFT},
        styles={"head": ("claw", "sledge", "mallet")},
    ),
    "axe": Category(
        _axe,
        factors={
            "blade_length": (0.15, 0.32),
            "edge_height": (0.2, 0.42),
            "poll_height": (0.07, 0.15),
            "blade_curve": (0.8, 2.5),
            "droop": (-0.01, 0.06),
            "head_thickness": (0.04, 0.09),
            "handle_bend": (0.0, 0.05),
            **SHAFT,
        },
        styles={"head": ("single", "double")},
    ),
    "pickaxe": Category(
        _pickaxe,
        factors={
            "head_length": (0.35, 0.8),
            "head_thickness": (0.06, 0.12),
            "droop": (0.02, 0.16),
            "edge_width": (0.05, 0.14),
            **SHAFT,
        },
        styles={"head": ("points", "adze")},
    ),
    "guitar": Category(
        _guitar,
        factors={
            "body_length": (0.34, 0.56),
            "body_width": (0.24, 0.5),
            "body_depth": (0.03, 0.12),
            "waist": (0.5, 0.85),
            "upper_bout": (0.65, 0.95),
            "neck_width": (0.045, 0.075),
            "head_length": (0.1, 0.18),
            **TILT,
        },
        styles={"body": ("hollow", "horned"), "head": ("slim", "wide")},
    ),
}
