"""Decoded clouds as files: reconstructions, draws from the prior, ways from one shape to another.

The suffix of the file is the format: ``.png`` a picture, ``.npz`` arrays, ``.ply`` one cloud, and for reconstructions
``.html``, the viewer; a name without a suffix is a new folder with a ``.ply`` for each cloud. Clouds are z up, in the
units that the run's data were normalised to.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from pointvae.data.sampling import Up
from pointvae.errors import InputError
from pointvae.evaluation.features import evaluating, to_best_device
from pointvae.evaluation.inputs import read_for_run
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.evaluation.work import Work
from pointvae.hub import from_pretrained, read_run_config, run_folder
from pointvae.randomness import generator_for
from pointvae.visualization.grids import cloud_grid, reconstruction_grid
from pointvae.visualization.latent_map import save_figure
from pointvae.visualization.ply import write_ply
from pointvae.writing import whole_file, whole_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float32]

MAX_SHOWN = 32

_log = logging.getLogger(__name__)


def reconstruct_to(
    run: str | Path,
    input_path: str | Path,
    out: str | Path,
    *,
    points: int | None = None,
    up: Up | None = None,
    split: str | None = None,
    columns: str | Path | None = None,
    batch_size: int = 64,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Write what becomes of shapes on their way through the latent.

    Args:
        run: the run folder.
        input_path: a dataset folder, a mesh, a cloud, or a folder of them.
        out: ``.png`` (the first 32, inputs above reconstructions), ``.npz`` (``inputs``, ``reconstructions``,
            ``cd_l2_mean``, ``names``), ``.ply`` (of a single shape), ``.html`` (the `viewer`), or a new folder for a
            ``.ply`` of each.
        points: points of each shape that the model sees; those of the training run when absent.
        up: the up axis of raw files; that of the run's own source when absent.
        split: only this split of a dataset; all when absent.
        columns: for the viewer, a .csv with a column ``name`` and what else is known of the shapes.
        batch_size: shapes a step.
        seed: of the sampling of points.
        progress: show bars on stderr.

    Returns:
        ``shapes``, the mean ``cd_l2_mean``, and ``out``.

    Raises:
        InputError: the run, the input, an option or ``out`` is at fault; nothing was written.
    """
    page = Path(out).suffix.lower() == ".html"
    if columns is not None and not page:
        raise InputError(f"--columns {columns}: only the viewer shows columns; write to a name that ends in .html")
    if page:
        from pointvae.visualization.viewer import viewer

        given: dict[str, Any] = {"columns": columns, "points": points, "up": up, "split": split, "seed": seed}
        view = viewer(run, input_path, batch_size=batch_size, progress=progress, **given)
        view.save(out)
        errors = next(column.values for column in view.scene.columns if column.name == "cd_l2_mean")
        return {"shapes": len(view.scene.names), "cd_l2_mean": float(errors.mean()), "out": str(out)}
    _check(out, also=", .html")
    folder = run_folder(run)
    config, model = read_run_config(folder), to_best_device(from_pretrained(folder))
    shapes = read_for_run(config, input_path, points=points, up=up, split=split, seed=seed, progress=progress)
    made = reconstruct(model, shapes.points, work=Work(batch_size, progress=progress))
    arrays = {
        "inputs": shapes.points,
        "reconstructions": made.points,
        "cd_l2_mean": made.cd_l2_mean,
        "names": np.array(shapes.names, dtype=np.str_),
    }

    def picture() -> Figure:
        shown = slice(0, MAX_SHOWN)
        if len(shapes) > MAX_SHOWN:
            _log.warning("%s: shows the first %d of %d shapes; .npz holds all", out, MAX_SHOWN, len(shapes))
        return reconstruction_grid(
            shapes.points[shown], made.points[shown], shapes.names[shown], made.cd_l2_mean[shown].tolist()
        )

    _write(out, made.points, shapes.names, arrays, picture)
    return {"shapes": len(shapes), "cd_l2_mean": float(made.cd_l2_mean.mean(dtype=np.float64)), "out": str(out)}


