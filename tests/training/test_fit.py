"""Training end to end, small: what it writes, what it refuses, and what it repeats."""

import csv
import json
import logging

import numpy as np
import pytest
import torch
import yaml

import pointvae
from pointvae import ELBO, Consistency, InputError, Jitter, RotateUp, Shapes, fit
from pointvae.geometry.sampling import random_subset
from pointvae.hub import untrained_twin
from pointvae.models.build import build_model
from pointvae.training.batches import cloud_loader, validation_split

CONFIG = {
    "latent_dim": 6,
    "points": 16,
    "encoder_args": {"widths": [8, 16]},
    "decoder_args": {"widths": [16]},
    "likelihood_args": {"sigma": 0.1},
}


@pytest.fixture(scope="module")
def shapes() -> Shapes:
    """Boxes and balls: 48 clouds of 40 points."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(48, 40, 3))
    points[:24] /= np.abs(points[:24]).max(axis=2, keepdims=True)
    points[24:] /= np.linalg.norm(points[24:], axis=2, keepdims=True)
    points *= rng.uniform(0.3, 1.0, size=(48, 1, 3))
    labels = np.repeat([0, 1], 24)
    return Shapes(points.astype(np.float32), labels, [f"s{i}" for i in range(48)], ["box", "ball"])


def train(shapes, run, objective=None, seed=0, **settings):
    settings = {"epochs": 2, "batch_size": 16, "accelerator": "cpu"} | settings
    return fit(build_model(CONFIG, seed), shapes, run, objective, seed=seed, **settings)


def rows(run, name="metrics.csv"):
    with (run / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_folder_holds_everything_the_design_names(shapes, tmp_path):
    made = train(shapes, tmp_path / "run", Consistency(ELBO(), weight=0.5))
    names = {p.name for p in made.path.iterdir()}
    assert names == {
        "README.md",
        "checkpoints",
        "config.json",
        "config.yaml",
        "golden.safetensors",
        "kl_per_dimension.csv",
        "metrics.csv",
        "model.safetensors",
        "tensorboard",
    }
    facts = json.loads((made.path / "config.json").read_text())
    assert facts["model"] == made.model.config and facts["seed"] == 0 and facts["points"] == 16
    assert facts["classes"] == ["box", "ball"]
    table = rows(made.path)
    assert [int(r["epoch"]) for r in table] == [1, 2]
    for name in ("reconstruction", "kl", "consistency", "transformed/reconstruction", "transformed/kl"):
        assert np.isfinite(float(table[-1][f"train/{name}"]))
    weighted = float(table[-1]["train/weighted/consistency"])
    assert weighted == pytest.approx(0.5 * float(table[-1]["train/consistency"]), rel=1e-5)
    for name in ("active_units", "posterior_std", "consistency_gap", "cd_l2_mean", "loss", "kl"):
        assert np.isfinite(float(table[-1][f"val/{name}"]))
    each = rows(made.path, "kl_per_dimension.csv")
    total = sum(float(v) for k, v in each[-1].items() if k != "epoch")
    assert total == pytest.approx(float(table[-1]["val/kl"]), rel=1e-4)


def test_the_logged_loss_is_the_sum_of_its_weighted_terms(shapes, tmp_path):
    last = rows(train(shapes, tmp_path / "run", Consistency(weight=0.5)).path)[-1]
    weighted = [float(v) for k, v in last.items() if k.startswith("train/weighted/")]
    assert float(last["train/loss"]) == pytest.approx(sum(weighted), rel=1e-5)


def test_training_lowers_the_held_out_loss(shapes, tmp_path):
    losses = [float(r["val/loss"]) for r in rows(train(shapes, tmp_path / "run", epochs=40, learning_rate=1e-2).path)]
    assert losses[-1] < 0.8 * losses[0]


def test_one_batch_can_be_overfitted(shapes, tmp_path):
    few = Shapes(shapes.points[20:28, :16], shapes.labels[20:28], shapes.names[20:28], shapes.classes)
    settings = {"epochs": 200, "batch_size": 8, "validation_fraction": 0.0, "learning_rate": 1e-2}
    made = train(few, tmp_path / "run", ELBO(beta=0.01), **settings)
    reconstruction = [float(r["train/reconstruction"]) for r in rows(made.path)]
    assert reconstruction[-1] < 0.2 * reconstruction[0]


def test_after_a_single_step_the_running_statistics_are_those_of_its_batch(shapes, tmp_path):
    model = build_model(CONFIG, 0)
    first = model.encoder.mlp.layers[1]
    few = Shapes(shapes.points[:8, :16], None, shapes.names[:8], [])
    inputs = model.encoder.mlp.layers[0](torch.from_numpy(few.points).flatten(0, 1)).detach()
    settings = {"epochs": 1, "batch_size": 8, "validation_fraction": 0.0, "learning_rate": 1e-9}
    fit(model, few, tmp_path / "run", accelerator="cpu", **settings)
    torch.testing.assert_close(first.running_mean, inputs.mean(0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(first.running_var, inputs.var(0), atol=1e-5, rtol=1e-4)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(shapes, tmp_path):
    weights = [
        (train(shapes, tmp_path / str(i), Consistency(), seed).path / "model.safetensors").read_bytes()
        for i, seed in enumerate((3, 3, 4))
    ]
    assert weights[0] == weights[1] != weights[2]


def test_training_neither_uses_nor_moves_the_global_generators(shapes, tmp_path):
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(shapes, tmp_path / "run", Consistency())
    assert torch.equal(before, torch.get_rng_state())
    assert (numpy_before == np.random.get_state()[1]).all()  # noqa: NPY002


def test_a_stopped_run_resumes_to_the_same_weights_and_rows(shapes, tmp_path, monkeypatch):
    whole = train(shapes, tmp_path / "whole", Consistency(), epochs=4)

    from pointvae.training.module import TrainingModule

    real = TrainingModule.training_step

    def stop(self, batch, index):
        if self.current_epoch == 2 and index == 1:
            raise RuntimeError("pulled the plug")
        return real(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", stop)
    with pytest.raises(RuntimeError, match="plug"):
        train(shapes, tmp_path / "cut", Consistency(), epochs=4)
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    monkeypatch.setattr(TrainingModule, "training_step", real)
    again = train(shapes, tmp_path / "cut", Consistency(), epochs=4, resume=True)
    assert (again.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()
    drop = "points_per_second"
    kept = [[{k: v for k, v in r.items() if k != drop} for r in rows(run.path)] for run in (whole, again)]
    assert [[float(v) for v in r.values()] for r in kept[0]] == [[float(v) for v in r.values()] for r in kept[1]]


def test_the_saved_model_loads_and_its_untrained_twin_is_the_model_before_training(shapes, tmp_path):
    made = train(shapes, tmp_path / "run")
    x = torch.from_numpy(shapes.points[:3])
    loaded = pointvae.from_pretrained(made.path)
    assert not loaded.training
    torch.testing.assert_close(loaded.posterior(x).mean, made.model.posterior(x).mean)
    start = build_model(CONFIG, 0).state_dict()
    twin = untrained_twin(made.path)
    assert all(torch.equal(twin.state_dict()[k], start[k]) for k in start)
    assert not torch.allclose(twin.features(x), made.model.features(x))


def test_the_checkpoint_loads_without_running_anything(shapes, tmp_path):
    made = train(shapes, tmp_path / "run")
    assert "state_dict" in torch.load(made.path / "checkpoints" / "last.ckpt", weights_only=True)


def test_the_configuration_names_every_setting(shapes, tmp_path):
    objective = Consistency(ELBO(beta=2.0), weight=0.3, transforms=[RotateUp(30), Jitter(0.02)], target="canonical")
    made = train(shapes, tmp_path / "run", objective)
    config = yaml.safe_load((made.path / "config.yaml").read_text())
    init = config["objective"]["init_args"]
    assert init["base"]["init_args"]["beta"] == 2.0 and init["weight"] == 0.3 and init["target"] == "canonical"
    assert [t["class_path"] for t in init["transforms"]] == ["pointvae.RotateUp", "pointvae.Jitter"]
    assert config["model"]["init_args"] == made.model.config
    assert config["epochs"] == 2 and config["seed"] == 0


def test_a_collapsed_posterior_is_warned_of_with_what_to_change(shapes, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "pointvae"):
        train(shapes, tmp_path / "collapsed", ELBO(beta=1e6), epochs=55, learning_rate=1e-2)
    assert "collapse" in caplog.text and "sigma" in caplog.text and "beta" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, "pointvae"):
        train(shapes, tmp_path / "healthy", epochs=55, learning_rate=1e-2)
    assert "collapse" not in caplog.text


def test_a_long_first_epoch_is_looked_at_for_collapse_too(shapes, tmp_path, caplog):
    many = shapes[np.arange(48).repeat(10)]
    with caplog.at_level(logging.WARNING, "pointvae"):
        train(many, tmp_path / "run", ELBO(beta=1e6), epochs=1, batch_size=4, learning_rate=1e-2)
    assert "collapse" in caplog.text


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"points": 41}, "points"),
        ({"points": 0}, "points"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"accelerator": "abacus"}, "accelerator"),
        ({"precision": "3"}, "precision"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused_by_name_and_nothing_is_written(shapes, tmp_path, settings, word):
    with pytest.raises(InputError, match=word) as caught:
        train(shapes, tmp_path / "run", **settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_clouds_with_nan_are_refused_by_name(shapes, tmp_path):
    points = shapes.points.copy()
    points[5, 3, 1] = np.nan
    with pytest.raises(InputError, match="s5"):
        train(Shapes(points, shapes.labels, shapes.names, shapes.classes), tmp_path / "run")


def test_another_run_is_never_overwritten(shapes, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="--resume"):
        train(shapes, tmp_path / "run")
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_resuming_a_finished_run_changes_nothing_and_keeps_its_figures(shapes, tmp_path):
    first = train(shapes, tmp_path / "run")
    kept = {p.name: p.read_bytes() for p in first.path.iterdir() if p.suffix in (".safetensors", ".json", ".csv")}
    again = train(shapes, tmp_path / "run", resume=True)
    assert again.metrics == first.metrics and again.metrics
    assert kept == {name: (first.path / name).read_bytes() for name in kept}


def test_a_finished_run_can_be_trained_further(shapes, tmp_path):
    train(shapes, tmp_path / "run", schedule="constant")
    longer = train(shapes, tmp_path / "run", schedule="constant", epochs=4, resume=True)
    assert [int(r["epoch"]) for r in rows(longer.path)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("objective", "settings", "word"),
    [(Consistency(), {}, "objective"), (None, {"seed": 1}, "seed"), (None, {"points": 8}, "points")],
    ids=["objective", "seed", "points"],
)
def test_going_on_with_other_settings_is_refused_by_name(shapes, tmp_path, objective, settings, word):
    train(shapes, tmp_path / "run")
    with pytest.raises(InputError, match=word):
        train(shapes, tmp_path / "run", objective, **settings, resume=True, epochs=3)


def test_the_validation_split_is_deterministic_disjoint_and_stratified():
    labels = np.array([0] * 50 + [1] * 20 + [2])
    first, second = (validation_split(labels, 71, 0.1, seed=1) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    training, validation = first
    assert sorted([*training, *validation]) == list(range(71))
    assert [int((labels[validation] == c).sum()) for c in range(3)] == [5, 2, 0]
    assert not np.array_equal(validation, validation_split(labels, 71, 0.1, seed=2)[1])


def test_an_epoch_sees_each_shape_once_in_a_new_order():
    points = np.arange(24, dtype=np.float32).reshape(8, 1, 3)
    loader = cloud_loader(points, 4, shuffle_seed=0)
    epochs = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        epochs.append(torch.cat(list(loader))[:, 0, 0].tolist())
    assert sorted(epochs[0]) == sorted(epochs[1]) == points[:, 0, 0].tolist()
    assert epochs[0] != epochs[1]


def test_two_ranks_share_an_epoch_without_overlap():
    points = np.arange(24, dtype=np.float32).reshape(8, 1, 3)
    parts = [torch.cat(list(cloud_loader(points, 2, shuffle_seed=0, rank=r, world_size=2))) for r in range(2)]
    assert sorted(torch.cat(parts)[:, 0, 0].tolist()) == points[:, 0, 0].tolist()


def test_a_random_subset_holds_different_points_of_the_same_cloud():
    x = torch.arange(60.0).view(2, 10, 3)
    subset = random_subset(x, 4, torch.Generator().manual_seed(0))
    for cloud, source in zip(subset, x, strict=True):
        assert len(torch.unique(cloud, dim=0)) == 4 and torch.isin(cloud, source).all()
    assert not torch.equal(subset, random_subset(x, 4, torch.Generator().manual_seed(1)))
    assert random_subset(x, 10) is x


def test_the_model_card_and_the_loaded_model_know_the_class(tmp_path):
    settings = {"latent_dim": 12, "points": 16, "anchors": [2], "local_dims": [2], "neighbours": 3, "width": 8}
    model = build_model(settings, 0, "LadderPointVAE")
    cloud = np.random.default_rng(0).normal(size=(6, 16, 3)).astype(np.float32)
    shapes = Shapes(cloud, None, [str(i) for i in range(6)], [])
    made = fit(model, shapes, tmp_path / "run", epochs=1, batch_size=3, points=16, accelerator="cpu")
    assert "`LadderPointVAE`" in (made.path / "README.md").read_text()
    assert type(pointvae.from_pretrained(made.path)) is type(model)
