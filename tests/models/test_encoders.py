"""Encoders against plain second implementations."""

import torch
from torch.nn.functional import leaky_relu

from pointvae.geometry.neighbours import knn
from pointvae.models.decoders.folding import FoldingDecoder, square_grid
from pointvae.models.encoders import FoldingNet, PointNet
from pointvae.models.encoders.dgcnn import EdgeConv
from pointvae.models.encoders.foldingnet import local_covariance

GEN = torch.Generator().manual_seed(0)


def test_edge_convolution_equals_its_definition_over_every_edge():
    layer, x = EdgeConv(4, 6, k=3).double(), torch.randn(2, 8, 4, dtype=torch.float64, generator=GEN)
    index = knn(x, 3)
    edges = []
    for b in range(2):
        for i in range(8):
            for j in index[b, i]:
                edges.append(layer.centre(x[b, i]) + layer.edge(x[b, j] - x[b, i]))
    table = torch.stack(edges)
    normed = (table - table.mean(0)) / (table.var(0, unbiased=False) + layer.norm.eps).sqrt()
    expected = leaky_relu(normed, 0.2).view(2, 8, 3, 6).amax(2)
    torch.testing.assert_close(layer(x), expected)


def test_pointnet_is_a_maximum_over_points_of_the_same_function():
    model = PointNet((8, 16)).double().eval()
    x = torch.randn(2, 9, 3, dtype=torch.float64, generator=GEN)
    each = torch.stack([model(x[:, i : i + 1]) for i in range(9)], dim=1)
    torch.testing.assert_close(model(x), each.amax(dim=1))


def test_local_covariance_equals_numpy():
    import numpy as np

    x = torch.randn(1, 10, 3, dtype=torch.float64, generator=GEN)
    index = knn(x, 4)
    for i in range(10):
        expected = np.cov(x[0, index[0, i]].numpy().T, bias=True)
        np.testing.assert_allclose(local_covariance(x, index)[0, i].view(3, 3).numpy(), expected, atol=1e-12)


def test_foldingnet_has_the_published_sizes():
    model = FoldingNet()
    assert model.k == 16 and model.out_features == 512
    shapes = [tuple(p.shape) for n, p in model.named_parameters() if p.dim() == 2]
    assert shapes == [(64, 12), (64, 64), (64, 64), (128, 64), (1024, 128), (512, 1024), (512, 512)]


def test_a_square_number_of_points_gives_the_papers_grid():
    grid = square_grid(45 * 45)
    assert len(torch.unique(grid[:, 0])) == len(torch.unique(grid[:, 1])) == 45
    assert grid.abs().max() == torch.tensor(0.3)


def test_any_number_of_points_gives_distinct_places_on_the_square():
    for points in (1, 2, 3, 7, 50, 97):
        grid = square_grid(points)
        assert grid.shape == (points, 2) and len(torch.unique(grid, dim=0)) == points


def test_folding_equals_the_perceptron_on_latent_and_point_side_by_side():
    decoder = FoldingDecoder(4, 9, width=8)
    z = torch.randn(2, 4, generator=GEN)
    fold = decoder.first
    joined = torch.cat([fold.latent.weight, fold.point.weight], dim=1)
    inputs = torch.cat([z.unsqueeze(1).expand(-1, 9, -1), decoder.grid.expand(2, -1, -1)], dim=2)
    torch.testing.assert_close(fold(z, decoder.grid), fold.rest(inputs @ joined.T + fold.latent.bias))
