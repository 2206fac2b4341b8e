"""What PointNet takes over points: a maximum, or a maximum and a mean."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from pointvae import InputError, PointVAE
from pointvae.exporting.plain import PLAIN
from pointvae.models.build import build_model
from pointvae.models.encoders import PointNet

MASK = torch.arange(9).expand(3, 9) < torch.tensor([[9], [4], [1]])
CONFIG = {"latent_dim": 5, "points": 7, "decoder_args": {"widths": [8]}}
SETTINGS = {"widths": [8, 16], "pool": "max+mean"}


def clouds(seed: int = 0) -> Tensor:
    return torch.randn(3, 9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def made(training: bool = True) -> PointNet:
    """An encoder whose norms have something to say: weights of both signs, running statistics of some data."""
    encoder = build_model({**CONFIG, "encoder_args": SETTINGS}, 0).encoder.double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in encoder.parameters():
            value.copy_(torch.randn(value.shape, generator=generator, dtype=torch.float64))
    encoder(clouds(2))
    return encoder.train(training)


def plain(encoder: PointNet, x: Tensor, mask: Tensor) -> Tensor:
    """Every activation of every point, then both pools cloud by cloud."""
    rows = encoder.mlp.layers(x[mask])
    rows = leaky_relu(encoder.pool.norm(encoder.pool.linear(rows)), 0.2)
    parts = rows.split(mask.sum(dim=1).tolist())
    return torch.stack([torch.cat([part.amax(dim=0), part.mean(dim=0)]) for part in parts])


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "full"])
def test_maximum_then_mean_equal_the_plain_layers_and_their_gradients(training, masked):
    found, expected = [], []
    for function, results in ((lambda e, x, m: e(x, m if masked else None), found), (plain, expected)):
        encoder, x = made(training), clouds().requires_grad_()
        out = function(encoder, x, MASK if masked else torch.ones_like(MASK))
        (out * torch.linspace(-1, 1, 32, dtype=out.dtype)).sum().backward()
        results += [out, x.grad, *(value.grad for value in encoder.parameters()), *encoder.buffers()]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


@torch.no_grad()
def test_without_gradients_the_features_are_the_same():
    encoder = made(training=False)
    with torch.enable_grad():
        expected = encoder(clouds(), MASK)
    torch.testing.assert_close(encoder(clouds(), MASK), expected.detach())


def test_the_mean_says_what_no_linear_map_of_the_layer_before_does():
    encoder = made(training=False)
    x = torch.randn(200, 9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    means = encoder(x)[:, 16:]
    assert torch.linalg.matrix_rank(means - means.mean(dim=0)) > 8


def test_the_pool_is_an_argument_of_the_model_and_doubles_the_features():
    model = build_model({**CONFIG, "encoder_args": SETTINGS}, 0)
    assert model.encoder.out_features == model.features(clouds().float()).shape[1] == 32
    assert model.config["encoder_args"]["pool"] == "max+mean"
    assert model.head.norm.num_features == 32


def test_the_maximum_alone_is_what_it_was_with_the_same_names_of_weights():
    both = [build_model({**CONFIG, "encoder_args": {"widths": [8, 16], **pool}}, 0) for pool in ({}, {"pool": "max"})]
    states = [model.encoder.state_dict() for model in both]
    assert list(states[0]) == list(build_model({**CONFIG, "encoder_args": SETTINGS}, 0).encoder.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert torch.equal(*(model.encoder(clouds().float()) for model in both))
    names = [name for name in states[0] if name.startswith("pool")]
    assert names[0] == "pool.linear.weight" and {name.split(".")[1] for name in names} == {"linear", "norm"}


def test_an_unknown_pool_is_refused_by_name():
    with pytest.raises(InputError, match=r"pointnet: pool must be one of max, max\+mean, got 'mean'"):
        PointVAE(encoder_args={"pool": "mean"})


@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
def test_its_plain_form_for_export_gives_the_same(mask):
    encoder = made(training=False)
    points = clouds() if mask is None else clouds().masked_fill(~mask.unsqueeze(2), 0.0)
    torch.testing.assert_close(PLAIN[PointNet](encoder, points, mask), encoder(points, mask))
