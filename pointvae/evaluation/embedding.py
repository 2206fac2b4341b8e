"""Latents as files: one row for each shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pointvae.data.dataset import Shapes
from pointvae.data.sampling import Up
from pointvae.errors import InputError
from pointvae.evaluation.features import Codes, encode, to_best_device
from pointvae.evaluation.inputs import read_for_run
from pointvae.evaluation.work import Work
from pointvae.hub import from_pretrained, read_run_config
from pointvae.version import __version__
from pointvae.writing import whole_file

SUFFIXES = (".npz", ".parquet")


def embed_to(
    run: str | Path,
    input_path: str | Path,
    out: str | Path,
    *,
    points: int | None = None,
    up: Up | None = None,
    split: str | None = None,
    batch_size: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Write the latents of shapes.

    ``.npz`` holds ``posterior_mean`` and ``posterior_std`` (n, D), ``features`` of the encoder (n, F), ``labels``
    (n,; -1 without classes), ``names`` (n,) and ``classes``. ``.parquet`` has the columns ``name``, ``label``,
    ``class``, ``posterior_mean``, ``posterior_std`` and ``features``, the vectors as lists of fixed size.

    Args:
        run: the run folder.
        input_path: a dataset folder, a mesh, a cloud, or a folder of them.
        out: the file; its suffix is the format.
        points: points of each shape; those of the training run when absent.
        up: the up axis of raw files; that of the run's own source when absent.
        split: only this split of a dataset; all when absent.
        batch_size: shapes a step.
        seed: of the sampling of points.
        progress: show bars on stderr.

    Returns:
        ``shapes``, ``latent_dim``, ``features`` (their number), ``points`` and ``out``.

    Raises:
        InputError: the run, the input, an option or ``out`` is at fault; nothing was written.
    """
    out = Path(out)
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"{out}: unknown format {out.suffix!r}; choose from {', '.join(SUFFIXES)}")
    config = read_run_config(run)
    model = to_best_device(from_pretrained(run))
    shapes = read_for_run(config, input_path, points=points, up=up, split=split, seed=seed, progress=progress)
    codes = encode(model, shapes, work=Work(batch_size, progress=progress))
    with whole_file(out) as temporary:
        if out.suffix.lower() == ".npz":
            _write_npz(temporary, shapes, codes)
        else:
            facts = {"run": Path(run).resolve().name, "seed": seed, "version": __version__}
            _write_parquet(temporary, shapes, codes, facts)
    return {
        "shapes": len(shapes),
        "latent_dim": codes.posterior_mean.shape[1],
        "features": codes.encoder.shape[1],
        "points": shapes.points.shape[1],
        "out": str(out),
    }


def _write_npz(path: Path, shapes: Shapes, codes: Codes) -> None:
    with path.open("wb") as file:
        np.savez(
            file,
            posterior_mean=codes.posterior_mean,
            posterior_std=codes.posterior_std,
            features=codes.encoder,
            labels=np.full(len(shapes), -1) if shapes.labels is None else shapes.labels,
            names=np.array(shapes.names, dtype=np.str_),
            classes=np.array(shapes.classes, dtype=np.str_),
        )


def _write_parquet(path: Path, shapes: Shapes, codes: Codes, facts: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = shapes.labels is not None
    labels: list[int | None] = [None] * len(shapes) if shapes.labels is None else shapes.labels.tolist()
    columns = {
        "name": pa.array(shapes.names, pa.string()),
        "label": pa.array(labels, pa.int64()),
        "class": pa.array([shapes.classes[k] if known and k is not None else None for k in labels], pa.string()),
    }
    for name, values in (
        ("posterior_mean", codes.posterior_mean),
        ("posterior_std", codes.posterior_std),
        ("features", codes.encoder),
    ):
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), pa.float32()), values.shape[1])
    table = pa.table(columns).replace_schema_metadata({"pointvae": json.dumps(facts)})
    pq.write_table(table, path)
