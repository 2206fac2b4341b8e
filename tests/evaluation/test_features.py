"""Features of shapes from a frozen model."""

import numpy as np
import pytest
import torch

from pointvae.errors import InputError
from pointvae.evaluation.features import encode, extract, subsample_hash
from pointvae.evaluation.views import View
from pointvae.evaluation.work import Work
from tests.evaluation.shapes import make_model, make_shapes

SHAPES = make_shapes()


@pytest.fixture
def model():
    return make_model()


def test_features_are_those_that_the_model_gives(model):
    clouds = torch.from_numpy(SHAPES.points)
    with torch.no_grad():
        mean, features = model.posterior(clouds).mean.numpy(), model.features(clouds).numpy()
    np.testing.assert_allclose(extract(model, SHAPES), mean, atol=1e-6)
    np.testing.assert_allclose(extract(model, SHAPES, feature="encoder"), features, atol=1e-6)


def test_one_pass_gives_mean_deviation_and_encoder_feature(model):
    codes = encode(model, SHAPES, View(20, "z", 1), work=Work(5))
    assert codes.posterior_mean.shape == codes.posterior_std.shape == (12, 8)
    assert codes.encoder.shape == (12, 32)
    assert (codes.posterior_std > 0).all()
    options = {"points": 20, "rotation": "z", "seed": 1}
    np.testing.assert_allclose(codes.encoder, extract(model, SHAPES, feature="encoder", **options), atol=1e-6)


@pytest.mark.parametrize("feature", ["posterior_mean", "encoder"])
@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_the_batch_size_changes_nothing(model, feature, batch_size):
    options = {"feature": feature, "points": 20, "rotation": "so3", "seed": 4}
    whole = extract(model, SHAPES, work=Work(12), **options)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(extract(model, SHAPES, work=Work(batch_size), **options), whole, atol=1e-5)


def test_another_seed_sees_other_points(model):
    first, second = (extract(model, SHAPES, points=20, seed=seed) for seed in (0, 1))
    assert np.abs(first - second).max() > 1e-3
    assert subsample_hash(SHAPES, points=20, seed=0) != subsample_hash(SHAPES, points=20, seed=1)


def test_the_model_goes_back_into_its_own_mode_and_keeps_its_state(model):
    model.train()
    model.encoder.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    extract(model, SHAPES)
    assert model.training
    assert not model.encoder.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not model.encoder._forward_hooks


def test_the_model_goes_back_into_its_own_mode_after_a_failure(model):
    model.train()
    with pytest.raises(InputError):
        extract(model, SHAPES, points=99)
    assert model.training
    assert not model.encoder._forward_hooks


def test_no_shape_is_refused(model):
    with pytest.raises(InputError, match="no shape to encode"):
        extract(model, SHAPES[:0])


def test_an_unknown_feature_is_refused_by_name(model):
    with pytest.raises(InputError, match="--feature logits: unknown; choose from posterior_mean, encoder"):
        extract(model, SHAPES, feature="logits")


def test_a_bar_on_stderr_is_shown_only_on_request(model, capsys):
    extract(model, SHAPES)
    assert capsys.readouterr() == ("", "")
    extract(model, SHAPES, work=Work(progress=True))
    assert "encoding shapes" in capsys.readouterr().err
