"""The rows of `benchmarks/speed.py`: for each, ours and an alternative on the same inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import peers
import plain
import pointvae
from pointvae.geometry.distances import chamfer_distance
from pointvae.geometry.farthest import farthest_points
from pointvae.geometry.neighbours import knn
from pointvae.models.mixture_density import mixture_log_density
from pointvae.models.precision import product
from pointvae.objectives.base import reduce_terms
from speed_path import PATH_ROWS
from speed_probe import PROBE_ROWS
from speed_row import Row, Sides, clouds

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


def autoencoder_step() -> Sides:
    """A step of DGCNN and FoldingNet, 1,024 points to 2,025, with the Chamfer distance; ours with a posterior."""
    torch.manual_seed(0)
    theirs, loss = peers.cellshape_autoencoder(128)
    ours = pointvae.PointVAE(
        encoder="dgcnn", encoder_args={"features": 512}, decoder="folding", latent_dim=128, points=2025
    )
    batch, objective = clouds(8, 1024), pointvae.ELBO()

    def our_loss() -> torch.Tensor:
        return reduce_terms(objective(ours, batch, generator=torch.Generator().manual_seed(1), step=0))

    def step(model: nn.Module, value: Callable[[], torch.Tensor]) -> Callable[[], None]:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=model is ours)

        def once() -> None:
            optimizer.zero_grad()
            value().backward()
            optimizer.step()

        return once

    return {"ours": step(ours, our_loss), "theirs": step(theirs, lambda: loss(theirs(batch)[0], batch))}


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


def neighbours(channels: int, other: Callable[[Any, int], Any], as_array: bool = False) -> Callable[[], Sides]:
    """Twenty neighbours of 8 x 1,024 points."""

    def make() -> Sides:
        x = torch.randn(8, 1024, channels, generator=torch.Generator().manual_seed(0))
        given = x.numpy() if as_array else x
        return {"ours": lambda: knn(x, 20), "theirs": lambda: other(given, 20)}

    return make


def farthest(other: Callable[[Any, int], Any], as_array: bool = True) -> Callable[[], Sides]:
    """512 of 2,048 points of each of 32 clouds."""

    def make() -> Sides:
        x = clouds(32, 2048)
        given, start = x.numpy() if as_array else x, torch.zeros(32, dtype=torch.int64)
        return {"ours": lambda: farthest_points(x, 512, start=start), "theirs": lambda: other(given, 512)}

    return make


FARTHEST = "512 farthest points, 32 x 2,048"

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
    Row(
        "autoencoder",
        "step of DGCNN + FoldingNet, 8 x 1,024 to 2,025",
        "cellshape-cloud's auto-encoder",
        autoencoder_step,
        needs=("cellshape_cloud",),
    ),
    Row("chamfer", "Chamfer and gradient, 32 x 2,048 x 2,048", "torch.cdist", chamfer(collapsed=False), 20, 20),
    Row("chamfer-spot", "the same, predictions in one spot", "torch.cdist", chamfer(collapsed=True), 10, 20),
    Row("mixture", "mixture likelihood and gradient, 32 x 1,024 x 1,024", "logsumexp", mixture, 3),
    Row("knn-3", "20 neighbours in 3-D, 8 x 1,024", "matmul + topk", neighbours(3, plain.plain_knn)),
    Row("knn-tree", "the same", "scipy's k-d tree", neighbours(3, peers.scipy_neighbours, as_array=True)),
    Row("knn-64", "20 neighbours in 64 channels, 8 x 1,024", "matmul + topk", neighbours(64, plain.plain_knn)),
    Row("farthest", FARTHEST, "PointNet++'s loop", farthest(plain.plain_farthest, as_array=False)),
    Row("farthest-loop", FARTHEST, "fpsample, C++ loop", farthest(peers.fpsample_brute), needs=("fpsample",)),
    Row("farthest-tree", FARTHEST, "fpsample, C++ k-d tree", farthest(peers.fpsample_tree), needs=("fpsample",)),
    *PROBE_ROWS,
    *PATH_ROWS,
)
