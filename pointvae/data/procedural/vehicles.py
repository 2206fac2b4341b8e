"""Car, van, truck, airplane and rocket: the unit is the width of a road vehicle and the length of one that flies.

Cars, vans, trucks and airplanes head towards -y; the rocket stands on its fins.
"""

import numpy as np

from pointvae.data.procedural.category import TILT, Category, Choices, Factors
from pointvae.data.procedural.parts import (
    Part,
    blade,
    both_sides,
    box,
    column,
    hull,
    rod,
    tube,
    turn,
    wheel,
)


def _wheels(radius: float, at: list[float]) -> list[Part]:
    return [part for y in at for part in both_sides(wheel(radius, 0.16, x=0.43, y=y))]


def _car(f: Factors, style: Choices) -> list[Part]:
    half, low = f["length"] / 2, f["clearance"]
    belt = low + f["body_height"]
    roof, nose = belt + f["cabin_height"], belt - f["hood_drop"]
    front, rear = (2 * f["hood"] - 1) * half, (1 - 2 * f["trunk"]) * half
    y = [-half, 0.03 - half, front, rear, half - 0.03, half]
    parts = [
        hull(y, [0.42, 0.47, 0.5, 0.5, 0.47, 0.44], low, [nose - 0.08, nose, belt, belt, belt, belt - 0.08], power=7)
    ]
    fore = front + f["windshield"] * (rear - front)
    aft = rear - f["rear_slope"] * (rear - front)
    middle, reach = [(front + rear) / 2, (fore + aft) / 2], [(rear - front) / 2, (aft - fore) / 2]
    cabin = column(
        [belt - 0.03, roof - 0.04, roof],
        [0.47, 0.39, 0.35],
        [reach[0], reach[1], 0.94 * reach[1]],
        y=[middle[0], middle[1], middle[1]],
        power=7,
    )
    parts += [cabin, *_wheels(f["wheel_radius"], [-f["wheelbase"] * half, f["wheelbase"] * half])]
    if style["extra"] == "spoiler":
        parts.append(box(0.9, 0.14, 0.03, y=half - 0.08, z=belt + 0.13))
        parts += both_sides(box(0.03, 0.08, 0.2, x=0.35, y=half - 0.08, z=belt - 0.06))
    elif style["extra"] == "roof box":
        parts.append(column([roof, roof + 0.14], 0.25, 0.9 * reach[1], y=middle[1], power=5))
    return parts


def _van(f: Factors, style: Choices) -> list[Part]:
    half, low = f["length"] / 2, f["clearance"]
    roof, belt, tip = low + f["height"], low + 0.5 * f["height"], f["snout"]
    fore = tip + f["windshield"] * 0.4 * f["height"]
    y = [-half, 0.04 - half, tip - half, fore - half, half - f["rear_slope"], half]
    nose = low + (0.45 + 0.05 * f["windshield"]) * f["height"]
    tops = [nose - 0.08, nose, belt + 0.04, roof - 0.02, roof, belt]
    parts = [hull(y, [0.42, 0.47, 0.49, 0.49, 0.49, 0.47], low, tops, power=9)]
    if style["extra"] == "ladder rack":
        for x in (-0.3, 0.3):
            parts.append(box(0.04, 1.2 * half, 0.04, x=x, y=0.2 * half, z=roof + 0.06))
        for at in (-0.3, 0.2, 0.7):
            parts.append(box(0.7, 0.04, 0.08, y=at * half, z=roof - 0.02))
    elif style["extra"] == "raised roof":
        parts.append(column([roof - 0.05, roof + 0.2], 0.42, [0.6 * half, 0.5 * half], y=0.15 * half, power=6))
    return [*parts, *_wheels(f["wheel_radius"], [-f["wheelbase"] * half, f["wheelbase"] * half])]


