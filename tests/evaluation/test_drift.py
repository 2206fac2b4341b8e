"""The drift of codes over rounds of decoding and encoding."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.drift import Drift, probe_drift, self_consistency_drift
from pointvae.evaluation.features import encode
from pointvae.evaluation.probing.linear_probe import fit_probe
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from pointvae.models.build import build_model
from pointvae.models.likelihoods import Chamfer
from tests.evaluation.shapes import make_model, make_shapes

SHAPES = make_shapes()


def mixture() -> nn.Module:
    config = {"likelihood": "mixture", "latent_dim": 5, "points": 24, "encoder_args": {"widths": (16, 32)}}
    return build_model(config | {"decoder_args": {"widths": (32,)}}, 0).eval()


class Moments(nn.Module):
    """A model whose posterior is N(mean of the cloud, 0.1²) and whose decoder gives a cloud with that mean."""

    latent_dim = 3

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.encoder, self.likelihood = nn.Identity(), Chamfer()
        self.shift = nn.Parameter(torch.tensor(shift))
        offsets = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
        self.offsets = offsets - offsets.mean(dim=0)

    def posterior(self, points, mask=None):
        mean = points.mean(dim=1)
        return Independent(Normal(mean, torch.full_like(mean, 0.1)), 1)

    def decoder(self, z):
        return (z + self.shift).unsqueeze(1) + self.offsets


def test_a_self_consistent_model_does_not_drift():
    drift = self_consistency_drift(Moments(), SHAPES)
    assert drift.kl_to_start.shape == drift.kl_step.shape == (5, 12) and drift.codes.shape == (6, 12, 3)
    np.testing.assert_allclose(drift.kl_to_start, 0, atol=1e-6)
    np.testing.assert_allclose(drift.kl_step, 0, atol=1e-6)
    np.testing.assert_allclose(drift.distance_to_start, 0, atol=1e-6)


def test_a_known_shift_drifts_by_a_known_amount():
    drift = self_consistency_drift(Moments(0.2), SHAPES, rounds=3)
    n = np.arange(1, 4)[:, None]
    np.testing.assert_allclose(drift.kl_to_start, np.broadcast_to(3 * (0.2 * n / 0.1) ** 2 / 2, (3, 12)), rtol=1e-3)
    np.testing.assert_allclose(drift.kl_step, 3 * (0.2 / 0.1) ** 2 / 2, rtol=1e-3)
    np.testing.assert_allclose(drift.distance_to_start, np.broadcast_to(0.2 * n, (3, 12)), rtol=1e-4)


def test_it_is_the_chain_written_out_shape_by_shape():
    model = make_model(points=40)  # as many as the clouds have, so that nothing is drawn
    drift = self_consistency_drift(model, SHAPES, rounds=3)
    for i, cloud in enumerate(torch.from_numpy(SHAPES.points)):
        with torch.no_grad():
            posteriors = [model.posterior(cloud[None])]
            for _ in range(3):
                posteriors.append(model.posterior(model.decode(posteriors[-1].mean)))
            for n in range(1, 4):
                to_start = kl_divergence(posteriors[n], posteriors[0]).item()
                step = kl_divergence(posteriors[n], posteriors[n - 1]).item()
                assert drift.kl_to_start[n - 1, i] == pytest.approx(to_start, rel=1e-3, abs=1e-5)
                assert drift.kl_step[n - 1, i] == pytest.approx(step, rel=1e-3, abs=1e-5)
                way = posteriors[n].mean[0] - posteriors[0].mean[0]
                distance = math.sqrt(sum(float(d) ** 2 for d in way) / len(way))
                assert drift.distance_to_start[n - 1, i] == pytest.approx(distance, rel=1e-3, abs=1e-6)


def test_it_starts_at_the_posterior_means():
    model, view = make_model(), View(20, seed=3)
    np.testing.assert_allclose(
        self_consistency_drift(model, SHAPES, view).codes[0], encode(model, SHAPES, view).posterior_mean, atol=1e-6
    )


@pytest.mark.parametrize("model", [make_model(), mixture()], ids=["chamfer", "mixture"])
@pytest.mark.parametrize("batch_size", [1, 5, 50])
def test_it_is_the_same_for_every_batch_size(model, batch_size):
    whole = self_consistency_drift(model, SHAPES, View(20), 2, work=Work(12), seed=2)  # 20 of the decoder's 24
    found = self_consistency_drift(model, SHAPES, View(20), 2, work=Work(batch_size), seed=2)
    np.testing.assert_allclose(found.codes, whole.codes, atol=1e-4)
    np.testing.assert_allclose(found.kl_to_start, whole.kl_to_start, rtol=1e-2, atol=1e-4)
    assert (whole.kl_to_start > 0).all()


def test_another_seed_takes_other_points_of_the_decoded_clouds():
    model = make_model()
    first, second = (self_consistency_drift(model, SHAPES, View(20), seed=seed).codes for seed in (0, 1))
    assert np.abs(first[1] - second[1]).max() > 1e-6


def test_the_model_comes_back_in_its_own_mode():
    model = make_model().train()
    self_consistency_drift(model, SHAPES)
    assert all(module.training for module in model.modules())


def test_the_description_is_of_means_and_their_errors():
    kl = np.array([[1.0, 3.0], [2.0, 8.0]], np.float32)
    codes = np.zeros((3, 2, 4), np.float32)
    codes[1, :, 0], codes[2, :, 0] = [2, 4], [6, 6]
    found = Drift(kl, kl[::-1], codes).describe()
    assert found["rounds"] == 2
    assert found["kl_to_start"] == [2, 5] and found["kl_step"] == [5, 2]
    assert found["kl_to_start_standard_error"] == pytest.approx([1, 3])  # deviation sqrt(2), 3 sqrt(2), over sqrt(2)
    assert found["distance_to_start"] == [1.5, 3]


def test_one_shape_has_a_drift_without_an_error():
    found = self_consistency_drift(make_model(), SHAPES[[0]]).describe()
    assert found["kl_step_standard_error"] == [0] * 5


def test_a_frozen_probe_reads_every_round():
    model, train = make_model(), make_shapes(30, seed=1)
    probe = fit_probe(encode(model, train).posterior_mean, train.labels, train.classes)
    drift = self_consistency_drift(model, SHAPES, rounds=2)
    found = probe_drift(drift, probe, SHAPES.labels)
    assert found[0] == np.mean(probe.predict(encode(model, SHAPES).posterior_mean) == SHAPES.labels)
    assert found[1:] == [np.mean(probe.predict(codes) == SHAPES.labels) for codes in drift.codes[1:]]
    assert len(found) == 3


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="rounds"):
        self_consistency_drift(make_model(), SHAPES, rounds=0)
    with pytest.raises(InputError, match="no shape"):
        self_consistency_drift(make_model(), Shapes(SHAPES.points[:0], None, [], []))


@pytest.mark.parametrize("likelihood", ["chamfer", "mixture"])
def test_clouds_at_infinity_are_told(likelihood):
    model = build_model({"latent_dim": 4, "points": 24, "likelihood": likelihood}, 0)
    for weights in model.decoder.parameters():
        weights.data.fill_(3e38)
    with pytest.raises(InputError, match="codes become NaN or infinite"):
        self_consistency_drift(model, make_shapes(3))
