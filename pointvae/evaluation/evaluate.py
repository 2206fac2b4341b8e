"""Everything there is to know of a trained run on a dataset: figures as JSON, and what the report shows."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pointvae.data.dataset import ShapeDataset, Shapes, load_dataset
from pointvae.errors import InputError
from pointvae.evaluation.drift import probe_drift, self_consistency_drift
from pointvae.evaluation.features import Codes, encode, evaluating, to_best_device
from pointvae.evaluation.latents import consistency_gaps, describe_latents
from pointvae.evaluation.linear_probe import LinearProbe
from pointvae.evaluation.probes import (
    default_points,
    describe_dataset,
    labelled_splits,
    probe_splits,
)
from pointvae.evaluation.reconstruction import Reconstructions, reconstruct
from pointvae.evaluation.results import Evaluation, Floats, Gallery, LatentMap
from pointvae.evaluation.selection import spread_over_classes
from pointvae.evaluation.training import encode_splits
from pointvae.evaluation.views import Rotation, View
from pointvae.evaluation.work import Work
from pointvae.hub import from_pretrained, read_run_config, untrained_twin
from pointvae.models.vae import PointVAE
from pointvae.randomness import generator_for
from pointvae.transforms import Compose, default_transforms
from pointvae.version import __version__
from pointvae.visualization.latent_map import Method, flatten_latents

PROBED: tuple[Rotation, ...] = ("none", "z")
QUICK_TRAIN, QUICK_TEST = 1000, 500
SHOWN, WORST, SAMPLES, STEPS = 12, 4, 12, 8
MAPPED, MAP_POINTS = 1000, 128
CONSISTENCY = "every heading about the up axis, scale 0.8 to 1.25, jitter 0.01"  # default_transforms, in words


def evaluate(
    run: str | Path,
    dataset: str | Path,
    *,
    quick: bool = False,
    points: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> Evaluation:
    """Evaluate a run on a dataset's test split; its train split serves the probes alone.

    Args:
        run: the run folder.
        dataset: the dataset folder.
        quick: take at most 1,000 training and 500 test shapes, from every class in turn.
        points: points of each shape that the model sees; those of the training run when absent.
        batch_size: shapes a step.
        seed: what every random draw is made from.
        progress: show bars on stderr.

    Raises:
        InputError: the run, the dataset or an option is at fault.
    """
    started = time.monotonic()
    config, data = read_run_config(run), load_dataset(dataset)
    model = to_best_device(from_pretrained(run))
    view = View(points or default_points(config, data), "none", seed)
    split = "test" if "test" in data.splits else data.splits[-1]
    shapes = _thin(data[split], QUICK_TEST if quick else None, seed)
    settings: dict[str, Any] = {"work": Work(batch_size, progress=progress)}

    probes, codes, aligned = _probe(run, model, data, view, quick, settings)
    if codes is None:
        codes = encode(model, shapes, view, **settings)
    clouds = view.clouds(shapes)
    made = reconstruct(model, clouds, **settings)
    gaps = consistency_gaps(model, shapes, Compose(default_transforms()), view, seed=seed, **settings)
    drift = _drift(model, shapes, view, aligned, settings)
    shown = spread_over_classes(shapes, SHOWN, seed=seed)
    worst = np.argsort(-made.cd_l2_mean, kind="stable")[:WORST]
    samples, path = _imagine(model, clouds[shown[[0, -1]]], seed)
    metrics = {
        "run": Path(run).resolve().name,
        "dataset": describe_dataset(data),
        "split": split,
        "n_shapes": len(shapes),
        "points": view.points,
        "seed": seed,
        "quick": quick,
        "version": __version__,
        "parameters": sum(weights.numel() for weights in model.parameters()),
        **_headline(probes),
        "cd_l2_mean": float(made.cd_l2_mean.mean(dtype=np.float64)),
        "consistency_gap": float(gaps.mean(dtype=np.float64)),
        "consistency_transforms": CONSISTENCY,
        **describe_latents(codes),
        "drift": drift,
        **probes,
        "seconds": round(time.monotonic() - started, 1),
    }
    return Evaluation(
        name=metrics["run"],
        metrics=metrics,
        config=config,
        card=data.card["pointvae"],
        classes=list(data.classes),
        history=read_history(Path(run) / "metrics.csv"),
        gallery=_gallery(shapes, clouds, made, shown),
        worst=_gallery(shapes, clouds, made, worst),
        latent_map=_map(shapes, clouds, codes, quick, seed),
        samples=samples,
        path=path,
        path_ends=clouds[shown[[0, -1]]],
        path_names=(shapes.names[shown[0]], shapes.names[shown[-1]]),
    )


def read_history(path: Path) -> list[dict[str, float]]:
    """Rows of a run's ``metrics.csv`` without their empty cells; none where there is no such file.

    Raises:
        InputError: a cell is no number.
    """
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        try:
            return [{k: float(v) for k, v in row.items() if k and v} for row in csv.DictReader(file)]
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: damaged ({error}); remove it to go on without curves") from None


def _probe(
    run: str | Path, model: PointVAE, data: ShapeDataset, view: View, quick: bool, settings: dict[str, Any]
) -> tuple[dict[str, Any], Codes | None, LinearProbe | None]:
    """The probes by rotation, or why there are none; the codes of the test shapes as they are, and their probe."""
    codes = aligned = None
    try:
        train, test = labelled_splits(data)
        train = _thin(train, QUICK_TRAIN if quick else None, view.seed)
        test = _thin(test, QUICK_TEST if quick else None, view.seed)
        untrained = to_best_device(untrained_twin(run))
        probes = {}
        for rotation in PROBED:
            turned = View(view.points, rotation, view.seed)
            pair = [encode_splits(each, train, test, turned, **settings) for each in (model, untrained)]
            probes[rotation] = probe_splits(pair[0], pair[1], train, test, turned)
            if rotation == "none":
                codes, aligned = pair[0].test, pair[0].train.linear_probe("posterior_mean", seed=view.seed)
    except InputError as error:
        return {"probes": {}, "probes_left_out": str(error)}, codes, aligned
    return {"probes": probes}, codes, aligned


def _drift(
    model: PointVAE, shapes: Shapes, view: View, probe: LinearProbe | None, settings: dict[str, Any]
) -> dict[str, Any]:
    """The drift of the shapes' codes; with the accuracy of a frozen probe in each round, where there is one."""
    drift = self_consistency_drift(model, shapes, view, seed=view.seed, **settings)
    if probe is None or shapes.labels is None:
        return drift.describe()
    return drift.describe() | {"probe_accuracy": probe_drift(drift, probe, shapes.labels)}


