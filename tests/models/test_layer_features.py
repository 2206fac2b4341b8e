"""What every layer of an encoder says: a contract over all of them, and plain second implementations."""

import pytest
import torch
from torch import Tensor

from pointvae.geometry.chunks import gather_points
from pointvae.geometry.neighbours import knn
from pointvae.models.build import build_model
from pointvae.models.encoders import ENCODERS
from pointvae.models.encoders.foldingnet import local_covariance
from tests.models.test_contract import clouds, tiny

ALL = pytest.mark.parametrize("encoder", ENCODERS.names())
MASK = torch.arange(15).expand(3, 15) < 11


def made(encoder: str):
    """A model in evaluation mode whose running statistics are those of some clouds."""
    model = tiny(encoder)
    model.features(clouds(seed=5))
    return model.eval().requires_grad_(False)


@ALL
def test_the_encoders_features_come_last(encoder):
    model, x = made(encoder), clouds()
    found = model.layer_features(x)
    assert found.shape[1] >= model.encoder.out_features
    torch.testing.assert_close(found[:, -model.encoder.out_features :], model.features(x))


@ALL
def test_the_order_of_points_padding_and_other_clouds_change_nothing(encoder):
    model, x = made(encoder), clouds()
    expected = model.layer_features(x)
    torch.testing.assert_close(model.layer_features(x.flip(1)), expected)
    padded = torch.cat([x, torch.full((3, 4, 3), 55.0, dtype=x.dtype)], dim=1)
    torch.testing.assert_close(model.layer_features(padded, MASK), expected)
    torch.testing.assert_close(model.layer_features(x[1:2]), expected[1:2])


@ALL
def test_asking_for_them_changes_no_statistics(encoder):
    model = made(encoder)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.layer_features(clouds())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def largest(parts: list[Tensor]) -> Tensor:
    return torch.cat([part.amax(dim=1) for part in parts], dim=1)


def each(layers: torch.nn.Sequential, x: Tensor, activations: type) -> list[Tensor]:
    """The outputs of a perceptron's activations, by torch's own layers; of a last norm that has none after it too."""
    rows, outputs = x.flatten(0, 1), []
    for place, layer in enumerate(layers):
        rows = layer(rows)
        if isinstance(layer, activations) or place == len(layers) - 1:
            outputs.append(rows.clone().view(*x.shape[:2], -1))
    return outputs


def test_pointnets_are_the_maxima_of_every_layer():
    model, x = build_model({"encoder_args": {"widths": [4, 6, 5]}}, 0).double(), clouds()
    model.features(clouds(seed=5))
    encoder = model.eval().requires_grad_(False).encoder
    outputs = each(encoder.mlp.layers, x, torch.nn.ReLU)
    assert [part.shape[2] for part in outputs] == [4, 6]
    expected = torch.cat([largest(outputs), encoder(x)], dim=1)
    torch.testing.assert_close(model.layer_features(x), expected)


def test_dgcnns_are_the_maxima_of_its_edge_convolutions_then_its_features():
    model, x = made("dgcnn"), clouds()
    outputs = [x]
    for conv in model.encoder.convs:
        outputs.append(conv(outputs[-1]))
    expected = torch.cat([largest(outputs[1:]), model.features(x)], dim=1)
    torch.testing.assert_close(model.layer_features(x), expected)


def test_foldingnets_are_the_maxima_of_perceptron_and_graph_then_both_linear_layers():
    model, x = made("foldingnet"), clouds()
    encoder = model.encoder
    index = knn(x, encoder.k)
    outputs = each(encoder.mlp.layers, torch.cat([x, local_covariance(x, index)], dim=2), torch.nn.ReLU)
    for layer in encoder.graph:
        outputs += each(layer.layers, gather_points(outputs[-1], index).amax(dim=2), torch.nn.ReLU)
    hidden = encoder.out[0](outputs[-1].amax(dim=1)).relu()
    expected = torch.cat([largest(outputs), hidden, encoder.out[2](hidden)], dim=1)
    torch.testing.assert_close(model.layer_features(x), expected)
