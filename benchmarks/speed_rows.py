"""The rows of `benchmarks/speed.py`: for each, ours and an alternative on the same inputs."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import plain
import pointvae
from pointvae.geometry.distances import chamfer_distance
from pointvae.geometry.neighbours import knn
from pointvae.models.mixture_density import mixture_log_density
from pointvae.models.precision import product
from pointvae.objectives.base import reduce_terms

torch.set_num_threads(1)
Sides = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: short name.
        work: what is done.
        against: what ours is held against.
        make: makes the two sides, ``ours`` and ``theirs``, maybe ``bound``: the matrix products that no form avoids.
        target: how many times as fast ours has to be; None for a row that only informs.
        memory: how many times less memory it has to need.
        scale: how many times the alternative's part that is measured makes the whole.
        turns: at most so many.
        needs: packages that the alternative needs.
    """

    name: str
    work: str
    against: str
    make: Callable[[], Sides]
    target: float | None = None
    memory: float | None = None
    scale: float = 1.0
    turns: int = 99
    needs: tuple[str, ...] = ()

    def absent(self) -> str:
        """Why the row cannot be measured here; empty where it can."""
        lacking = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return f"{', '.join(lacking)} is not installed" if lacking else ""


def clouds(batch: int, points: int, seed: int = 0) -> Tensor:
    """Points on spheres that are stretched, so that clouds differ and nothing is degenerate [B, N, 3]."""
    generator = torch.Generator().manual_seed(seed)
    directions = nn.functional.normalize(torch.randn(batch, points, 3, generator=generator), dim=2)
    return directions * (0.3 + 0.7 * torch.rand(batch, 1, 3, generator=generator))


# training steps


def pointnet_step() -> Sides:
    """A whole step of CR-VAE: transforms, both bounds, gradients, Adam."""
    torch.manual_seed(0)
    ours = pointvae.PointVAE(latent_dim=256, points=1024)
    theirs = plain.plain_model(ours)
    batch, objective = clouds(32, 1024), pointvae.Consistency(pointvae.ELBO())
    widths = [64, 64, 64, 128, 1024]

    def step(model: Any) -> Callable[[], None]:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=model is ours)

        def once() -> None:
            optimizer.zero_grad()
            generator = torch.Generator().manual_seed(1)
            reduce_terms(objective(model, batch, generator=generator, step=0)).backward()
            optimizer.step()

        return once

    rows = torch.randn(2 * 32 * 1024, 3)
    products = [(torch.randn(len(rows), i), torch.randn(o, i)) for i, o in zip([3, *widths], widths, strict=False)]
    *inner, last = products

    def bound() -> None:
        """Forward products of every layer, two more for each inner one on the way back; of the last only winners."""
        for x, w in inner:
            y = product(x, w)
            product(y, w.T.contiguous())
            _ = y.T @ x
        x, w = last
        for start in range(0, len(x), 1024):  # its output is never needed whole
            for some in w.split(256):
                product(some, x[start : start + 1024])

    return {"ours": step(ours), "theirs": step(theirs), "bound": bound}


def dgcnn_step(kind: Any) -> Callable[[], Sides]:
    """Forward and backward of the encoder, batch 8."""

    def make() -> Sides:
        torch.manual_seed(0)
        ours = pointvae.PointVAE(encoder="dgcnn", points=1024).encoder
        theirs, batch = kind(ours), clouds(8, 1024)
        pull = torch.randn(8, ours.out_features)

        def step(encoder: Any) -> Callable[[], None]:
            def once() -> None:
                encoder.zero_grad()
                (encoder(batch) * pull).sum().backward()

            return once

        return {"ours": step(ours), "theirs": step(theirs)}

    return make


# distances and densities


def chamfer(collapsed: bool) -> Callable[[], Sides]:
    """Forward and backward, 32 pairs of 2,048 points."""

    def make() -> Sides:
        x, y = clouds(32, 2048), clouds(32, 2048, seed=1)
        if collapsed:
            x = torch.full_like(x, 0.1)
        x.requires_grad_()

        def side(distance: Any) -> Callable[[], None]:
            def once() -> None:
                x.grad = None
                distance(x, y).sum().backward()

            return once

        return {"ours": side(chamfer_distance), "theirs": side(plain.plain_chamfer)}

    return make


def mixture() -> Sides:
    """Forward and backward, 32 clouds of 1,024 points under 1,024 components."""
    x, y = clouds(32, 1024), clouds(32, 1024, seed=1).requires_grad_()
    constant = (torch.randn(32, 1024) * 0.1).requires_grad_()
    precision = (torch.rand(32, 1024) * 200 + 300).requires_grad_()

    def side(density: Any) -> Callable[[], None]:
        def once() -> None:
            for leaf in (y, constant, precision):
                leaf.grad = None
            density(x, y, precision, constant).sum().backward()

        return once

    return {"ours": side(mixture_log_density), "theirs": side(plain.plain_mixture)}


