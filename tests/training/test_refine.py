"""Refining a trained run without data: what it changes, what it keeps, what it refuses."""

import csv
import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

import pointvae
from pointvae import ELBO, InputError, SelfConsistency, Shapes, fit, refine
from pointvae.evaluation.drift import self_consistency_drift
from pointvae.evaluation.views import View
from pointvae.hub import untrained_twin
from pointvae.models.build import build_model
from pointvae.training.refine import RefiningModule

CONFIG = {
    "latent_dim": 4,
    "points": 24,
    "encoder_args": {"widths": [16, 32]},
    "decoder_args": {"widths": [32]},
    "likelihood_args": {"sigma": 0.1, "learned": True},
}
QUICK = {"epochs": 2, "batch_size": 16, "accelerator": "cpu"}


def boxes(n, seed):
    """Points on boxes of random proportions (n, 40, 3)."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1, 1, size=(n, 40, 3))
    face = rng.integers(3, size=(n, 40, 1))
    np.put_along_axis(points, face, np.sign(np.take_along_axis(points, face, axis=2)), axis=2)
    points *= rng.uniform(0.2, 1.0, size=(n, 1, 3))
    return Shapes(points.astype(np.float32), None, [f"s{i}" for i in range(n)], ["box"])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A VAE of boxes, trained for a few seconds with a seed of its own."""
    place = tmp_path_factory.mktemp("runs") / "source"
    settings = {"epochs": 20, "batch_size": 32, "learning_rate": 5e-3, "accelerator": "cpu", "seed": 3}
    return fit(build_model(CONFIG, 3), boxes(256, 0), place, **settings).path


@pytest.fixture(scope="module")
def refined(source, tmp_path_factory):
    place = tmp_path_factory.mktemp("runs") / "refined"
    settings = {"epochs": 15, "batch_size": 32, "learning_rate": 2e-3, "accelerator": "cpu", "seed": 5}
    return refine(source, place, **settings)


def weights(run):
    return load_file(run / "model.safetensors")


def rows(run):
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "points_per_second"} for row in csv.DictReader(file)]


def test_decoder_likelihood_and_running_statistics_stay_bit_for_bit_and_all_that_encodes_learns(source, refined):
    before, after = weights(source), weights(refined.path)
    assert before.keys() == after.keys()
    kept = [n for n in before if n.startswith(("decoder.", "likelihood.")) or "running" in n or "num_batches" in n]
    assert {n.split(".")[0] for n in kept} == {"decoder", "likelihood", "encoder", "head"}
    assert all(torch.equal(before[n], after[n]) for n in kept)
    assert not [n for n in before if n not in kept and torch.equal(before[n], after[n])]


def test_refining_lowers_the_drift_of_shapes_never_seen(source, refined):
    models = pointvae.from_pretrained(source), refined.model
    before, after = (self_consistency_drift(m, boxes(64, 1), View(24), rounds=3) for m in models)
    assert (after.distance_to_start.mean(axis=1) < 0.85 * before.distance_to_start.mean(axis=1)).all()
    spread = [drift.codes[0].std(axis=0).mean() for drift in (before, after)]
    assert spread[1] > 0.8 * spread[0]  # not by saying less: the shapes stay as far apart as they were


def test_its_own_held_out_drift_falls_as_it_goes(refined):
    drift = [float(row["val/drift_distance"]) for row in rows(refined.path)]
    assert drift[-1] < 0.75 * drift[0]


def test_it_needs_no_data(tmp_path):
    pointvae.prepare("procedural", tmp_path / "data", shapes_per_class=2, points=32)
    fit(build_model(CONFIG, 0), tmp_path / "data", tmp_path / "run", **QUICK)
    shutil.rmtree(tmp_path / "data")
    made = refine(tmp_path / "run", tmp_path / "new", **QUICK)
    facts = json.loads((made.path / "config.json").read_text())
    source = json.loads((tmp_path / "run" / "config.json").read_text())
    assert facts["shapes"] == source["dataset"]["train_shapes"]
    assert all(facts[name] == source[name] for name in ("model", "dataset", "preparation", "classes", "points"))


def test_the_new_run_tells_where_it_comes_from(source, refined):
    facts = json.loads((refined.path / "config.json").read_text())
    checksum = hashlib.sha256((source / "model.safetensors").read_bytes()).hexdigest()
    assert facts["refined_from"]["name"] == "source" and facts["refined_from"]["weights_sha256"] == checksum
    assert facts["refined_from"]["objective"]["class_path"] == "pointvae.ELBO"
    assert facts["objective"]["class_path"] == "pointvae.SelfConsistency"
    assert facts["seed"] == 3 and facts["refining_seed"] == 5
    card = (refined.path / "README.md").read_text()
    assert checksum in card and "source" in card and "without data" in card
    text = (refined.path / "config.yaml").read_text()
    assert text.splitlines()[0] == "# pointvae refine RUN NEW_RUN --config config.yaml"
    assert yaml.safe_load(text)["shapes"] == 256 and "model" not in yaml.safe_load(text)


def test_the_untrained_twin_is_still_that_of_the_source(source, refined):
    first, second = (untrained_twin(run).state_dict() for run in (source, refined.path))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_refined_run_can_be_refined(refined, tmp_path):
    again = refine(refined.path, tmp_path / "again", shapes=32, **QUICK)
    facts = json.loads((again.path / "config.json").read_text())
    assert facts["seed"] == 3 and facts["refined_from"]["refined_from"]["name"] == "source"


