"""The rows of `benchmarks/speed.py` about the path around the model: reading, sampling, embedding."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import peers
import plain
import pointvae
from costs import write_spheres
from pointvae.data.plain_ply import read_ply
from pointvae.data.readers import read_file
from pointvae.data.sampling import Geometry, sample_surface
from speed_row import Row, Sides, clouds

MESHES, COUNT = 64, 2048
FACES = 20_480
"""Of each of the meshes that are written here, ellipsoids."""


def meshes(suffix: str, count: int = MESHES) -> Path:
    """A folder of its own with meshes of one format."""
    folder = Path(tempfile.mkdtemp(prefix="pointvae-speed-")) / "meshes"
    write_spheres(folder, count, suffix)
    return folder


def unparsed(path: Path) -> Geometry:
    """The mesh of a binary .ply that `meshes` wrote, by no more than the disk and a cast: what no reader avoids."""
    data, face = path.read_bytes(), np.dtype([("count", "u1"), ("corners", "<i4", 3)])
    start, end = data.find(b"end_header\n") + len(b"end_header\n"), len(data) - FACES * face.itemsize
    vertices = np.frombuffer(data, "<f4", (end - start) // 4, start).reshape(-1, 3)
    return Geometry(vertices.astype(np.float64), np.frombuffer(data, face, FACES, end)["corners"].astype(np.int64))


def draw(mesh: Geometry) -> Any:
    """Points on it by ours."""
    assert mesh.faces is not None
    return sample_surface(mesh.vertices, mesh.faces, COUNT, np.random.default_rng(0))


def preparation(suffix: str) -> Callable[[], Sides]:
    """64 meshes, read, sampled and stored; the bound: disk, cast, sampling, and the digest that finds duplicates."""

    def make() -> Sides:
        folder = meshes(suffix)
        paths = sorted(folder.iterdir())

        def ours() -> None:
            shutil.rmtree(folder.parent / "ours", ignore_errors=True)
            pointvae.prepare(folder, folder.parent / "ours", points=COUNT, test_fraction=0.0)

        def theirs() -> None:
            rows = []
            for path in paths:
                points = peers.trimesh_read(path, COUNT)
                points -= points.mean(axis=0)
                rows.append((points / np.linalg.norm(points, axis=1).max()).astype(np.float32))
            np.savez(folder.parent / "theirs.npz", points=np.stack(rows))

        def bound() -> None:
            for path in paths:
                mesh = unparsed(path)
                draw(mesh)
                mesh.digest()

        return {"ours": ours, "theirs": theirs} | ({"bound": bound} if suffix == "ply" else {})

    return make


def reading(suffix: str, other: Callable[[Path, int], Any]) -> Callable[[], Sides]:
    """64 meshes, read and sampled; the bound: disk, cast and sampling."""

    def make() -> Sides:
        paths = sorted(meshes(suffix).iterdir())

        def every(work: Callable[[Path], Any]) -> Callable[[], None]:
            def once() -> None:
                for path in paths:
                    work(path)

            return once

        sides = {"ours": every(lambda path: draw(read_file(path))), "theirs": every(lambda path: other(path, COUNT))}
        return sides | ({"bound": every(lambda path: draw(unparsed(path)))} if suffix == "ply" else {})

    return make


def sampling(sampler: Callable[..., Callable[[], Any]]) -> Callable[[], Sides]:
    """64 meshes in memory, sampled."""

    def make() -> Sides:
        held = [read_ply(path.read_bytes()) for path in sorted(meshes("ply").iterdir())]
        others = [sampler(*mesh, COUNT) for mesh in held]
        return {
            "ours": lambda: [draw(Geometry(*mesh)) for mesh in held],
            "theirs": lambda: [other() for other in others],
        }

    return make


def embedding() -> Sides:
    """A dataset of 977 clouds of 1,024 points, a million, to a file of codes."""
    place = Path(tempfile.mkdtemp(prefix="pointvae-speed-"))
    torch.manual_seed(0)
    ours = pointvae.PointVAE(latent_dim=256).eval()
    theirs = plain.plain_model(ours).eval()
    points, names = clouds(977, 1024).numpy(), [str(i) for i in range(977)]
    shapes = pointvae.Shapes(points, np.zeros(977, np.int64), names, ["ball"])
    pointvae.prepare({"test": shapes}, place / "set", normalize="none")
    pointvae.save_pretrained(ours, place / "run", {"points": 1024})

    def by_batches() -> None:
        held = pointvae.load_dataset(place / "set")["test"].points
        codes = []
        with torch.no_grad():
            for start in range(0, len(held), 32):
                posterior = theirs.posterior(torch.tensor(held[start : start + 32]))
                codes.append((posterior.mean.numpy(), posterior.stddev.numpy()))
        means, deviations = (np.concatenate(part) for part in zip(*codes, strict=True))
        np.savez(place / "theirs.npz", posterior_mean=means, posterior_std=deviations)

    from pointvae.evaluation.embedding import embed_to

    return {"ours": partial(embed_to, place / "run", place / "set", place / "ours.npz"), "theirs": by_batches}


PATH_ROWS = (
    Row("prepare", "prepare, meshes of 20,480 faces, .off", "trimesh load + sample", preparation("off"), 3, turns=3),
    Row("prepare-ply", "the same, binary .ply", "trimesh load + sample", preparation("ply"), turns=3),
    Row("read-ply", "read and sample them, binary .ply", "trimesh", reading("ply", peers.trimesh_read), 3),
    Row(
        "read-ply-open3d",
        "read and sample them, binary .ply",
        "Open3D",
        reading("ply", peers.open3d_read),
        needs=("open3d",),
    ),
    Row("read-off-open3d", "the same, .off", "Open3D", reading("off", peers.open3d_read), needs=("open3d",)),
    Row("sample", "2,048 points on 20,480 faces in memory", "trimesh", sampling(peers.trimesh_sampler)),
    Row(
        "sample-open3d",
        "2,048 points on 20,480 faces in memory",
        "Open3D, its own kind of mesh",
        sampling(peers.open3d_sampler),
        needs=("open3d",),
    ),
    Row("embed-million", "embed a million points, PointNet, 977 x 1,024", "Conv1d, batches of 32", embedding, 3),
)
