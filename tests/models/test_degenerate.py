"""Every part of every model on clouds that are shapes no longer: finite, forward and backward, or refused by name."""

import itertools
import math

import pytest
import torch

from pointvae import InputError
from pointvae.geometry.finite import LIMIT, unwatched
from pointvae.models.build import build_model
from pointvae.models.decoders import DECODERS
from pointvae.models.encoders import ENCODERS
from pointvae.models.likelihoods import LIKELIHOODS, Chamfer
from pointvae.objectives.consistency import kl_between
from pointvae.objectives.elbo import kl_to_prior
from tests.degenerate import BAD_SHAPES, NO_CLOUDS, PRECISIONS, N, autocast, dtype_of, good, mixed

KINDS = {"PointVAE": {}, "LadderPointVAE": {"anchors": (2, 4), "local_dims": (1, 1), "neighbours": 4, "width": 8}}
LATENTS = 10


def tiny(kind="PointVAE", precision="float32", encoder="pointnet", decoder="mlp", likelihood="chamfer"):
    settings = {
        "encoder": encoder,
        "decoder": decoder,
        "likelihood": likelihood,
        "latent_dim": LATENTS,
        "points": 7,
        "encoder_args": ENCODERS.entries[encoder].tiny,
        "decoder_args": DECODERS.entries[decoder].tiny,
        "likelihood_args": LIKELIHOODS.entries[likelihood].tiny,
    }
    return build_model(settings | KINDS[kind], 0, kind).to(dtype_of(precision))


def forms(cloud: torch.Tensor) -> list[torch.Tensor]:
    """A batch of the cloud alone, of it among good ones, and of one point of it each time."""
    return [cloud.expand(3, -1, -1), mixed(cloud), cloud[:1].expand(3, 1, 3)]


def finite(*values: torch.Tensor) -> bool:
    return all(bool(value.isfinite().all()) for value in values)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("encoder", ENCODERS.names())
def test_an_encoder_and_its_posterior_are_finite_forward_and_backward(encoder, precision, training):
    model = tiny(precision=precision, encoder=encoder).train(training)
    for name, cloud in BAD_SHAPES.items():
        for batch in forms(cloud):
            x = batch.to(dtype_of(precision)).clone().requires_grad_()
            model.zero_grad()
            with autocast(precision):
                features = model.features(x)
                posterior = model.posterior_of(features, x)
            assert finite(features, posterior.mean, posterior.stddev), name
            (features.float().square().mean() + kl_to_prior(posterior).sum()).backward()
            assert finite(x.grad, *(p.grad for p in model.parameters() if p.grad is not None)), name
            assert finite(*(buffer for buffer in model.buffers() if buffer.is_floating_point())), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS.names())
@pytest.mark.parametrize("decoder", DECODERS.names())
def test_a_decoder_and_a_likelihood_are_finite_forward_and_backward(kind, precision, decoder, likelihood):
    model, dtype = tiny(kind, precision, decoder=decoder, likelihood=likelihood), dtype_of(precision)
    latents = [torch.zeros(3, LATENTS), torch.full((3, LATENTS), 1e-45), torch.full((3, LATENTS), -LIMIT)]
    for name, cloud in BAD_SHAPES.items():
        for batch, latent in zip(forms(cloud), latents, strict=True):
            x, z = batch.to(dtype).clone().requires_grad_(), latent.to(dtype).requires_grad_()
            model.zero_grad()
            with autocast(precision):
                output = model.decoder(z)
                log_prob = model.likelihood.log_prob(output, x)
            assert finite(output, log_prob, model.decode(z), model.likelihood.cloud(output, 5)), name
            log_prob.sum().backward()
            assert finite(x.grad, z.grad, *(p.grad for p in model.parameters() if p.grad is not None)), name


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "parts", list(itertools.product(ENCODERS.names(), DECODERS.names(), LIKELIHOODS.names())), ids="-".join
)
def test_every_model_is_finite_from_end_to_end(kind, parts, precision, training):
    model = tiny(kind, precision, *parts).train(training)
    for name, cloud in BAD_SHAPES.items():
        for batch in forms(cloud):
            x = batch.to(dtype_of(precision)).clone().requires_grad_()
            model.zero_grad()
            with autocast(precision):
                z = model.posterior(x).rsample()
                log_prob = model.likelihood.log_prob(model.decoder(z), x)
            assert finite(z, log_prob), name
            (kl_to_prior(model.posterior(x)).sum() - log_prob.sum()).backward()
            assert finite(x.grad, *(p.grad for p in model.parameters() if p.grad is not None)), name


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("encoder", ENCODERS.names())
def test_in_evaluation_a_bad_shape_leaves_the_others_alone(encoder, precision):
    model, dtype = tiny(precision=precision, encoder=encoder).eval(), dtype_of(precision)
    expected = model.features(good(3).to(dtype))[[0, 2]]
    for cloud in BAD_SHAPES.values():
        torch.testing.assert_close(model.features(mixed(cloud).to(dtype))[[0, 2]], expected)
    # and where no one looks, on another device say, it is the bad row alone that is not finite
    for name, cloud in NO_CLOUDS.items():
        with unwatched(), torch.no_grad():
            found = model.features(mixed(cloud).to(dtype))
        torch.testing.assert_close(found[[0, 2]], expected, msg=name)


