"""The page: one HTML file with its data, style and script inside, which asks for nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from pointvae.errors import InputError
from pointvae.places import place
from pointvae.visualization.clouds import Frame
from pointvae.visualization.viewer.columns import Column
from pointvae.visualization.viewer.packing import pack, pack_clouds, pack_latents
from pointvae.visualization.viewer.scene import Scene
from pointvae.writing import write_text

SCRIPTS = (
    "numbers",
    "decoder",
    "data",
    "dots",
    "clouds",
    "map",
    "moves",
    "find",
    "table",
    "made",
    "main",
    "stage",
    "keys",
    "start",
)
"""Parts of the script, in order; each is a file of its own."""

TOLD = {
    "class": "class",
    "split": "split",
    "cd_l2_mean": "reconstruction error (cd_l2_mean)",
    "kl": "KL to the prior (nats)",
}

_HEIGHT = 780  # pixels in a notebook


@dataclass(frozen=True, eq=False)
class Viewer:
    """A page that shows a scene; `save` writes it, notebooks show it as it is.

    Attributes:
        scene: what it shows.
        title: of the page.
    """

    scene: Scene
    title: str

    def html(self) -> str:
        """The whole page."""
        style, blobs, described = _asset("viewer.css"), _blobs(self.scene), _describe(self.scene, self.title)
        script = "(() => {\n'use strict';\n" + "\n".join(_asset(f"{name}.js") for name in SCRIPTS) + "\n})();"
        size = sum(map(len, (style, script, to_json(described), *blobs.values())))
        described["facts"].append(f"This file takes {size / 1e6:.1f} MB and loads nothing from elsewhere.")
        data = [f'<script type="application/json" id="scene">{to_json(described)}</script>']
        data += [f'<script type="text/plain" id="{name}">{text}</script>' for name, text in blobs.items()]
        policy = (
            f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        )
        parts = {
            "title": escape(_printable(self.title)),
            "policy": policy,
            "style": style,
            "data": "\n".join(data),
            "script": script,
        }
        return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("viewer.html"))

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all.

        Raises:
            InputError: the name does not end in .html, or nothing can be written there.
        """
        if place(path).suffix.lower() not in (".html", ".htm"):
            raise InputError(f"{path}: the viewer is a page; give a name that ends in .html")
        write_text(place(path), self.html())
        return place(path)

    def _repr_html_(self) -> str:
        frame = (
            f'sandbox="allow-scripts" style="width:100%;height:{_HEIGHT}px;border:0" title="Latent map and shapes"'
        )
        return f'<iframe {frame} srcdoc="{escape(self.html())}"></iframe>'


def to_json(data: Any) -> str:
    """JSON that may stand within a ``<script>``: pure ASCII, no ``<``, no NaN."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _describe(scene: Scene, title: str) -> dict[str, Any]:
    """All that is neither clouds nor other long arrays."""
    return {
        "title": title,
        "names": scene.names,
        "dims": int(scene.latents.shape[1]),
        "points": int(scene.clouds.shape[1]),
        "columns": [_column(column, index) for index, column in enumerate(scene.columns)],
        "maps": [
            {"name": m.name, "note": m.note, "axes": None if m.axes is None else np.round(m.axes, 7).tolist()}
            for m in scene.maps
        ],
        "decoder": scene.decoder,
        "made": None if scene.made is None else {"points": scene.made[0].shape[1], "samples": len(scene.made[2])},
        "ramp": _ramp(),
        "facts": list(scene.facts),
    }


def _column(column: Column, index: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": column.name, "told": TOLD.get(column.name, column.name), "kind": column.kind}
    if column.kind == "categories":
        facts |= {"categories": column.categories, "colours": column.colours}
    if column.kind == "texts":
        facts |= {"texts": column.values}
    return facts


def _blobs(scene: Scene) -> dict[str, str]:
    """Long arrays as base64, by the id of the element that holds them."""
    latents, clouds = pack_latents(scene.latents), pack_clouds(scene.clouds)
    blobs = {
        "latents": latents.text,
        "latent-scale": latents.scale,
        "clouds": clouds.text,
        "cloud-frames": clouds.frames,
    }
    for index, layout in enumerate(scene.maps):
        blobs[f"map-{index}"] = pack(layout.places, "<f4")
    for index, column in enumerate(scene.columns):
        if column.kind != "texts":
            blobs[f"column-{index}"] = pack(column.values, "<f4" if column.kind == "numbers" else "<i2")
    if scene.made is not None:
        made, draws, samples = scene.made
        blobs["sample-latents"] = pack(draws, "<f4")
        for name, points in (("made", made), ("samples", samples)):
            packed = pack_clouds(points, [Frame.of(cloud) for cloud in points])
            blobs |= {name: packed.text, f"{name}-frames": packed.frames}
    return blobs


def _ramp() -> list[str]:
    """Colours from low to high that stay apart for colour-blind readers, on white and on black."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps["viridis"](share)) for share in np.linspace(0.08, 0.9, 12)]


def _printable(text: str) -> str:
    """Text without lone surrogates, which no encoding can write."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _asset(name: str) -> str:
    return files("pointvae.visualization.viewer").joinpath(name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
