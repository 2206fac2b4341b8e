"""`embed`: the latents of shapes that are in this process, or anywhere, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.dataset import Shapes
from pointvae.data.objects import from_objects
from pointvae.data.sampling import Normalize, Up, shape_rng, thin_index
from pointvae.data.thirdparty import is_shape
from pointvae.errors import InputError
from pointvae.evaluation.average import Average
from pointvae.evaluation.features import encode, to_best_device
from pointvae.evaluation.inputs import read_for_run
from pointvae.evaluation.work import Work
from pointvae.hub import from_pretrained, read_run_config, run_folder
from pointvae.models.vae import PointVAE


@dataclass(frozen=True, eq=False)
class Embedding:
    """The latents of n shapes, float32.

    Attributes:
        posterior_mean: m of q(z|x) = N(m, diag s²) (n, D): the vector to use, unless there is a reason for another.
        posterior_std: s (n, D).
        features: of the encoder, before the posterior head (n, F).
        names: of the shapes (n).
        layers: of every layer of the encoder, its features last (n, L); None where they were not asked for.
    """

    posterior_mean: npt.NDArray[np.float32]
    posterior_std: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    names: list[str]
    layers: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.names)


def embed(
    run: PointVAE | str | Path,
    shapes: Any,
    *,
    points: int | None = None,
    up: Up | None = None,
    normalize: Normalize | None = None,
    average: int = 1,
    layers: bool = False,
    seed: int = 0,
    batch_size: int = 64,
) -> Embedding:
    """The latents of meshes, clouds and graphs of any library, sampled and normalised as `prepare` does.

    The same shapes give the same vectors as `pointvae embed` writes for their files, if they have the files' names.

    Args:
        run: a model; or a run folder or a name that `run_folder` takes, which also tells how shapes were prepared.
        shapes: one shape that `geometry_of` takes (an array or tensor [N, 3], a mesh, …), a list of them, an array
            [n, N, 3], a PyG data set; `Shapes`, which are taken as they are; or a path that `pointvae embed` takes.
        points: points of each shape; those of the training when absent.
        up: the up axis of the shapes; that of the run's own source when absent, z where only a model is given.
        normalize: as in `prepare`; as the run's own shapes when absent, ``sphere`` where only a model is given.
        average: evenly spaced headings of each shape that its vectors are means over.
        layers: give what every layer of the encoder says, too.
        seed: of the sampling of points, with each shape's name.
        batch_size: shapes a step; no digit depends on it.

    Raises:
        InputError: a shape cannot be used, its place is told; or the run or an option is at fault.

    Example:
        >>> model = PointVAE(latent_dim=8, points=64)
        >>> embed(model, [np.random.default_rng(0).normal(size=(100, 3))]).posterior_mean.shape
        (1, 8)
    """
    if isinstance(run, PointVAE):
        model, config = run, {"points": run.config["points"]}
    else:
        folder = run_folder(run)
        model, config = to_best_device(from_pretrained(folder)), read_run_config(folder)
    clouds = clouds_for_run(config, shapes, points=points, up=up, normalize=normalize, seed=seed)
    codes = encode(model, clouds, average=Average(average), layers=layers, work=Work(batch_size))
    return Embedding(codes.posterior_mean, codes.posterior_std, codes.encoder, clouds.names, codes.layers)


def clouds_for_run(
    config: dict[str, Any],
    shapes: Any,
    *,
    points: int | None = None,
    up: Up | None = None,
    normalize: Normalize | None = None,
    split: str | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Shapes:
    """Anything that holds shapes, as clouds prepared as the run's own data were.

    Args:
        config: the run's ``config.json``, or as much of it as there is.
        shapes: as `embed` takes them.
        points: points of each; those of the training when absent.
        up: the up axis of the shapes; that of the run's own source when absent.
        normalize: as in `prepare`; as the run's own when absent.
        split: only this split, of a path to a dataset folder.
        seed: of the sampling.
        progress: show a bar on stderr.

    Raises:
        InputError: a shape cannot be used, its place is told; or an option is at fault.
    """
    if points is not None and points < 2:
        raise InputError(f"points must be 2 or more, got {points}")
    preparation = dict(config.get("preparation") or {})
    preparation |= {} if normalize is None else {"normalize": normalize}
    if isinstance(shapes, str | Path):
        config = {**config, "preparation": preparation}
        return read_for_run(config, shapes, points=points, up=up, split=split, seed=seed, progress=progress)
    count = points or config.get("points")
    if isinstance(shapes, Shapes):
        have = shapes.points.shape[1]
        return _thinned(shapes, have if count is None else int(count) if points else min(int(count), have), seed)
    return from_objects(
        [shapes] if is_shape(shapes) else shapes,
        count,
        up=up or preparation.get("up", "z"),
        normalize=preparation.get("normalize", "sphere"),
        seed=seed,
    )


def _thinned(shapes: Shapes, count: int, seed: int) -> Shapes:
    """Each cloud thinned by a draw from the seed and its own name; as it is where it has that many points."""
    have = shapes.points.shape[1]
    if have == count or not len(shapes):
        return shapes
    rows = np.stack([thin_index(have, count, shape_rng(seed, name)) for name in shapes.names])
    return replace(shapes, points=np.take_along_axis(shapes.points, rows[..., None], axis=1), normals=None)