@pytest.mark.parametrize("encoder", ENCODERS.names())
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("junk", [1e30, math.nan, math.inf])
def test_what_stands_in_absent_places_changes_neither_values_nor_gradients(encoder, training, junk):
    x = good(3).requires_grad_()
    padded = torch.cat([x, torch.full((3, 4, 3), junk, dtype=torch.float64)], dim=1)
    mask = torch.arange(N + 4).expand(3, -1) < N
    found, expected = [], []
    for clouds, there, made in ((padded, mask, found), (x, None, expected)):
        model = tiny(precision="float64", encoder=encoder, likelihood="mixture").train(training)
        features = model.features(clouds, there)
        z = model.posterior_of(features, clouds, there).mean
        value = model.likelihood.log_prob(model.decoder(z), clouds, there)
        made += [features, value, *torch.autograd.grad(value.sum(), [x, *model.decoder.parameters()])]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoder", ENCODERS.names())
def test_many_clouds_of_one_point_each_are_encoded(kind, encoder):
    model = tiny(kind, encoder=encoder)
    x = torch.randn(1000, 1, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = kl_to_prior(model.posterior(x)).sum()
    value.backward()
    assert finite(value, x.grad)


@pytest.mark.parametrize("encoder", ENCODERS.names())
def test_one_cloud_is_encoded_and_in_training_refused_in_one_line(encoder):
    model = tiny(encoder=encoder).eval()
    for count in (1, 2, N):
        assert finite(model.posterior(good(1)[:, :count].float()).mean)
    with pytest.raises(InputError, match="batch of one in training") as caught:
        model.train().posterior(good(1).float())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NO_CLOUDS)
@pytest.mark.parametrize("method", ["features", "posterior", "reconstruct"])
def test_numbers_that_are_no_coordinates_are_refused_by_their_row_in_one_line(kind, name, method):
    model = tiny(kind).eval()
    with pytest.raises(InputError, match=r"^cloud 1 of 3 \(counted from 0\): holds ") as caught:
        getattr(model, method)(mixed(NO_CLOUDS[name]).float())
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cloud 0 of 1"):
        model.interpolate(good(1)[0].float(), NO_CLOUDS[name].float())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30, 1.01 * LIMIT])
def test_latents_that_are_none_are_refused_by_their_row_in_one_line(kind, value):
    z = torch.zeros(4, LATENTS)
    z[2, 3] = value
    with pytest.raises(InputError, match=r"^latent 2 of 4 \(counted from 0\): holds ") as caught:
        tiny(kind).eval().decode(z)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("likelihood", LIKELIHOODS.names())
