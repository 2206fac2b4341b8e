"""The clouds that the report draws: shapes beside their reconstructions, a map, draws of the prior, a way between."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pointvae.evaluation.bench import Bench
from pointvae.evaluation.features import to_array
from pointvae.evaluation.results import Arrays, Floats, Part
from pointvae.evaluation.selection import spread_over_classes
from pointvae.evaluation.work import Work
from pointvae.models.modes import evaluation_mode
from pointvae.models.vae import PointVAE
from pointvae.randomness import generator_for
from pointvae.visualization.latent_map import Method, flatten_latents

SHOWN, WORST, SAMPLES, STEPS = 12, 4, 12, 8
MAPPED, MAP_POINTS = 1000, 128


def draw_pictures(bench: Bench) -> Part:
    """All of them, by the names that `Evaluation` reads."""
    shapes, made = bench.shapes, bench.reconstructions
    shown = spread_over_classes(shapes, SHOWN, seed=bench.seed)
    worst = np.argsort(-made.cd_l2_mean, kind="stable")[:WORST]
    ends = shown[[0, -1]]
    method: Method = "pca" if bench.quick else "tsne"
    arrays = {
        **_gallery("gallery", bench, shown),
        **_gallery("worst", bench, worst),
        **_map(bench, method),
        "samples": draw_prior(bench.model, SAMPLES, bench.seed, bench.work),
        "path": _path(bench.model, bench.clouds[ends], bench.work),
        "path_ends": bench.clouds[ends],
        "path_names": np.array([shapes.names[place] for place in ends]),
    }
    return Part({"protocol": "pictures/1", "seed": bench.seed, "map": method, "shapes": len(shapes)}, arrays)


def draw_prior(model: PointVAE, count: int, seed: int, work: Work | None = None) -> Floats:
    """Decoded draws from the prior (count, M, 3); the first ones are the same whatever the count."""
    device = next(model.parameters()).device

    def decode(places: range) -> Floats:
        z = [torch.randn(model.latent_dim, generator=generator_for(seed, place)) for place in places]
        return to_array(model.decode(torch.stack(z).to(device)))

    with evaluation_mode(model):
        return np.concatenate((work or Work()).tiles(decode, count, "drawing from the prior"))


def _path(model: PointVAE, ends: Floats, work: Work) -> Floats:
    """The way (steps, M, 3) between two clouds (2, N, 3)."""
    device = next(model.parameters()).device

    def walk(pair: Floats) -> Floats:
        a, b = torch.tensor(pair, device=device)
        return to_array(model.interpolate(a, b, steps=STEPS))

    with evaluation_mode(model):
        return work.each(walk, [ends], "interpolating")[0]


def _gallery(name: str, bench: Bench, chosen: Any) -> Arrays:
    made = bench.reconstructions
    return {
        f"{name}_names": np.array([bench.shapes.names[place] for place in chosen]),
        f"{name}_inputs": bench.clouds[chosen],
        f"{name}_outputs": made.points[chosen],
        f"{name}_cd_l2_mean": made.cd_l2_mean[chosen],
    }


def _map(bench: Bench, method: Method) -> Arrays:
    shapes, codes = bench.shapes, bench.codes("trained", "test")
    chosen = spread_over_classes(shapes, MAPPED, seed=bench.seed)
    arrays: Arrays = {
        "map_places": flatten_latents(codes.posterior_mean[chosen], method, seed=bench.seed),
        "map_names": np.array([shapes.names[place] for place in chosen]),
        "map_clouds": bench.clouds[chosen, :MAP_POINTS],
    }
    return arrays if shapes.labels is None else arrays | {"map_labels": shapes.labels[chosen]}