def test_the_model_that_comes_back_can_be_trained_on(refined):
    assert all(p.requires_grad for p in refined.model.parameters()) and not refined.model.training


def test_each_step_draws_other_clouds_and_validation_the_same(source):
    model = pointvae.from_pretrained(source)
    module = RefiningModule(model, SelfConsistency(), 10, 1e-3, "cosine", 0, "")
    batch = torch.empty(5, 10, 0)
    first, again, other = (module.clouds(batch, torch.Generator().manual_seed(k)) for k in (0, 0, 1))
    assert first.shape == (5, 10, 3) and torch.equal(first, again) and not torch.equal(first, other)
    z = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    expected = model.decode(z)
    distance = torch.cdist(first, expected).min(dim=2).values  # thinned: each point is one of the decoder's
    assert distance.max() < 1e-5


def test_only_what_encodes_is_taught(source):
    module = RefiningModule(pointvae.from_pretrained(source), ELBO(), 10, 1e-3, "cosine", 0, "")
    taught = {n.split(".")[1] for n, p in module.named_parameters() if p.requires_grad}
    assert taught == {"encoder", "head"}
    assert module.train().training and not any(m.training for m in module.model.modules())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(source, tmp_path):
    runs = [refine(source, tmp_path / str(i), shapes=32, seed=s, **QUICK).path for i, s in enumerate((1, 1, 2))]
    made = [(run / "model.safetensors").read_bytes() for run in runs]
    assert made[0] == made[1] != made[2]


def test_refining_neither_uses_nor_moves_the_global_generators(source, tmp_path):
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    refine(source, tmp_path / "run", shapes=32, **QUICK)
    assert torch.equal(before, torch.get_rng_state())
    assert (numpy_before == np.random.get_state()[1]).all()  # noqa: NPY002


def test_a_stopped_refinement_goes_on_at_the_next_batch_to_the_same_weights_and_rows(source, tmp_path, monkeypatch):
    settings = QUICK | {"epochs": 3, "shapes": 112, "checkpoint_every": 3}  # 7 steps an epoch
    whole = refine(source, tmp_path / "whole", **settings)
    real, seen = RefiningModule.training_step, []

    def until(last):
        def step(self, batch, index):
            if self.global_step == last:
                raise RuntimeError("pulled the plug")
            seen.append(self.global_step)
            return real(self, batch, index)

        monkeypatch.setattr(RefiningModule, "training_step", step)

    until(19)  # in the third epoch; the last checkpoint is that after 18 steps
    with pytest.raises(RuntimeError, match="plug"):
        refine(source, tmp_path / "cut", **settings)
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    seen.clear()
    until(None)
    again = refine(source, tmp_path / "cut", resume=True, **settings | {"checkpoint_every": 0})
    assert seen == [18, 19, 20]
    assert (again.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()
    assert rows(again.path) == rows(whole.path) and len(rows(whole.path)) == 3


def test_a_refinement_goes_on_from_its_own_source_alone(source, refined, tmp_path):
    refine(source, tmp_path / "new", shapes=32, **QUICK)
    with pytest.raises(InputError, match="other weights"):
        refine(refined.path, tmp_path / "new", shapes=32, resume=True, **QUICK | {"epochs": 3})


def test_training_does_not_go_on_from_a_refinement_nor_refining_from_a_training(source, refined, tmp_path):
    copies = [shutil.copytree(run, tmp_path / run.name) for run in (source, refined.path)]
    with pytest.raises(InputError, match=r"made by `pointvae train`"):
        refine(refined.path, copies[0], resume=True, **QUICK)
    with pytest.raises(InputError, match=r"made by `pointvae refine`"):
        fit(build_model(CONFIG, 0), boxes(8, 0), copies[1], resume=True, **QUICK)


def refused(*arguments, **settings):
    with pytest.raises(InputError) as caught:
        refine(*arguments, **QUICK | settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_folders_are_looked_at_before_anything_is_written(source, tmp_path):
    before = {p.name: p.read_bytes() for p in source.iterdir() if p.is_file()}
    assert "itself" in refused(source, source, resume=True)
    assert "itself" in refused(source, source.parent / "." / "source")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert "--resume" in refused(source, tmp_path / "full")
    assert "no such run folder" in refused(tmp_path / "absent", tmp_path / "new")
    assert "config.json" in refused(tmp_path / "full", tmp_path / "new")
    assert [p.name for p in tmp_path.rglob("*")] == ["full", "notes.txt"]
    assert before == {p.name: p.read_bytes() for p in source.iterdir() if p.is_file()}


@pytest.mark.parametrize("name", ["epochs", "shapes", "batch_size", "points", "learning_rate", "checkpoint_every"])
def test_a_wrong_setting_is_refused_by_name_and_nothing_is_written(source, tmp_path, name):
    assert name in refused(source, tmp_path / "new", **{name: -1})
    assert not (tmp_path / "new").exists()


def test_a_source_that_forgot_its_data_asks_for_the_number_of_clouds(tmp_path):
    pointvae.save_pretrained(build_model(CONFIG, 0), tmp_path / "bare")
    assert "--shapes" in refused(tmp_path / "bare", tmp_path / "new")
    made = refine(tmp_path / "bare", tmp_path / "new", shapes=16, **QUICK)
    assert "unknown" in (made.path / "README.md").read_text()