@pytest.mark.parametrize("name", NO_CLOUDS)
def test_a_likelihood_refuses_targets_and_rows_that_are_no_coordinates(likelihood, name):
    model = tiny(likelihood=likelihood)
    output = model.decoder(torch.zeros(3, LATENTS))
    with pytest.raises(InputError, match="cloud 1 of 3"):
        model.likelihood.log_prob(output, mixed(NO_CLOUDS[name]).float())
    output = output.detach().clone()
    output[1, 0, :3] = NO_CLOUDS[name][4].float()
    if name != "1e7":
        with pytest.raises(InputError, match=r"(cloud|decoder output) 1 of 3"):
            model.likelihood.log_prob(output, good(3).float())


@pytest.mark.parametrize("encoder", ENCODERS.names())
def test_clouds_without_points_are_refused_by_their_row(encoder):
    mask = torch.ones(3, N, dtype=torch.bool)
    mask[2] = False
    model = tiny(encoder=encoder).eval()
    for call in (model.features, model.posterior, model.reconstruct):
        with pytest.raises(InputError, match=r"cloud 2 of 3 \(counted from 0\): has no point"):
            call(good(3).float(), mask)
    mask[2, 5] = True
    alone = model.features(good(3)[2:, 5:6].float())
    torch.testing.assert_close(model.features(good(3).float(), mask)[2:], alone)


@pytest.mark.parametrize("log_sigma", [-1e30, -100.0, -20.0, 20.0, 100.0, 1e30])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_learned_sigma_that_runs_away_leaves_everything_finite(log_sigma, precision):
    likelihood = Chamfer(learned=True).to(dtype_of(precision))
    with torch.no_grad():
        likelihood.log_sigma.fill_(log_sigma)
    for cloud in BAD_SHAPES.values():
        x, rows = mixed(cloud).to(dtype_of(precision)), good(3).to(dtype_of(precision)).requires_grad_()
        likelihood.zero_grad()
        with autocast(precision):
            value = likelihood.log_prob(rows, x)
        value.sum().backward()
        assert finite(value, rows.grad, likelihood.log_sigma.grad)


def test_a_sigma_that_is_given_is_taken_as_it_is():
    x, rows = good(2), good(2).flip(1) + 1e-12
    narrow, unit = Chamfer(sigma=1e-12).double(), Chamfer(sigma=1.0).double()
    torch.testing.assert_close(narrow.log_prob(rows, x) * 1e-24, unit.log_prob(rows, x), rtol=1e-4, atol=0.0)


@pytest.mark.parametrize("extreme", [-1e30, -1e3, 1e3, 1e30])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS.names())
def test_log_deviations_and_scales_of_any_size_leave_everything_finite(likelihood, precision, extreme):
    model = tiny(precision=precision, likelihood=likelihood).eval()
    with torch.no_grad():
        model.head.linear.bias[LATENTS:] = extreme
        if likelihood == "mixture":  # weights and scales
            model.decoder.layers[-1].bias.view(7, -1)[::2, 3:] = max(-1e12, min(1e12, extreme))
    x = good(3).to(dtype_of(precision)).requires_grad_()
    with autocast(precision):
        posterior = model.posterior(x)
        value = kl_to_prior(posterior).sum() - model.likelihood.log_prob(model.decoder(posterior.rsample()), x).sum()
    value.backward()
    assert finite(value, x.grad, *(p.grad for p in model.parameters() if p.grad is not None))


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_kl_of_extreme_posteriors_is_finite_forward_and_backward(precision):
    moments = list(itertools.product([-1e12, 0.0, 1e-45, 1e12], [math.exp(-6.0), 1.0, math.exp(6.0)]))
    mean, std = (torch.tensor(part, dtype=dtype_of(precision)).unsqueeze(1) for part in zip(*moments, strict=True))
    for turn in range(len(moments)):
        leaves = [t.clone().requires_grad_() for t in (mean, std, mean.roll(turn, 0), std.roll(turn, 0))]
        first, second = (
            torch.distributions.Independent(torch.distributions.Normal(m, s), 1) for m, s in (leaves[:2], leaves[2:])
        )
        value = kl_between(first, second).sum() + kl_to_prior(first).sum()
        value.backward()
        assert finite(value, *(leaf.grad for leaf in leaves))