def _truck(f: Factors, style: Choices) -> list[Part]:
    half, low, cab = f["length"] / 2, f["clearance"], f["cab_length"]
    bed = low + 0.15
    roof = low + f["cab_height"]
    snout, hood = f["snout"], low + 0.5 * f["cab_height"]
    back = cab - half
    y = [-half, snout - half, snout - half + 0.1, back]
    parts = [hull(y, [0.43, 0.46, 0.46, 0.46], low, [hood - 0.05, hood, roof - 0.05, roof], power=8)]
    start, load = back + 0.06, half - back - 0.06
    parts.append(box(0.7, 2 * half - 0.1, 0.1, y=0.0, z=bed - 0.1))
    top = f["cargo_height"]
    if style["cargo"] == "box":
        parts.append(box(1.0, load, top, y=start + load / 2, z=bed))
    elif style["cargo"] == "tank":
        y = [start, start + 0.06, half - 0.06, half]
        parts.append(hull(y, [0.3, 0.45, 0.45, 0.3], [bed + 0.1 * top, bed, bed, bed + 0.1 * top], bed + top))
    else:
        wall = 0.45 * top
        parts += [box(1.0, load, 0.05, y=start + load / 2, z=bed), box(1.0, 0.05, wall, y=half - 0.03, z=bed)]
        parts += both_sides(box(0.05, load, wall, x=0.475, y=start + load / 2, z=bed))
    radius = f["wheel_radius"]
    rear = [half - 0.35, half - 0.4 - 2 * radius] if style["axles"] == "three" else [half - 0.45]
    return [*parts, *_wheels(radius, [0.35 - half + 0.4 * snout, *rear])]


def _airplane(f: Factors, style: Choices) -> list[Part]:
    r, span, chord = f["fuselage_radius"], f["wing_span"] / 2, f["wing_chord"]
    nose = f["nose_length"]
    s = np.linspace(0.0, 1.0, 5)
    y = np.r_[-0.5 + nose * s, 0.15, 0.33, 0.5]
    girth = r * np.r_[np.sqrt(1 - (1 - np.maximum(s, 0.02)) ** 2), 1.0, 0.7, 0.25]
    centre = np.r_[np.zeros(len(s) + 1), 0.25 * r, 0.6 * r]
    parts = [hull(y, girth, centre - girth, centre + girth)]
    level, at = f["wing_level"] * r, f["wing_position"]
    sweep, rise = span * np.tan(np.radians(f["sweep"])), span * np.tan(np.radians(f["dihedral"]))
    root = (0.3 * r, at, level)
    tip = (span, at + sweep, level + rise)
    parts += both_sides(blade(root, tip, (chord, chord * f["wing_taper"]), 0.025, (0, 1, 0)))
    fin, tail = f["fin_height"], f["tail_span"] / 2
    parts.append(blade((0, 0.4, 0.5 * r), (0, 0.46, 0.6 * r + fin), (0.16, 0.08), 0.015, (0, 1, 0)))
    height = 0.5 * r + (0.95 * fin if style["tail"] == "t-tail" else 0.0)
    parts += both_sides(blade((0.0, 0.42, height), (tail, 0.47, height), (0.12, 0.07), 0.015, (0, 1, 0)))
    if style["engines"] == "propeller":
        for k in (0.0, 90.0):
            parts.append(turn(box(0.22, 0.015, 0.03, y=-0.51, z=-0.015), "y", 30 + k))
    else:
        places = {"two": (0.35,), "four": (0.3, 0.6)}[style["engines"]]
        for share in places:
            x, y0, z = share * span, at + share * sweep - 0.5 * chord, level + share * rise - 0.045
            parts += both_sides(tube([[x, y0 - 0.04, z], [x, y0 + 0.1, z]], [0.032, 0.026]))
    return parts


