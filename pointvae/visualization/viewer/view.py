"""`viewer`: a model and shapes become a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pointvae.data.card import is_dataset
from pointvae.data.dataset import ShapeDataset, Shapes, load_dataset
from pointvae.data.inputs import join
from pointvae.data.sampling import Up
from pointvae.errors import InputError
from pointvae.evaluation.features import to_best_device
from pointvae.evaluation.inputs import read_for_run
from pointvae.evaluation.work import Work
from pointvae.hub import from_pretrained, read_run_config, run_folder, run_name
from pointvae.models.vae import PointVAE
from pointvae.places import place
from pointvae.visualization.viewer.columns import given_columns
from pointvae.visualization.viewer.page import Viewer
from pointvae.visualization.viewer.scene import MAX_SHAPES, gather


def viewer(
    model: PointVAE | str | Path,
    shapes: Any,
    *,
    columns: Mapping[str, Any] | str | Path | None = None,
    title: str | None = None,
    points: int | None = None,
    up: Up | None = None,
    split: str | None = None,
    shown: int | None = None,
    umap: bool | None = None,
    batch_size: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> Viewer:
    """A page that links the latent map to the shapes, to be saved as one HTML file or shown in a notebook.

    Args:
        model: a model, a run folder, or what else `from_pretrained` takes.
        shapes: `Shapes`, a mapping of splits to them, a data set, an array (n, N, 3), or what a path names: a dataset
            folder, a mesh, a cloud, or a folder of them.
        columns: your own columns: a value for each shape under each name, or a CSV file with a column ``name``.
        title: of the page; the run and the data when absent.
        points: points of each shape that the model sees, where shapes are read from a path; those of the training
            run when absent.
        up: the up axis of raw files; that of the run's own source when absent.
        split: only this split; all when absent.
        shown: points drawn of each shape; as many as fit 12 MB, 96 to 768, when absent.
        umap: False for no UMAP even where it is installed.
        batch_size: shapes a step.
        seed: of the sampling of points, of samples and of UMAP.
        progress: show bars on stderr.

    Returns:
        A `Viewer`, with ``save(path)``; notebooks show it as it is.

    Raises:
        InputError: the run, the shapes, a column or an option is at fault.

    Example:
        >>> import numpy as np
        >>> from pointvae import PointVAE, Shapes
        >>> clouds = np.random.default_rng(0).standard_normal((4, 64, 3)).astype(np.float32)
        >>> shapes = Shapes(clouds, None, ["a", "b", "c", "d"], [])
        >>> page = viewer(PointVAE(latent_dim=4, points=48), shapes, columns={"weight": [1.0, 2.0, 1.5, 0.5]})
        >>> page.scene.names, [column.name for column in page.scene.columns]
        (['a', 'b', 'c', 'd'], ['cd_l2_mean', 'kl', 'weight'])
    """
    if shown is not None and not 3 <= shown <= 20_000:
        raise InputError(f"shown {shown}: must be 3 to 20,000 points")
    config: dict[str, Any] = {}
    if isinstance(model, PointVAE):
        net = model
    else:
        folder = run_folder(model)
        config, net = read_run_config(folder), to_best_device(from_pretrained(folder))
    options = {"points": points, "up": up, "seed": seed, "progress": progress}
    given, splits, name = _read(config, shapes, split, options)
    own = given_columns(columns, given.names) if columns is not None else []
    facts = []
    if len(given) > MAX_SHAPES:
        kept = np.sort(np.random.default_rng(seed).permutation(len(given))[:MAX_SHAPES])
        facts.append(f"{MAX_SHAPES:,} of {len(given):,} shapes, drawn at random, so that the page stays quick.")
        given, splits = given[kept], [splits[row] for row in kept] if splits is not None else None
        own = given_columns(columns, given.names) if isinstance(columns, str | Path) else [c.at(kept) for c in own]
    work = Work(batch_size, progress=progress)
    scene = gather(net, given, splits, columns=own, points=shown, umap=umap, seed=seed, work=work)
    called = type(net).__name__ if isinstance(model, PointVAE) else run_name(model)
    model_facts = f"{type(net).__name__}: encoder {net.config['encoder']}, decoder {net.config['decoder']}."
    scene.facts.extend([model_facts, f"Each shape is seen by the model as {given.points.shape[1]:,} points.", *facts])
    return Viewer(scene, title or f"{called} · {name}")


def _read(
    config: dict[str, Any], given: Any, split: str | None, options: dict[str, Any]
) -> tuple[Shapes, list[str] | None, str]:
    """The shapes, the split of each where they have any, and what to call them."""
    name = "shapes"
    parts: Mapping[str, Shapes]
    if isinstance(given, str | Path):
        name = place(given).name or str(given)
        if split is not None or not is_dataset(place(given)):
            return read_for_run(config, given, split=split, **options), None, name
        dataset = load_dataset(given)
        parts = {part: read_for_run(config, given, split=part, **options) for part in dataset.splits}
    elif isinstance(given, Shapes):
        return given, None, name
    elif isinstance(given, ShapeDataset):
        name, parts = given.path.name, {part: given[part] for part in given.splits}
    elif isinstance(given, Mapping) and all(isinstance(part, Shapes) for part in given.values()):
        parts = given
    else:
        return _of_array(given), None, name
    if split is not None:
        if split not in parts:
            raise InputError(f"{name}: has no split {split!r}; it has {', '.join(parts)}")
        parts = {split: parts[split]}
    if not any(len(part) for part in parts.values()):
        raise InputError(f"{name}: no shape to show: every split is empty")
    return join(list(parts.values())), [key for key, part in parts.items() for _ in range(len(part))], name


def _of_array(given: Any) -> Shapes:
    try:
        points = np.asarray(given, np.float32)
    except (TypeError, ValueError):
        points = np.empty(0, np.float32)
    if points.ndim != 3 or points.shape[2] != 3:
        raise InputError(
            f"viewer: shapes are {type(given).__name__}; give Shapes, a dataset, a path, or an array (n, N, 3)"
        )
    if not np.isfinite(points).all():
        raise InputError("viewer: a cloud holds NaN or infinity; clean it first")
    return Shapes(points, None, [f"shape_{row:06d}" for row in range(len(points))], [])
