"""What carries seats and tops, and what one leans against: shared by the furniture."""

import numpy as np

from pointvae.data.procedural.category import Factors
from pointvae.data.procedural.parts import Part, box, column, move, rod, tube, turn

SUPPORT = {
    "leg_thickness": (0.05, 0.13),
    "leg_splay": (0.0, 0.14),
    "leg_taper": (0.45, 1.0),
    "rail_height": (0.2, 0.85),
}
BASES = ("four legs", "pedestal", "panels")


def support(f: Factors, base: str, half: tuple[float, float], height: float, power: float = np.inf) -> list[Part]:
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


def back_rest(
    style: str, width: float, height: float, tilt: float, y: float, z: float, top: float = 1.0
) -> list[Part]:
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