def _rocket(f: Factors, style: Choices) -> list[Part]:
    r, nose, height = f["radius"], f["nose_length"], 1.0
    s = np.linspace(0.0, 1.0, 6)
    low = f["fin_drop"]
    z = np.r_[low - 0.5 * r, low, low + 0.02, height - nose + nose * np.minimum(s, 0.985)]
    cone = r * (1 - s ** f["nose_curve"])
    radius = np.r_[0.75 * r, 0.6 * r, r * f["body_taper"], np.maximum(cone, 0.05 * r)]
    parts = [column(z, radius, radius, sides=20)]
    count = {"three": 3, "four": 4}[style["fins"]]
    reach, chord = r + f["fin_span"], f["fin_chord"]
    for k in range(count):
        root, tip = (0.8 * r, 0.0, low + chord / 2), (reach, 0.0, 0.25 * chord)
        parts.append(turn(blade(root, tip, (chord, 0.5 * chord), 0.02, (0, 0, 1)), "z", 90 + 360 * k / count))
    if style["boosters"] == "two":
        top = low + 0.45 * (height - nose)
        for x in (-1.6 * r, 1.6 * r):
            parts.append(
                column([low, top, top + r], [0.55 * r, 0.55 * r, 0.05 * r], [0.55 * r, 0.55 * r, 0.05 * r], x=x)
            )
            parts.append(rod([x, 0, 0.7 * top], [0, 0, 0.7 * top], 0.15 * r))
    return parts


VEHICLES = {
    "car": Category(
        _car,
        factors={
            "length": (1.6, 3.3),
            "body_height": (0.25, 0.55),
            "cabin_height": (0.22, 0.55),
            "clearance": (0.1, 0.22),
            "hood": (0.12, 0.34),
            "trunk": (0.02, 0.22),
            "hood_drop": (0.0, 0.12),
            "windshield": (0.06, 0.4),
            "rear_slope": (0.02, 0.35),
            "wheel_radius": (0.17, 0.25),
            "wheelbase": (0.52, 0.7),
            **TILT,
        },
        styles={"extra": ("none", "spoiler", "roof box")},
    ),
    "van": Category(
        _van,
        factors={
            "length": (1.6, 3.4),
            "height": (0.55, 1.2),
            "clearance": (0.1, 0.25),
            "snout": (0.06, 0.4),
            "windshield": (0.1, 0.8),
            "rear_slope": (0.02, 0.25),
            "wheel_radius": (0.16, 0.25),
            "wheelbase": (0.5, 0.72),
            **TILT,
        },
        styles={"extra": ("none", "ladder rack", "raised roof")},
    ),
    "truck": Category(
        _truck,
        factors={
            "length": (1.8, 3.8),
            "cab_length": (0.6, 1.1),
            "cab_height": (0.6, 1.3),
            "snout": (0.05, 0.4),
            "clearance": (0.18, 0.32),
            "cargo_height": (0.45, 1.4),
            "wheel_radius": (0.17, 0.27),
            **TILT,
        },
        styles={"cargo": ("box", "tank", "open bed"), "axles": ("two", "three")},
    ),
    "airplane": Category(
        _airplane,
        factors={
            "fuselage_radius": (0.035, 0.1),
            "nose_length": (0.08, 0.22),
            "wing_span": (0.55, 1.6),
            "wing_chord": (0.12, 0.26),
            "wing_taper": (0.25, 1.0),
            "sweep": (0.0, 38.0),
            "dihedral": (-3.0, 9.0),
            "wing_level": (-0.8, 0.9),
            "wing_position": (-0.2, 0.02),
            "tail_span": (0.25, 0.45),
            "fin_height": (0.1, 0.25),
            **TILT,
        },
        styles={"engines": ("propeller", "two", "four"), "tail": ("low", "t-tail")},
    ),
    "rocket": Category(
        _rocket,
        factors={
            "radius": (0.05, 0.19),
            "nose_length": (0.15, 0.4),
            "nose_curve": (1.0, 2.5),
            "body_taper": (0.85, 1.2),
            "fin_span": (0.06, 0.2),
            "fin_chord": (0.12, 0.3),
            "fin_drop": (0.05, 0.16),
            **TILT,
        },
        styles={"fins": ("three", "four"), "boosters": ("none", "two")},
    ),
}