def _headline(probes: dict[str, Any]) -> dict[str, float]:
    names = {"none": "", "z": "rotated_"}
    return {
        f"{prefix}{names[rotation]}accuracy": result[f"{prefix}accuracy"]
        for rotation, result in probes["probes"].items()
        for prefix in ("", "untrained_")
    }


def _thin(shapes: Shapes, count: int | None, seed: int) -> Shapes:
    return shapes if count is None else shapes[spread_over_classes(shapes, count, seed=seed)]


def _imagine(model: PointVAE, ends: Floats, seed: int) -> tuple[Floats, Floats]:
    """Draws from the prior (n, M, 3), and the way (steps, M, 3) between two clouds (2, N, 3)."""
    device = next(model.parameters()).device
    with evaluating(model):
        z = torch.randn(SAMPLES, model.latent_dim, generator=generator_for(seed))
        samples = model.decode(z.to(device))
        a, b = torch.from_numpy(ends).to(device)
        path = model.interpolate(a, b, steps=STEPS)
    return samples.float().cpu().numpy(), path.float().cpu().numpy()


def _gallery(shapes: Shapes, clouds: Floats, made: Reconstructions, chosen: Any) -> Gallery:
    names = [shapes.names[place] for place in chosen]
    return Gallery(names, clouds[chosen], made.points[chosen], made.cd_l2_mean[chosen])


def _map(shapes: Shapes, clouds: Floats, codes: Codes, quick: bool, seed: int) -> LatentMap:
    chosen = spread_over_classes(shapes, MAPPED, seed=seed)
    method: Method = "pca" if quick else "tsne"
    places = flatten_latents(codes.posterior_mean[chosen], method, seed=seed)
    labels = None if shapes.labels is None else shapes.labels[chosen]
    names = [shapes.names[place] for place in chosen]
    return LatentMap(places, labels, names, clouds[chosen, :MAP_POINTS], method, len(shapes))
