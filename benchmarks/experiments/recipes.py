"""The search for the best latents: where it starts, what is changed, one ingredient at a time, and what is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cells import BETA, ELBO, JITTER, MILD, MILD_TURN, SCALE, TURN, WARM, Cell, Settings, consistency

LATENT = 256
CHAMFER: Settings = {"likelihood": "chamfer", "latent_dim": LATENT}
CANONICAL: Settings = {"target": "canonical", "transforms": MILD}

START = Cell("start", consistency(**CANONICAL), changed=CHAMFER)
"""The first lead (methods of this project, seen once): CR of weight 1, canonical target, mild turns."""


def _with(name: str, objective: Settings | None = None, settings: Settings | None = None, **changed: Any) -> Cell:
    """The start with some of it changed."""
    return replace(
        START,
        name=name,
        objective=objective or START.objective,
        settings=settings or {},
        changed={**START.changed, **changed},
    )


_FULL = {**CANONICAL, "transforms": [TURN, SCALE, JITTER]}
_HALF_TURN: Settings = {**MILD_TURN, "init_args": {"degrees": 60}}

SEARCH: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        START,
        _with("weight 0", consistency(weight=0.0, **CANONICAL)),
        _with("weight 10", consistency(weight=10.0, **CANONICAL)),
        _with("plain VAE", ELBO),
        _with("full turns", consistency(**_FULL)),
        _with("60 degree turns", consistency(target="canonical", transforms=[_HALF_TURN, SCALE, JITTER])),
        _with("beta 4", consistency(BETA, **CANONICAL)),
        _with("KL warm-up", consistency(WARM, **CANONICAL)),
        _with("mixture", likelihood="mixture", likelihood_args={"sigma": 0.05}),
        _with("sigma 0.02", likelihood_args={"sigma": 0.02}),
        _with("sigma 0.1", likelihood_args={"sigma": 0.1}),
        _with("folding decoder", decoder="folding"),
        _with("2,048 features", encoder_args={"widths": [64, 64, 64, 128, 2048]}),
        _with("wide layers", encoder_args={"widths": [64, 128, 128, 256, 1024]}),
        _with("max and mean", encoder_args={"pool": "max+mean"}),
        _with("512 latents", latent_dim=512),
        _with("batch 64", settings={"batch_size": 64}),
        _with("rate 0.0005", settings={"learning_rate": 5e-4}),
        _with("weight average", settings={"ema": 0.999}),
        _with("twice the epochs", settings={"epochs": 10}),
        _with("dgcnn", encoder="dgcnn"),
        _with("foldingnet", encoder="foldingnet"),
        _with("512 points", settings={"points": 512}),
    )
}
"""Candidates: the start, then one ingredient changed at a time."""


@dataclass(frozen=True)
class Reading:
    """How frozen features are taken of a shape.

    Attributes:
        points: of each shape.
        average: turns of each shape that features are the mean over.
    """

    points: int
    average: int = 1


READINGS = (Reading(256), Reading(1024), Reading(1024, 8))
