"""Latents as files: one row for each shape, made piece by piece, here or on a cluster."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointvae.data.inputs import Input, Piece, check_any, warn_of
from pointvae.data.sampling import Up
from pointvae.data.shards import sha256
from pointvae.engines import Serial, in_order, open_engine
from pointvae.errors import InputError
from pointvae.evaluation.average import Average
from pointvae.evaluation.features import Codes, encode, to_best_device
from pointvae.evaluation.inputs import open_for_run
from pointvae.evaluation.work import Work
from pointvae.hub import WEIGHTS, elsewhere, from_pretrained, read_run_config, run_folder, run_name
from pointvae.models.vae import PointVAE
from pointvae.places import place
from pointvae.progress import progress_bar
from pointvae.version import __version__
from pointvae.writing import whole_file

SUFFIXES = (".npz", ".parquet")


@dataclass(frozen=True, eq=False)
class Embedded:
    """The codes of a piece of an input: of the shapes that could be read, with their names and labels [n]."""

    codes: Codes | None
    names: list[str]
    labels: list[int] | None
    left_out: list[str]


def embed_to(
    run: str | Path,
    input_path: str | Path,
    out: str | Path,
    *,
    points: int | None = None,
    up: Up | None = None,
    split: str | None = None,
    average: int = 1,
    layers: bool = False,
    batch_size: int = 64,
    jobs: int = 1,
    engine: str = "local",
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Write the latents of shapes.

    ``.npz`` holds ``posterior_mean`` and ``posterior_std`` (n, D), ``features`` of the encoder (n, F), ``labels``
    (n,; -1 without classes), ``names`` (n,) and ``classes``; ``average`` too where it is above 1. ``.parquet`` has
    the columns ``name``, ``label``, ``class``, ``posterior_mean``, ``posterior_std`` and ``features``, the vectors as
    lists of fixed size; it is written as the shapes are read, so that any number of them fits into memory.

    Args:
        run: the run folder, or a name that `run_folder` takes.
        input_path: a dataset folder, a mesh, a cloud, or a folder of them; also an URL.
        out: the file; its suffix is the format; also an URL.
        points: points of each shape; those of the training run when absent.
        up: the up axis of raw files; that of the run's own source when absent.
        split: only this split of a dataset; all when absent.
        average: evenly spaced headings of each shape that its vectors are means over.
        layers: write ``layers`` (n, L) too: what every layer of the encoder says, its features last.
        batch_size: shapes a step.
        jobs: processes; with 1 this one uses every core.
        engine: ``local``, or a cluster as for `prepare`, whose workers read the run and the input.
        seed: of the sampling of points.
        progress: show bars on stderr.

    Returns:
        ``shapes``, ``latent_dim``, ``features`` (their number), ``points``, ``average`` and ``out``.

    Raises:
        InputError: the run, the input, an option or ``out`` is at fault; nothing was written.
    """
    target = place(out)
    if target.suffix.lower() not in SUFFIXES:
        raise InputError(f"{out}: unknown format {target.suffix!r}; choose from {', '.join(SUFFIXES)}")
    folder = run_folder(run)
    config = read_run_config(folder)
    model, weights = from_pretrained(folder), sha256(folder / WEIGHTS)
    where = elsewhere(run, folder)
    Work(batch_size)
    averaged = Average(average)
    facts = {"run": run_name(run), "seed": seed, **averaged.to_dict(), "version": __version__}
    write = _write_npz if target.suffix.lower() == ".npz" else _write_parquet
    with (
        open_for_run(config, input_path, points=points, up=up, split=split, seed=seed) as found,
        open_engine(engine, jobs) as cluster,
        progress_bar(progress, "encoding shapes", found.count) as advance,
    ):
        used = cluster if found.parallel else Serial()
        alone = isinstance(used, Serial)
        ready = functools.partial(to_best_device, model) if alone else functools.partial(_model, where, weights)
        of_run = functools.partial(_embed, ready, averaged, layers, batch_size, -1 if alone else 1)
        rows = in_order(used.run(functools.partial(of_run, piece) for piece in found.pieces))
        with whole_file(target) as temporary:
            shapes, features = write(temporary, _checked(rows, found, advance), found, facts)
    return {
        "shapes": shapes,
        "latent_dim": model.latent_dim,
        "features": features,
        "points": found.points,
        "average": average,
        "out": str(out),
    }


