"""Every named configuration's objective, and every transformation, on clouds that are shapes no longer."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from pointvae import InputError, Shapes, transforms
from pointvae.corruptions import CORRUPTIONS, corrupt
from pointvae.models.build import build_model
from pointvae.models.encoders import ENCODERS
from pointvae.objectives.base import reduce_terms
from pointvae.training import loading
from pointvae.training.fit import fit
from tests.degenerate import BAD_SHAPES, NO_CLOUDS, PRECISIONS, N, autocast, dtype_of, good, mixed
from tests.test_configs import CONFIGS, parsed

TRANSFORMS = [
    found
    for name, found in vars(transforms).items()
    if isinstance(found, type)
    and issubclass(found, transforms.Transform)
    and not name.startswith("_")
    and found not in (transforms.Transform, transforms.Compose)
]


@cache
def objective_and_config(path: Path):
    """The objective, and a tiny model's kind and configuration of the same parts; a refined run has any model."""
    settings = parsed(path)
    model = settings.get("model")
    kind, config = ("PointVAE", {}) if model is None else (type(model).__name__, dict(model.config))
    encoder = config.get("encoder", "pointnet")
    config |= {"latent_dim": 10, "points": 7, "decoder_args": {"widths": [8]}}
    config["encoder_args"] = ENCODERS.entries[encoder].tiny
    if kind == "LadderPointVAE":
        config |= {"anchors": (2, 4), "local_dims": (1, 1), "neighbours": 4, "width": 8}
    return settings["objective"], config, kind


def finite(*values: torch.Tensor) -> bool:
    return all(bool(value.isfinite().all()) for value in values)


def look(path: Path, precision: str, batches: list[torch.Tensor], training: bool) -> None:
    objective, config, kind = objective_and_config(path)
    model = build_model(config, 0, kind).to(dtype_of(precision)).train(training)
    for step, batch in enumerate(batches):
        x = batch.to(dtype_of(precision)).clone().requires_grad_()
        model.zero_grad()
        with autocast(precision):
            terms = objective(model, x, generator=torch.Generator().manual_seed(0), step=step)
        assert finite(*(term.value for term in terms.values()))
        reduce_terms(terms).backward()
        assert finite(x.grad, *(p.grad for p in model.parameters() if p.grad is not None))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_objective_is_finite_forward_and_backward(path):
    look(path, "float32", [mixed(cloud) for cloud in BAD_SHAPES.values()], training=True)


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_objective_is_finite_in_every_precision(path, precision, training):
    batches = [mixed(cloud) for cloud in BAD_SHAPES.values()]
    batches += [cloud.expand(2, -1, -1) for cloud in BAD_SHAPES.values()]
    batches += [cloud[:1].expand(5, -1, -1) for cloud in BAD_SHAPES.values()]
    look(path, precision, batches, training)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", ["1e18", "one-nan"])
def test_every_objective_refuses_what_is_no_cloud_by_its_row(path, name):
    objective, config, kind = objective_and_config(path)
    with pytest.raises(InputError, match=r"cloud 1 of \d+ \(counted from 0\).*: holds"):
        objective(build_model(config, 0, kind), mixed(NO_CLOUDS[name]).float())


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda found: found.__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_transformation_is_finite_and_leaves_the_other_clouds_alone(transform, dtype):
    expected = transform()(good(3).to(dtype), None, torch.Generator().manual_seed(0))
    for cloud in (*BAD_SHAPES.values(), NO_CLOUDS["1e18"], NO_CLOUDS["1e30"], NO_CLOUDS["one-nan"]):
        x = mixed(cloud).to(dtype).requires_grad_()
        made = transform()(x, None, torch.Generator().manual_seed(0))
        assert made.shape == x.shape and torch.equal(made[[0, 2]], expected[[0, 2]])
        assert finite(made) or not finite(x)
        made.sum().backward()
        assert finite(x.grad)
        one = transform()(x[:, :1].detach(), None, torch.Generator().manual_seed(0))
        assert one.shape == (3, 1, 3)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda found: found.__name__)
def test_a_transformation_takes_clouds_of_one_point_and_of_none(transform):
    mask = torch.arange(N).expand(3, -1) < torch.tensor([[0], [1], [N]])
    made = transform()(good(3), mask, torch.Generator().manual_seed(0))
    assert made.shape == (3, N, 3) and finite(made)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_of_a_bad_shape_is_finite(name):
    for cloud in BAD_SHAPES.values():
        for points in (cloud, cloud[:1], cloud[:2]):
            made = corrupt(points.numpy(), name, 5, np.random.default_rng(0))
            assert np.isfinite(made).all() and len(made) and made.shape[1] == 3


@pytest.mark.parametrize("config", ["vae", "se-avae"])
def test_a_training_names_the_shape_itself_and_not_a_row_of_a_batch(config, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "LIMIT", np.inf)  # it would be refused before the first step
    objective, settings, kind = objective_and_config(next(path for path in CONFIGS if path.stem == config))
    points = good(8).float().numpy()
    points[5] *= 1e25
    shapes = Shapes(points, None, [f"shape-{i}" for i in range(8)], [])
    numbers = {"epochs": 1, "batch_size": 4, "points": N, "validation_fraction": 0.0, "accelerator": "cpu"}
    with pytest.raises(InputError, match=r"not finite at step \d, in epoch 1: .* of .*shape-5"):
        fit(build_model(settings, 0, kind), shapes, tmp_path / "run", objective, **numbers)
