"""Colours of classes that stay apart on white and on black."""

from __future__ import annotations

import math

_LIGHTNESS = (0.66, 0.56, 0.75)
_CHROMA = 0.145


def class_colours(count: int) -> list[str]:
    """One colour for each class, ``#rrggbb``: hues evenly around the circle, neighbours of different lightness.

    They are equally vivid in OKLCH (Ottosson 2020, "A perceptual color space for image processing").
    """
    return [
        oklch_to_hex(_LIGHTNESS[k % len(_LIGHTNESS)], _CHROMA, 2 * math.pi * (k / count) + 0.45) for k in range(count)
    ]


def oklch_to_hex(lightness: float, chroma: float, hue: float) -> str:
    """The sRGB colour of OKLCH coordinates, hue in radians; what lies outside of sRGB is clipped."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _encode(min(max(value, 0.0), 1.0))):02x}" for value in linear)


def _encode(linear: float) -> float:
    if linear <= 0.0031308:
        return 12.92 * linear
    return float(1.055 * linear ** (1 / 2.4) - 0.055)