def sample_to(run: str | Path, out: str | Path, *, count: int = 16, seed: int = 0) -> dict[str, Any]:
    """Write clouds decoded from draws of the prior.

    Args:
        run: the run folder.
        out: ``.png``, ``.npz`` (``points``, ``latents``), ``.ply`` (of a single cloud), or a new folder.
        count: how many.
        seed: of the draws.

    Returns:
        ``shapes`` and ``out``.

    Raises:
        InputError: the run, an option or ``out`` is at fault; nothing was written.
    """
    _check(out, count)
    if count < 1:
        raise InputError(f"--count {count}: must be at least 1")
    model = to_best_device(from_pretrained(run))
    latents = torch.randn(count, model.latent_dim, generator=generator_for(seed))
    with evaluating(model):
        points: Floats = model.decode(latents.to(next(model.parameters()).device)).float().cpu().numpy()
    names = [f"sample_{number:03d}" for number in range(count)]
    _write(out, points, names, {"points": points, "latents": latents.numpy()}, lambda: cloud_grid(points))
    return {"shapes": count, "out": str(out)}


def interpolate_to(
    run: str | Path,
    a: str | Path,
    b: str | Path,
    out: str | Path,
    *,
    steps: int = 8,
    points: int | None = None,
    up: Up | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Write clouds decoded along the line between the posterior means of two shapes.

    Args:
        run: the run folder.
        a: a mesh or cloud file with the first shape.
        b: one with the last shape.
        out: ``.png``, ``.npz`` (``points``, ``first``, ``last``), or a new folder for a ``.ply`` of each step.
        steps: how many, both ends counted.
        points: points of each shape that the model sees; those of the training run when absent.
        up: the up axis of the files; that of the run's own source when absent.
        seed: of the sampling of points.

    Returns:
        ``steps``, ``ends`` (the names) and ``out``.

    Raises:
        InputError: the run, an input, an option or ``out`` is at fault; nothing was written.
    """
    _check(out, steps)
    if steps < 2:
        raise InputError(f"--steps {steps}: must be at least 2")
    folder = run_folder(run)
    config, model = read_run_config(folder), to_best_device(from_pretrained(folder))
    ends = [read_for_run(config, path, points=points, up=up, seed=seed) for path in (a, b)]
    for path, shapes in zip((a, b), ends, strict=True):
        if len(shapes) != 1:
            raise InputError(f"{path}: holds {len(shapes)} shapes; name a file that holds one")
    device = next(model.parameters()).device
    with evaluating(model):
        first, last = (torch.from_numpy(shapes.points[0]).to(device) for shapes in ends)
        made: Floats = model.interpolate(first, last, steps=steps).float().cpu().numpy()
    given = [shapes.points[0] for shapes in ends]
    names = [shapes.names[0] for shapes in ends]
    titles = [names[0], *("" for _ in made), names[1]]
    arrays = {"points": made, "first": given[0], "last": given[1]}

    def picture() -> Figure:
        return cloud_grid([given[0], *made, given[1]], titles, columns=steps + 2, inputs=(0, steps + 1))

    _write(out, made, [f"step_{number:03d}" for number in range(steps)], arrays, picture)
    return {"steps": steps, "ends": names, "out": str(out)}


def _check(out: str | Path, count: int | None = None, also: str = "") -> None:
    """Refuse an unknown format before any work is done; ``also`` tells of formats that are not written here."""
    suffix = Path(out).suffix.lower()
    if suffix not in ("", ".png", ".npz", ".ply"):
        raise InputError(f"{out}: unknown format {suffix!r}; choose .png, .npz, .ply{also}, or a folder (no suffix)")
    if suffix == ".ply" and count not in (None, 1):
        raise _several(out, count)


def _several(out: str | Path, count: int | None) -> InputError:
    return InputError(f"{out}: one .ply holds one cloud, not {count}; name a folder, {Path(out).with_suffix('')}")


def _write(out: str | Path, clouds: Floats, names: Sequence[str], arrays: dict[str, Any], picture: Any) -> None:
    suffix = Path(out).suffix.lower()
    if suffix == ".png":
        save_figure(picture(), out)
    elif suffix == ".npz":
        with whole_file(out) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
    elif suffix == ".ply":
        if len(clouds) != 1:
            raise _several(out, len(clouds))
        write_ply(out, clouds[0])
    else:
        with whole_folder(out) as folder:
            for cloud, name in zip(clouds, file_names(names), strict=True):
                write_ply(folder / f"{name}.ply", cloud)


def file_names(names: Sequence[str]) -> list[str]:
    """Names fit for files, all different: what is neither letter, digit, dot, dash nor underscore becomes ``_``."""
    taken: set[str] = set()
    made = []
    for name in names:
        plain = re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "shape"
        candidate, number = plain, 2
        while candidate.lower() in taken:
            candidate, number = f"{plain}_{number}", number + 1
        taken.add(candidate.lower())
        made.append(candidate)
    return made