def _embed(
    ready: Callable[[], PointVAE],
    average: Average,
    layers: bool,
    batch_size: int,
    threads: int,
    piece: Callable[[], Piece],
) -> Embedded:
    read = piece()
    shapes = read.shapes
    if not len(shapes):
        return Embedded(None, [], None, read.left_out)
    codes = encode(ready(), shapes, average=average, layers=layers, work=Work(batch_size, jobs=threads))
    labels = None if shapes.labels is None else shapes.labels.tolist()
    return Embedded(codes, shapes.names, labels, read.left_out)


@functools.lru_cache(maxsize=2)
def _model(run: str, weights: str) -> PointVAE:
    """A run's model, loaded once by each worker; another one once its weights have changed."""
    folder = run_folder(run)
    if sha256(folder / WEIGHTS) != weights:
        raise InputError(f"{run}: this worker sees other weights than the process that it works for")
    return to_best_device(from_pretrained(folder))


def _checked(rows: Iterator[Embedded], found: Input, advance: Callable[..., None]) -> Iterator[Embedded]:
    """The pieces that hold something.

    Raises:
        InputError: none does.
    """
    reasons: list[str] = []
    shapes = 0
    for row in rows:
        warn_of(row.left_out)
        reasons += row.left_out
        advance(len(row.names) + len(row.left_out))
        if row.codes is not None:
            shapes += len(row.names)
            yield row
    check_any(found, shapes, reasons)


def _write_npz(path: Path, rows: Iterator[Embedded], found: Input, facts: dict[str, Any]) -> tuple[int, int]:
    parts = list(rows)
    codes = [part.codes for part in parts if part.codes is not None]
    names = [name for part in parts for name in part.names]
    labels = [label for part in parts for label in part.labels or [-1] * len(part.names)]
    arrays: dict[str, Any] = {
        "posterior_mean": np.concatenate([part.posterior_mean for part in codes]),
        "posterior_std": np.concatenate([part.posterior_std for part in codes]),
        "features": np.concatenate([part.encoder for part in codes]),
        "labels": np.array(labels),
        "names": np.array(names, dtype=np.str_),
        "classes": np.array(found.classes, dtype=np.str_),
    }
    if codes[0].average.count > 1:
        arrays["average"] = np.array(codes[0].average.count)
    if codes[0].layers is not None:
        arrays["layers"] = np.concatenate([part.feature("layers") for part in codes])
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return len(names), codes[0].encoder.shape[1]


def _write_parquet(path: Path, rows: Iterator[Embedded], found: Input, facts: dict[str, Any]) -> tuple[int, int]:
    import pyarrow.parquet as pq

    shapes, features, notes = 0, 0, {"pointvae": json.dumps(facts)}
    with contextlib.ExitStack() as stack:
        writer = None
        for row in rows:
            table = _table(row, found.classes).replace_schema_metadata(notes)
            writer = writer or stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)
            shapes, features = shapes + len(row.names), table["features"].type.list_size
    return shapes, features


def _table(row: Embedded, classes: list[str]) -> Any:
    """The columns of one piece, an Arrow table."""
    import pyarrow as pa

    assert row.codes is not None
    labels: list[int | None] = [None] * len(row.names) if row.labels is None else list(row.labels)
    columns = {
        "name": pa.array(row.names, pa.string()),
        "label": pa.array(labels, pa.int64()),
        "class": pa.array([None if label is None else classes[label] for label in labels], pa.string()),
    }
    for name, values in (
        ("posterior_mean", row.codes.posterior_mean),
        ("posterior_std", row.codes.posterior_std),
        ("features", row.codes.encoder),
        ("layers", row.codes.layers),
    ):
        if values is None:
            continue
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel(), pa.float32()), values.shape[1])
    return pa.table(columns)
