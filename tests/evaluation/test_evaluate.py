"""`evaluate`: every figure is the one its own function gives."""

import dataclasses

import numpy as np
import pytest

from pointvae.data.dataset import ShapeDataset, load_dataset
from pointvae.errors import InputError
from pointvae.evaluation import evaluate as module
from pointvae.evaluation.drift import self_consistency_drift
from pointvae.evaluation.evaluate import evaluate, read_history
from pointvae.evaluation.features import encode
from pointvae.evaluation.latents import active_units
from pointvae.evaluation.probes import probe_run
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.evaluation.views import View
from pointvae.hub import from_pretrained


@pytest.fixture(scope="module")
def made(run_folder, dataset_folder):
    return evaluate(run_folder, dataset_folder, seed=2)


@pytest.mark.parametrize("rotation", ["none", "z"])
def test_probes_are_those_of_the_verb_probe(made, run_folder, dataset_folder, rotation):
    expected = probe_run(run_folder, dataset_folder, rotation=rotation, seed=2)
    found = made.metrics["probes"][rotation]
    assert found == {name: value for name, value in expected.items() if name not in ("dataset", "run")}


def test_the_headline_repeats_the_probes(made):
    m = made.metrics
    assert m["accuracy"] == m["probes"]["none"]["accuracy"]
    assert m["untrained_accuracy"] == m["probes"]["none"]["untrained_accuracy"]
    assert m["rotated_accuracy"] == m["probes"]["z"]["accuracy"]
    assert m["untrained_rotated_accuracy"] == m["probes"]["z"]["untrained_accuracy"]


def test_error_and_latents_are_those_of_the_test_split(made, run_folder, dataset_folder):
    model, test = from_pretrained(run_folder), load_dataset(dataset_folder)["test"]
    view = View(24, seed=2)
    errors = reconstruct(model, view.clouds(test)).cd_l2_mean
    assert made.metrics["cd_l2_mean"] == pytest.approx(errors.mean(), rel=1e-4)
    assert made.metrics["active_units"] == active_units(encode(model, test, view).posterior_mean)
    assert made.metrics["n_shapes"] == 15
    assert made.metrics["consistency_gap"] > 0
    np.testing.assert_allclose(made.worst.cd_l2_mean, np.sort(errors)[::-1][:4], rtol=1e-4)


def test_the_drift_is_that_of_the_test_split_and_starts_at_the_probed_codes(made, run_folder, dataset_folder):
    found, test = made.metrics["drift"], load_dataset(dataset_folder)["test"]
    expected = self_consistency_drift(from_pretrained(run_folder), test, View(24, seed=2), seed=2)
    assert found["kl_to_start"] == pytest.approx(expected.kl_to_start.mean(axis=1).tolist(), rel=1e-3)
    assert found["probe_accuracy"][0] == made.metrics["accuracy"]
    assert len(found["probe_accuracy"]) == found["rounds"] + 1 == 6


def test_pictures_belong_to_their_names(made, dataset_folder):
    test = load_dataset(dataset_folder)["test"]
    clouds = dict(zip(test.names, View(24, seed=2).clouds(test), strict=True))
    for gallery in (made.gallery, made.worst):
        for name, cloud in zip(gallery.names, gallery.inputs, strict=True):
            np.testing.assert_array_equal(cloud, clouds[name])
    for name, cloud, label in zip(made.latent_map.names, made.latent_map.clouds, made.latent_map.labels, strict=True):
        np.testing.assert_array_equal(cloud, clouds[name])
        assert name.startswith(made.classes[label])
    for name, cloud in zip(made.path_names, made.path_ends, strict=True):
        np.testing.assert_array_equal(cloud, clouds[name])


def test_the_way_starts_and_ends_at_the_reconstructions(made, run_folder):
    expected = reconstruct(from_pretrained(run_folder), made.path_ends).points
    np.testing.assert_allclose(made.path[[0, -1]], expected, atol=1e-5)


def test_a_second_time_gives_the_same(made, run_folder, dataset_folder):
    again = evaluate(run_folder, dataset_folder, seed=2, batch_size=4)
    for name, value in made.metrics.items():
        if name != "seconds" and isinstance(value, float):
            assert again.metrics[name] == pytest.approx(value, rel=1e-3), name
    np.testing.assert_array_equal(again.samples, made.samples)


def test_quick_takes_a_part_of_both_splits(run_folder, dataset_folder, monkeypatch):
    monkeypatch.setattr(module, "QUICK_TRAIN", 12)
    monkeypatch.setattr(module, "QUICK_TEST", 6)
    made = evaluate(run_folder, dataset_folder, quick=True)
    assert made.metrics["quick"]
    assert made.metrics["n_shapes"] == made.latent_map.of == 6
    assert (made.metrics["probes"]["z"]["n_train"], made.metrics["probes"]["z"]["n_test"]) == (12, 6)


def test_shapes_without_labels_are_evaluated_without_a_probe(run_folder, dataset_folder, monkeypatch):
    read = ShapeDataset.__getitem__
    monkeypatch.setattr(
        ShapeDataset, "__getitem__", lambda self, split: dataclasses.replace(read(self, split), labels=None)
    )
    made = evaluate(run_folder, dataset_folder)
    assert made.metrics["probes"] == {} and "probe_accuracy" not in made.metrics["drift"]
    assert "have no labels" in made.metrics["probes_left_out"]
    assert "accuracy" not in made.metrics
    assert made.latent_map.labels is None
    assert made.metrics["cd_l2_mean"] > 0


def test_a_wrong_option_is_refused(run_folder, dataset_folder):
    with pytest.raises(InputError, match="--points 41"):
        evaluate(run_folder, dataset_folder, points=41)
    with pytest.raises(InputError, match="--batch_size 0"):
        evaluate(run_folder, dataset_folder, batch_size=0)


def test_empty_cells_of_the_history_are_left_out(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,train/loss,val/loss\n1,3.5,\n2,3,2.5\n")
    assert read_history(tmp_path / "metrics.csv") == [
        {"epoch": 1, "train/loss": 3.5},
        {"epoch": 2, "train/loss": 3, "val/loss": 2.5},
    ]
    assert read_history(tmp_path / "nothing.csv") == []


def test_a_damaged_history_is_told(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,train/loss\n1,abc\n")
    with pytest.raises(InputError, match=r"metrics.csv: damaged .*abc.*remove it"):
        read_history(tmp_path / "metrics.csv")
