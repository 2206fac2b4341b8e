"""The plain forms that speed is measured against compute what ours compute, from the same weights."""

import pytest
import torch

import plain
from pointvae import ELBO, Consistency, PointVAE
from pointvae.geometry.distances import chamfer_distance
from pointvae.geometry.neighbours import knn
from pointvae.models.encoders import ENCODERS
from pointvae.models.mixture_density import mixture_log_density
from pointvae.objectives.base import reduce_terms


def make_clouds(batch=3, points=40, dtype=torch.float64):
    return torch.randn(batch, points, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)


def grads(module):
    return {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_plain_pointnet_is_ours(training):
    ours = ENCODERS.build("pointnet", {"widths": (8, 8, 16)}).double().train(training)
    other = plain.PlainPointNet(ours).double().train(training)
    torch.testing.assert_close(ours(make_clouds()), other(make_clouds()))


@pytest.mark.parametrize("kind", [plain.PlainDGCNN, plain.PyGDGCNN])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_plain_dgcnns_are_ours(kind):
    ours = ENCODERS.build("dgcnn", {"widths": (8, 16), "features": 12, "k": 5}).double()
    other = kind(ours, knn).double()
    results = [encoder(make_clouds()) for encoder in (ours, other)]
    torch.testing.assert_close(*results)
    for result in results:
        result.square().sum().backward()
    first, second = ours.convs[0].edge.weight.grad, next(other.convs[0].parameters()).grad.flatten(1)
    torch.testing.assert_close(first, second[:, :3] if kind is plain.PlainDGCNN else second[:, 3:])


def test_the_plain_distances_and_densities_are_ours():
    x, y = make_clouds(), make_clouds(points=30) + 0.1
    torch.testing.assert_close(chamfer_distance(x, y), plain.plain_chamfer(x, y))
    constant, precision = torch.randn(3, 30, dtype=torch.float64), torch.rand(3, 30, dtype=torch.float64) + 0.5
    given = (x, y, precision, constant)
    torch.testing.assert_close(mixture_log_density(*given), plain.plain_mixture(*given))


def test_a_step_of_the_plain_model_is_a_step_of_ours():
    ours = PointVAE(latent_dim=4, points=40, encoder_args={"widths": (8, 16)}).double()
    other = plain.plain_model(ours)
    losses = []
    for model in (ours, other):
        generator = torch.Generator().manual_seed(3)
        losses.append(reduce_terms(Consistency(ELBO())(model, make_clouds(), generator=generator, step=0)))
        losses[-1].backward()
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(grads(ours)["head.linear.weight"], grads(other)["head.linear.weight"])