def neighbours(channels: int) -> Callable[[], Sides]:
    """Twenty neighbours of 8 x 1,024 points."""

    def make() -> Sides:
        x = torch.randn(8, 1024, channels, generator=torch.Generator().manual_seed(0))
        return {"ours": lambda: knn(x, 20), "theirs": lambda: plain.plain_knn(x, 20)}

    return make


# the path around the model


def embed() -> Sides:
    """Codes of 512 clouds of 1,024 points."""
    from pointvae.data.dataset import Shapes
    from pointvae.evaluation.features import encode
    from pointvae.evaluation.work import Work

    torch.manual_seed(0)
    ours = pointvae.PointVAE(latent_dim=256).eval()
    theirs = plain.plain_model(ours).eval()
    points = clouds(512, 1024).numpy()
    shapes = Shapes(points, None, [str(i) for i in range(len(points))], [])

    def by_batches() -> None:
        with torch.no_grad():
            for start in range(0, len(points), 32):
                theirs.posterior(torch.from_numpy(points[start : start + 32]))

    return {"ours": lambda: encode(ours, shapes, work=Work(jobs=1)), "theirs": by_batches}


def preparation() -> Sides:
    """64 meshes of 20,480 faces, read, sampled and stored."""
    import trimesh

    from costs import write_spheres

    place = Path(tempfile.mkdtemp(prefix="pointvae-speed-"))
    write_spheres(place / "meshes", 64)

    def ours() -> None:
        shutil.rmtree(place / "ours", ignore_errors=True)
        pointvae.prepare(place / "meshes", place / "ours", points=2048, test_fraction=0.0)

    def theirs() -> None:
        rows = []
        for path in sorted((place / "meshes").iterdir()):
            points = trimesh.sample.sample_surface(trimesh.load(path), 2048, seed=0)[0]
            points -= points.mean(axis=0)
            rows.append((points / np.linalg.norm(points, axis=1).max()).astype(np.float32))
        np.savez(place / "theirs.npz", points=np.stack(rows))

    return {"ours": ours, "theirs": theirs}


PROBE_SHARE = 7 * 5 + 1
"""Fits of a grid search over 7 values of C in 5 folds, and the last one on all rows."""


def probe() -> Sides:
    """The linear SVM with C by 5 folds against one fit of LinearSVC, scaled up to the fits of a grid search."""
    from sklearn.svm import LinearSVC

    from pointvae.evaluation.probing.linear_probe import fit_probe

    rng = np.random.default_rng(0)
    labels = np.arange(9843) % 40
    features = (rng.normal(size=(40, 1024))[labels] * 0.25 + rng.normal(size=(9843, 1024))).astype(np.float32)
    part = np.arange(9843) % 5 != 0  # what one fold trains on
    classes, grid = [str(label) for label in range(40)], (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 3.0, 10.0)

    def theirs() -> None:
        with contextlib.suppress(Warning):
            LinearSVC(C=0.01).fit(features[part], labels[part])

    return {"ours": lambda: fit_probe(features, labels, classes, c_grid=grid), "theirs": theirs}


ROWS = (
    Row("pointnet", "PointNet CR-VAE step, 32 x 1,024", "Conv1d, torch.cdist", pointnet_step, 4, 5),
    Row("dgcnn-conv2d", "DGCNN encoder step, 8 x 1,024, k 20", "Conv2d on edges", dgcnn_step(plain.PlainDGCNN), 5),
    Row(
        "dgcnn-pyg",
        "DGCNN encoder step, 8 x 1,024, k 20",
        "torch_geometric's EdgeConv",
        dgcnn_step(plain.PyGDGCNN),
        5,
        needs=("torch_geometric",),
    ),
    Row("chamfer", "Chamfer and gradient, 32 x 2,048 x 2,048", "torch.cdist", chamfer(collapsed=False), 20, 20),
    Row("chamfer-spot", "the same, predictions in one spot", "torch.cdist", chamfer(collapsed=True), 10, 20),
    Row("mixture", "mixture likelihood and gradient, 32 x 1,024 x 1,024", "logsumexp", mixture, 3),
    Row("knn-3", "20 neighbours in 3-D, 8 x 1,024", "matmul + topk", neighbours(3)),
    Row("knn-64", "20 neighbours in 64 channels, 8 x 1,024", "matmul + topk", neighbours(64)),
    Row(
        "probe",
        "linear SVM, 9,843 x 1,024, 40 classes, 7 values of C, 5 folds",
        "LinearSVC, one fit scaled to 36",
        probe,
        10,
        scale=PROBE_SHARE,
        turns=1,
    ),
    Row("prepare", "prepare, meshes of 20,480 faces", "trimesh load + sample", preparation, 3, turns=3),
    Row("embed", "embed, PointNet, 1,024 points", "Conv1d, batches of 32", embed, 3),
)
