"""What a page shows: shapes, their latents and columns, maps, and either the decoder or what it made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.features import Codes, encode, evaluating, to_array
from pointvae.evaluation.work import Work
from pointvae.geometry.distances import chamfer_distance
from pointvae.models.modes import evaluation_mode
from pointvae.models.vae import PointVAE
from pointvae.randomness import generator_for
from pointvae.visualization.viewer.columns import Column, categories, column_of, numbers
from pointvae.visualization.viewer.decoder import Spec, live_decoder
from pointvae.visualization.viewer.maps import Map, latent_maps
from pointvae.visualization.viewer.packing import thin

Floats = npt.NDArray[np.float32]

MAX_SHAPES = 20_000
CLOUD_BYTES = 12_000_000
MIN_POINTS, MAX_POINTS = 96, 768
SAMPLES = 24


@dataclass(frozen=True, eq=False)
class Scene:
    """All that a page shows of n shapes.

    Attributes:
        names: of the shapes.
        latents: their posterior means (n, D).
        clouds: the points of them that are drawn (n, P, 3).
        columns: what is known of each.
        maps: their places in the plane.
        decoder: the decoder for the page; None where the page cannot run it.
        made: where there is no decoder for the page, reconstructions (n, Q, 3), latents drawn from the prior (k, D),
            and what they decode to (k, Q, 3).
        facts: lines for the reader: model, data, what was left out.
    """

    names: list[str]
    latents: Floats
    clouds: Floats
    columns: list[Column]
    maps: list[Map]
    decoder: Spec | None
    made: tuple[Floats, Floats, Floats] | None
    facts: list[str] = field(default_factory=list)


def gather(
    model: PointVAE,
    shapes: Shapes,
    splits: list[str] | None = None,
    *,
    columns: list[Column] | None = None,
    points: int | None = None,
    umap: bool | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Scene:
    """Encode and decode shapes, lay them out, and choose what a page can hold.

    Args:
        model: the model; put into evaluation mode, and back into its own.
        shapes: the shapes.
        splits: of each, if known.
        columns: the user's own.
        points: drawn of each cloud; as many as fit 12 MB, 96 to 768, when absent.
        umap: False for no UMAP.
        seed: of the points drawn, the samples and UMAP.
        work: how much is done at a time.

    Raises:
        InputError: there is no shape.
    """
    work = work or Work()
    codes = encode(model, shapes, work=work)
    if not np.isfinite(codes.posterior_mean).all():
        raise InputError("the model's latents are not finite: it diverged; train it anew, with a lower rate")
    wanted = points_for(len(shapes)) if points is None else points
    wanted = max(wanted, 3)
    rows = thin(model.config["points"], wanted, seed)
    decoder = live_decoder(model, rows)
    made, errors = _decode(model, shapes.points, codes.posterior_mean, None if decoder else rows, work)
    own = _columns(shapes, splits, codes, errors)
    taken = {column.name for column in own}
    for column in columns or []:
        if column.name in taken:
            raise InputError(f"columns: there is a column {column.name!r} already; give yours another name")
    stored = None if decoder else (made, *draw_samples(model, rows, seed))
    return Scene(
        names=shapes.names,
        latents=codes.posterior_mean,
        clouds=shapes.points[:, thin(shapes.points.shape[1], wanted, seed)],
        columns=[*own, *(columns or [])],
        maps=latent_maps(codes.posterior_mean, umap=umap, seed=seed),
        decoder=decoder,
        made=stored,
    )


def points_for(count: int) -> int:
    """Points of each of ``count`` clouds such that all take 12 MB at most, 96 to 768."""
    return int(np.clip(CLOUD_BYTES // (4 * max(count, 1)), MIN_POINTS, MAX_POINTS))


def draw_samples(
    model: PointVAE, rows: npt.NDArray[np.int64], seed: int, count: int = SAMPLES
) -> tuple[Floats, Floats]:
    """Draws from the prior (k, D), and some points of the clouds that they decode to (k, Q, 3)."""
    latents = torch.randn(count, model.latent_dim, generator=generator_for(seed))
    with evaluating(model):
        made: Floats = to_array(model.decode(latents.to(next(model.parameters()).device)))[:, rows]
    return latents.numpy(), made


def _decode(
    model: PointVAE, clouds: Floats, latents: Floats, rows: npt.NDArray[np.int64] | None, work: Work
) -> tuple[Floats, Floats]:
    """Some points of each reconstruction, none where no rows are asked for, and its Chamfer distance (n,)."""
    device = next(model.parameters()).device
    chosen = np.empty(0, np.int64) if rows is None else rows

    def tile(places: range) -> tuple[Floats, Floats]:
        part = slice(places.start, places.stop)
        made = model.decode(torch.tensor(latents[part], device=device))
        distances = chamfer_distance(made, torch.tensor(clouds[part], device=device))
        return to_array(made)[:, chosen], to_array(distances)

    with evaluation_mode(model):
        parts = work.tiles(tile, len(clouds), "decoding")
    points, errors = (np.concatenate(part) for part in zip(*parts, strict=True))
    return points, errors


def _columns(shapes: Shapes, splits: list[str] | None, codes: Codes, errors: Floats) -> list[Column]:
    made = []
    if shapes.labels is not None and shapes.classes:
        made.append(categories("class", shapes.labels, shapes.classes))
    if splits is not None and len(set(splits)) > 1:
        made.append(column_of("split", splits))
    mean, std = codes.posterior_mean.astype(np.float64), codes.posterior_std.astype(np.float64)
    divergence = 0.5 * (mean**2 + std**2 - 1) - np.log(std)
    made += [numbers("cd_l2_mean", errors), numbers("kl", divergence.sum(axis=1))]
    factors: list[dict[str, Any]] = list(shapes.factors or [])
    keys = dict.fromkeys(key for values in factors for key in values)
    made += [column_of(key, [values.get(key) for values in factors]) for key in keys]
    return made
