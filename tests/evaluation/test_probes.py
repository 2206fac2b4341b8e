"""`probe_run`: a run and its untrained twin on one dataset folder."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from pointvae.data.dataset import ShapeDataset, Shapes, load_dataset
from pointvae.errors import InputError
from pointvae.evaluation import probes
from pointvae.evaluation.features import encode, extract
from pointvae.evaluation.probes import probe_rotations, probe_run
from pointvae.evaluation.probing import training
from pointvae.evaluation.probing.linear_probe import fit_probe
from pointvae.evaluation.probing.protocols import Protocol
from pointvae.evaluation.probing.registry import PROTOCOLS
from pointvae.evaluation.probing.training import Encoded, encode_training
from pointvae.evaluation.views import View
from pointvae.hub import from_pretrained, untrained_twin


@pytest.fixture(scope="module")
def result(run_folder, dataset_folder):
    return probe_run(run_folder, dataset_folder, rotation="z", seed=3)


def test_it_is_plain_json(result):
    assert json.loads(json.dumps(result)) == result


def test_the_headline_is_the_posterior_mean_and_both_features_are_listed(result):
    assert result["feature"] == "posterior_mean"
    assert [probe["feature"] for probe in result["probes"]] == ["posterior_mean", "encoder"]
    assert result["accuracy"] == result["probes"][0]["accuracy"]
    assert result["untrained_accuracy"] == result["probes"][0]["untrained_accuracy"]
    assert [probe["dimension"] for probe in result["probes"]] == [8, 32]


def test_it_says_how_the_figures_came_about(result, dataset_folder):
    dataset = load_dataset(dataset_folder)
    assert result["protocol"] == "linear_svm_c_cv/1"
    assert (result["seed"], result["rotation"], result["points"]) == (3, "z", 24)
    assert (result["n_train"], result["n_test"], result["folds"]) == (30, 15, 5)
    assert result["dataset"]["name"] == "shapes"
    assert len(result["dataset"]["sha256"]) == 64
    view = View(24, "z", 3)
    assert result["subsample_sha256"] == {s: view.subsample_hash(dataset[s]) for s in ("train", "test")}
    assert result["classes"] == dataset.classes


@pytest.mark.parametrize("feature", ["posterior_mean", "encoder"])
def test_trained_and_untrained_figures_belong_to_their_models(run_folder, dataset_folder, feature):
    found = probe_run(run_folder, dataset_folder, feature=feature, rotation="so3")
    assert "probes" not in found
    dataset = load_dataset(dataset_folder)
    train, test = dataset["train"], dataset["test"]
    for prefix, model in (("", from_pretrained(run_folder)), ("untrained_", untrained_twin(run_folder))):
        options = {"feature": feature, "points": 24, "rotation": "so3"}
        probe = fit_probe(extract(model, train, **options), train.labels, train.classes)
        right = probe.predict(extract(model, test, **options)) == test.labels
        assert found[f"{prefix}accuracy"] == pytest.approx(right.mean())
        assert found[f"{prefix}C"] == probe.c
    low, high = found["accuracy_interval"]
    assert low <= found["accuracy"] <= high
    assert found["gain"] == pytest.approx(found["accuracy"] - found["untrained_accuracy"])


@pytest.mark.parametrize(("batch_size", "jobs", "threads"), [(7, 1, 2), (200, 3, 1)])
def test_neither_the_batch_size_nor_the_threads_change_a_digit(
    run_folder, dataset_folder, result, batch_size, jobs, threads
):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        other = probe_run(run_folder, dataset_folder, rotation="z", seed=3, batch_size=batch_size, jobs=jobs)
    finally:
        torch.set_num_threads(before)
    assert other == result


def test_test_labels_change_neither_c_nor_predictions(run_folder, dataset_folder, monkeypatch):
    plain = probe_run(run_folder, dataset_folder, feature="encoder")
    read = ShapeDataset.__getitem__

    def shuffled(self, split):
        shapes = read(self, split)
        if split == "test":
            shapes = dataclasses.replace(shapes, labels=np.roll(shapes.labels, 1))
        return shapes

    monkeypatch.setattr(ShapeDataset, "__getitem__", shuffled)
    other = probe_run(run_folder, dataset_folder, feature="encoder")
    assert other["C"] == plain["C"]
    assert other["cv_accuracy"] == plain["cv_accuracy"]
    assert np.sum(other["confusion_matrix"], axis=0).tolist() == np.sum(plain["confusion_matrix"], axis=0).tolist()
    assert other["accuracy"] != plain["accuracy"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "few_shots"}, "--protocol few_shots: unknown; did you mean 'few_shot'.; choose from"),
        ({"feature": "magic"}, "--feature magic: unknown; choose from all, posterior_mean, encoder"),
        ({"rotation": "x"}, "--rotation x: unknown"),
        ({"points": 41}, "--points 41: the shapes have 40 points each"),
        ({"batch_size": 0}, "--batch_size 0: must be at least 1"),
    ],
)
def test_a_wrong_option_is_refused_by_name(run_folder, dataset_folder, options, message):
    with pytest.raises(InputError, match=message):
        probe_run(run_folder, dataset_folder, **options)


def test_a_folder_that_is_no_run_is_refused_by_name(tmp_path, dataset_folder):
    with pytest.raises(InputError, match="nowhere: no such run folder"):
        probe_run(tmp_path / "nowhere", dataset_folder)


def with_labels(monkeypatch, change):
    read = ShapeDataset.__getitem__
    monkeypatch.setattr(ShapeDataset, "__getitem__", lambda self, split: change(split, read(self, split)))


def test_unlabelled_shapes_are_refused(run_folder, dataset_folder, monkeypatch):
    with_labels(monkeypatch, lambda _, shapes: dataclasses.replace(shapes, labels=None))
    with pytest.raises(InputError, match="shapes: its shapes have no labels"):
        probe_run(run_folder, dataset_folder)


def test_a_test_class_absent_from_train_is_refused_by_name(run_folder, dataset_folder, monkeypatch):
    def without_plates(split, shapes):
        return shapes if split == "test" else shapes[shapes.labels != 1]

    with_labels(monkeypatch, without_plates)
    with pytest.raises(InputError, match="no training shape of 'plate'"):
        probe_run(run_folder, dataset_folder)


def test_a_class_with_one_training_shape_is_refused_by_name(run_folder, dataset_folder, monkeypatch):
    def one_stick(split, shapes):
        keep = (shapes.labels != 2) | (np.cumsum(shapes.labels == 2) <= 1)
        return shapes if split == "test" else shapes[keep]

    with_labels(monkeypatch, one_stick)
    with pytest.raises(InputError, match="class 'stick' has one training shape"):
        probe_run(run_folder, dataset_folder)


def test_a_dataset_without_a_test_split_is_refused(run_folder, dataset_folder, monkeypatch):
    dataset = load_dataset(dataset_folder)
    dataset.splits = ["train"]
    monkeypatch.setattr(probes, "load_dataset", lambda _: dataset)
    with pytest.raises(InputError, match="has no test split, which a probe needs"):
        probe_run(run_folder, dataset_folder)


class Watched(Shapes):
    """Shapes that note when their labels are read."""

    def __getattribute__(self, name):
        if name == "labels":
            LOG.append("test labels")
        return super().__getattribute__(name)


LOG: list[str] = []


@pytest.mark.parametrize("protocol", ["linear_svm_c_cv", "logistic_c_cv", "knn", "few_shot", "label_efficiency"])
@pytest.mark.parametrize("rotation", ["none", "z/so3"])
def test_the_test_split_is_read_once_and_after_every_fit(run_folder, dataset_folder, monkeypatch, protocol, rotation):
    LOG.clear()
    small = {"few_shot": {"ways": [2], "shots": [2]}, "label_efficiency": {"shares": [0.5], "draws": 1}}
    fields = PROTOCOLS[protocol].to_dict() | small.get(protocol, {}) | {"name": "small"}
    read, fit = ShapeDataset.__getitem__, training.fit_task

    def noted(self, split):
        shapes = read(self, split)
        if split == "test":
            LOG.append("test split")
            shapes = Watched(**{field.name: getattr(shapes, field.name) for field in dataclasses.fields(shapes)})
        return shapes

    def fitting(*arguments, **options):
        LOG.append("fit")
        fitted = fit(*arguments, **options)
        LOG.append("fitted")
        return fitted

    monkeypatch.setattr(ShapeDataset, "__getitem__", noted)
    monkeypatch.setattr(training, "fit_task", fitting)
    probe_run(run_folder, dataset_folder, protocol=Protocol.from_dict(fields), rotation=rotation)
    assert LOG == ["fit", "fitted"] * 4 + ["test split", "test labels"]


def test_what_is_fitted_holds_nothing_of_the_test_split(dataset_folder, run_folder):
    dataset, model = load_dataset(dataset_folder), from_pretrained(run_folder)
    made = encode_training(model, dataset["train"], View(24))
    assert len(made.codes.posterior_mean) == len(made.labels) == 30
    assert [field.name for field in dataclasses.fields(made)] == ["codes", "labels", "classes", "_fitted"]


def test_training_about_the_axis_and_testing_freely_shares_the_fit(run_folder, dataset_folder, monkeypatch):
    dataset, fits = load_dataset(dataset_folder), []
    fit = training.fit_task

    def counted(protocol, *arguments, **options):
        fits.append(protocol.name)
        return fit(protocol, *arguments, **options)

    monkeypatch.setattr(training, "fit_task", counted)
    train, test, pair = dataset["train"], dataset["test"], []
    for model in (from_pretrained(run_folder), untrained_twin(run_folder)):
        turned = encode_training(model, train, View(24, "z"))
        tests = {"z": encode(model, test, View(24, "z")), "z/so3": encode(model, test, View(24, "so3"))}
        pair.append({rotation: Encoded(turned, codes) for rotation, codes in tests.items()})
    found = probe_rotations(*pair, train, test, View(24))
    assert len(fits) == 4
    for rotation, figures in found.items():
        alone = probe_run(run_folder, dataset_folder, rotation=rotation)
        assert figures == {name: value for name, value in alone.items() if name not in ("dataset", "run")}
    assert found["z"]["C"] == found["z/so3"]["C"]
    assert found["z"]["confusion_matrix"] != found["z/so3"]["confusion_matrix"]
