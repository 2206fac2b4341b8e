"""One contract over everything registered, at tiny sizes."""

import itertools

import pytest
import torch
from torch.distributions import Independent

from pointvae import InputError, PointVAE
from pointvae.models.build import build_model
from pointvae.models.decoders import DECODERS
from pointvae.models.encoders import ENCODERS
from pointvae.models.likelihoods import LIKELIHOODS


def tiny(encoder="pointnet", decoder="mlp", likelihood="chamfer", points=7) -> PointVAE:
    config = {
        "encoder": encoder,
        "decoder": decoder,
        "likelihood": likelihood,
        "latent_dim": 5,
        "points": points,
        "encoder_args": ENCODERS.entries[encoder].tiny,
        "decoder_args": DECODERS.entries[decoder].tiny,
        "likelihood_args": LIKELIHOODS.entries[likelihood].tiny,
    }
    return build_model(config, seed=0).double()


def clouds(batch=3, n=11, seed=0) -> torch.Tensor:
    return torch.randn(batch, n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


PARTS = list(itertools.product(ENCODERS.names(), DECODERS.names(), LIKELIHOODS.names()))


@pytest.mark.parametrize("parts", PARTS, ids="-".join)
def test_every_combination_encodes_decodes_scores_and_learns(parts):
    model, x = tiny(*parts), clouds()
    posterior = model.posterior(x)
    assert isinstance(posterior, Independent) and posterior.event_shape == (5,)
    output = model.decoder(posterior.mean)
    log_prob = model.likelihood.log_prob(output, x)
    assert log_prob.shape == (3,) and torch.isfinite(log_prob).all()
    (-log_prob.mean() + posterior.stddev.sum()).backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not silent
    model.eval()
    assert model.decode(posterior.mean).shape == (3, 7, 3)
    assert model.reconstruct(x).shape == (3, 7, 3)
    assert model.sample(2).shape == (2, 7, 3)
    assert model.interpolate(x[0], x[1], steps=4).shape == (4, 7, 3)


@pytest.mark.parametrize("parts", PARTS, ids="-".join)
def test_the_configuration_rebuilds_the_same_model(parts):
    model = tiny(*parts).eval()
    again = build_model(model.config, seed=0).double().eval()
    torch.testing.assert_close(model.reconstruct(clouds()), again.reconstruct(clouds()))


@pytest.mark.parametrize("encoder", ENCODERS.names())
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_an_encoder_ignores_the_order_of_points(encoder, training):
    model, x = tiny(encoder).train(training), clouds()
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model.features(x), model.features(x[:, order]))


@pytest.mark.parametrize("encoder", ENCODERS.names())
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_padding_changes_nothing(encoder, training):
    model, x = tiny(encoder).train(training), clouds()
    padded = torch.cat([x, torch.full((3, 4, 3), 55.0, dtype=x.dtype)], dim=1)
    mask = torch.arange(15).expand(3, 15) < 11
    torch.testing.assert_close(model.features(padded, mask), model.features(x))


@pytest.mark.parametrize("encoder", ENCODERS.names())
def test_in_evaluation_a_cloud_does_not_see_its_batch(encoder):
    model, x = tiny(encoder).eval(), clouds()
    alone = torch.cat([model.features(c.unsqueeze(0)) for c in x])
    torch.testing.assert_close(model.features(x), alone)


@pytest.mark.parametrize("encoder", ENCODERS.names())
@pytest.mark.parametrize("counts", [(1, 1, 1), (1, 2, 11)], ids=str)
def test_clouds_of_one_point_are_encoded(encoder, counts):
    model, x = tiny(encoder).eval(), clouds()
    mask = torch.arange(11).expand(3, 11) < torch.tensor(counts).unsqueeze(1)
    features = model.features(x, mask)
    assert torch.isfinite(features).all()
    torch.testing.assert_close(features[0], model.features(x[:1, :1])[0])


@pytest.mark.parametrize("encoder", ENCODERS.names())
def test_equal_points_give_finite_gradients(encoder):
    model = tiny(encoder)
    x = torch.ones(3, 11, 3, dtype=torch.float64, requires_grad=True)
    model.features(x).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("decoder", DECODERS.names())
@pytest.mark.parametrize("points", [1, 2, 5, 16, 45])
def test_a_decoder_gives_the_number_of_points_it_was_asked_for(decoder, points):
    assert tiny(decoder=decoder, points=points).sample(2).shape == (2, points, 3)


@pytest.mark.parametrize("likelihood", LIKELIHOODS.names())
def test_a_likelihood_ignores_the_order_of_points_and_what_is_absent(likelihood):
    model, x = tiny(likelihood=likelihood), clouds()
    output = model.decoder(torch.ones(3, 5, dtype=torch.float64))
    expected = model.likelihood.log_prob(output, x)
    torch.testing.assert_close(model.likelihood.log_prob(output.flip(1), x.flip(1)), expected)
    padded = torch.cat([x, torch.zeros(3, 2, 3, dtype=x.dtype)], dim=1)
    mask = torch.arange(13).expand(3, 13) < 11
    torch.testing.assert_close(model.likelihood.log_prob(output, padded, mask), expected)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"encoder": "pointnett"}, "pointnet"),
        ({"decoder": "fold"}, "folding"),
        ({"likelihood": "emd"}, "mixture"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"points": 0}, "points"),
        ({"encoder_args": {"k": 3}}, "k"),
        ({"encoder": "dgcnn", "encoder_args": {"k": 0}}, "k"),
        ({"likelihood_args": {"sigma": -1}}, "sigma"),
        ({"likelihood": "mixture", "likelihood_args": {"floor": 2}}, "floor"),
        ({"encoder_args": {"widths": [8]}}, "widths"),
    ],
    ids=lambda v: str(v) if isinstance(v, dict) else "",
)
def test_a_wrong_setting_is_refused_by_name_in_one_line(settings, word):
    with pytest.raises(InputError, match=word) as caught:
        PointVAE(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("points", "mask"),
    [
        (torch.zeros(3), None),
        (torch.zeros(2, 4, 2), None),
        (torch.zeros(2, 0, 3), None),
        (torch.zeros(2, 4, 3), torch.ones(2, 5, dtype=torch.bool)),
        (torch.zeros(2, 4, 3), torch.ones(2, 4)),
    ],
)
def test_what_is_no_batch_of_clouds_is_refused(points, mask):
    with pytest.raises(InputError):
        tiny().features(points, mask)


def test_building_a_model_leaves_the_global_generator_alone():
    with torch.random.fork_rng():
        torch.manual_seed(987)
        before = torch.get_rng_state()
        first, second = tiny().state_dict(), tiny().state_dict()
        assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[k], second[k]) for k in first)
