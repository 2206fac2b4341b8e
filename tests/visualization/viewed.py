"""A small scene with names that try to break out of the page."""

import dataclasses

import numpy as np
import torch

from pointvae.models.build import build_model
from pointvae.visualization.viewer.columns import column_of
from pointvae.visualization.viewer.maps import Map
from pointvae.visualization.viewer.page import Viewer
from pointvae.visualization.viewer.scene import gather
from tests.evaluation.shapes import make_model, make_shapes

HOSTILE = [
    "</script><script>document.title='broken'</script>",
    "quo\"te's & <b>bold</b>",
    "line\nbreak\u2028and\u2029more",
    "\u202etxt.elpmas\u202c",
    "emoji 🪑 ünï",
    "lone \ud800 surrogate",
    "{{script}} {{data}}",
]
CLASSES = ["ball", "<script>alert(1)</script>", 'st"ick']


def make_viewer(n=60, decoder="mlp", kind="PointVAE", hostile=True, seed=0, **config):
    """A page of n shapes in three classes, twenty-four points each, with a second map and a column of numbers."""
    shapes = make_shapes(n, seed=seed)
    if hostile:
        names = [*HOSTILE, *shapes.names[len(HOSTILE) :]]
        shapes = dataclasses.replace(shapes, names=names, classes=CLASSES)
    if decoder == "mlp" and kind == "PointVAE":
        model = make_model(seed=1)
    else:
        settings = {"decoder": decoder, "decoder_args": {"width": 16} if decoder == "folding" else {}}
        tiny = {"latent_dim": 12, "points": 24, "encoder_args": {"widths": (16, 32)}, **settings, **config}
        model = build_model(tiny, 1, kind).eval()
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight.mul_(3)  # as after training: far latents become clouds that differ
    weights = column_of("weight", [None if i == 4 else float(i) for i in range(n)])
    scene = gather(model, shapes, ["train"] * (n - n // 3) + ["test"] * (n // 3), columns=[weights], umap=False)
    spiral = np.linspace(0, 12, n)
    places = np.stack([np.cos(spiral), np.sin(spiral)], axis=1) * np.linspace(0.2, 1, n)[:, None]
    scene = dataclasses.replace(scene, maps=[*scene.maps, Map("Spiral", "a second map", places)])
    return Viewer(scene, "Shapes & <em>more</em>"), model, shapes
