"""The latent map as HTML: dots by class, shapes drawn in, and the data with which a script shows any of them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.visualization.clouds import SIZE, Frame, cloud_paths
from pointvae.visualization.colours import class_colours
from pointvae.visualization.latent_map import spread_out

HALF = 500  # half the side of the map, in its own units
THUMB = 34  # half the side of a shape drawn in
THUMB_DOTS = 90

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]


def map_html(
    places: Floats,
    labels: Labels | None,
    classes: Sequence[str],
    names: Sequence[str],
    clouds: Floats,
    *,
    title: str,
    thumbnails: int = 36,
) -> str:
    """A ``<div class="map">`` that reads without a script and, with the report's, shows the shape pointed at.

    Args:
        places: where each shape stands (n, 2), within [-1, 1].
        labels: index of its class (n,), if any.
        classes: their names.
        names: of the shapes.
        clouds: the shapes (n, N, 3), z up.
        title: what a reader who cannot see it is told.
        thumbnails: at most so many shapes are drawn in.
    """
    pixels = np.round(places * [HALF, -HALF]).astype(int)
    kinds = np.zeros(len(places), np.int64) if labels is None else labels
    colours = class_colours(max(len(classes), 1))
    dots = "".join(
        f'<path data-class="{kind}" stroke="{colours[kind]}" d="{_dots(pixels[kinds == kind])}"/>'
        for kind in np.unique(kinds)
    )
    chosen = spread_out(places, labels, thumbnails, 2.15 * THUMB / HALF)
    drawn = "".join(_thumbnail(clouds[k], pixels[k], int(kinds[k]), colours[kinds[k]]) for k in chosen)
    data = json.dumps(
        {
            "x": pixels[:, 0].tolist(),
            "y": pixels[:, 1].tolist(),
            "kind": kinds.tolist(),
            "names": list(names),
            "classes": list(classes) if labels is not None else [],
            "colours": colours,
            "points": int(clouds.shape[1]),
            "clouds": encode_clouds(clouds),
        },
        separators=(",", ":"),
    ).replace("<", "\\u003c")
    edge = HALF + THUMB + 20
    rise = int(np.abs(pixels[:, 1]).max()) + THUMB + 20
    return (
        f'<div class="map"><svg viewBox="{-edge} {-rise} {2 * edge} {2 * rise}" role="img" tabindex="0" '
        f'aria-label="{escape(title)}"><g class="dots">{dots}</g><g class="thumbs">{drawn}</g>'
        f'<circle class="ring" r="9" cx="-9999"/></svg>{_legend(kinds, classes, colours, labels is not None)}'
        '<figure class="viewer" hidden><canvas width="440" height="440" role="img" aria-label="The shape pointed at">'
        "</canvas><figcaption></figcaption></figure>"
        f'<script type="application/json">{data}</script></div>'
    )


def encode_clouds(clouds: Floats) -> str:
    """Clouds (n, N, 3), each filling its ball, as base64 of signed bytes: -127 to 127 for -1 to 1."""
    packed = np.empty(clouds.shape, np.int8)
    for index, cloud in enumerate(clouds):
        frame = Frame.of(cloud)
        packed[index] = np.round((cloud - frame.centre) / frame.radius * 127).astype(np.int8)
    return base64.b64encode(packed.tobytes()).decode("ascii")


def _thumbnail(cloud: Floats, place: npt.NDArray[np.int_], kind: int, colour: str) -> str:
    side = f'x="{-THUMB}" y="{-THUMB}" width="{2 * THUMB}" height="{2 * THUMB}" rx="6"'
    return (
        f'<g data-class="{kind}" transform="translate({place[0]} {place[1]})" style="color:{colour}">'
        f'<rect {side}/><g class="cloud" transform="scale({THUMB / SIZE:.4f})">'
        f"{cloud_paths(cloud[:THUMB_DOTS], Frame.of(cloud))}</g></g>"
    )


def _legend(kinds: Labels, classes: Sequence[str], colours: Sequence[str], labelled: bool) -> str:
    if not labelled:
        return ""
    items = "".join(
        f'<li><button type="button" data-class="{kind}" aria-pressed="false">'
        f'<span style="background:{colours[kind]}"></span>{escape(classes[kind])}</button></li>'
        for kind in np.unique(kinds)
    )
    return f'<ul class="classes">{items}</ul>'


def _dots(pixels: npt.NDArray[np.int_]) -> str:
    return "".join(f"M{x} {y}h0" for x, y in pixels)
