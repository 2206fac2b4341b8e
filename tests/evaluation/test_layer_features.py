"""The feature ``layers``: encoded, probed and embedded where it is asked for, and nowhere else."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import pointvae
from pointvae.evaluation.average import Average, headings
from pointvae.evaluation.embedding import embed_to
from pointvae.evaluation.features import FEATURES, encode, extract
from pointvae.evaluation.probes import probe_run
from pointvae.evaluation.probing.registry import PROTOCOLS
from pointvae.evaluation.probing.training import encode_splits
from pointvae.evaluation.views import View
from pointvae.hub import from_pretrained
from tests.evaluation.shapes import make_model, make_shapes

SHAPES = make_shapes()
SIZE = 16 + 32  # of the tiny PointNet's layers


def test_codes_hold_them_only_where_asked_and_the_rest_is_the_same_to_a_bit():
    model = make_model(seed=1)
    plain, asked = encode(model, SHAPES), encode(model, SHAPES, layers=True)
    assert plain.layers is None and asked.layers.shape == (12, SIZE)
    for name in ("posterior_mean", "posterior_std", "encoder"):
        assert np.array_equal(getattr(plain, name), getattr(asked, name))
    with torch.no_grad():
        expected = model.layer_features(torch.from_numpy(SHAPES.points)).numpy()
    np.testing.assert_allclose(asked.feature("layers"), expected, atol=1e-6)
    np.testing.assert_array_equal(extract(model, SHAPES, feature="layers"), asked.layers)
    with pytest.raises(ValueError, match="layers: not among these codes"):
        plain.feature("layers")


def test_they_are_averaged_over_turns_like_the_rest():
    model = make_model(seed=1)
    found = encode(model, SHAPES, average=Average(2), layers=True).layers
    clouds = torch.from_numpy(SHAPES.points)
    with torch.no_grad():
        made = [model.layer_features(clouds @ torch.from_numpy(turn).float().T).numpy() for turn in headings(2)]
    np.testing.assert_allclose(found, np.mean(made, axis=0), atol=1e-6)


def test_they_are_probed_by_name_and_not_among_all(run_folder, dataset_folder):
    assert "layers" not in FEATURES
    found = probe_run(run_folder, dataset_folder, feature="layers", protocol="knn")
    assert (found["feature"], found["dimension"]) == ("layers", SIZE)
    data = pointvae.load_dataset(dataset_folder)
    codes = encode_splits(from_pretrained(run_folder), data["train"], data["test"], View(24), layers=True)
    classifier = codes.train.fit("layers", PROTOCOLS["knn"]).classifier
    assert found["accuracy"] == np.mean(classifier.predict(codes.test.layers) == data["test"].labels)
    everything = probe_run(run_folder, dataset_folder, protocol="knn")
    assert [probe["feature"] for probe in everything["probes"]] == list(FEATURES)


def test_they_are_embedded_where_asked(run_folder, dataset_folder, tmp_path):
    for suffix in ("npz", "parquet"):
        embed_to(run_folder, dataset_folder, tmp_path / f"with.{suffix}", split="test", layers=True)
        embed_to(run_folder, dataset_folder, tmp_path / f"without.{suffix}", split="test")
    arrays = {name: np.load(tmp_path / f"{name}.npz") for name in ("with", "without")}
    tables = {name: pq.read_table(tmp_path / f"{name}.parquet") for name in ("with", "without")}
    assert set(arrays["with"]) - set(arrays["without"]) == {"layers"}
    assert set(tables["with"].column_names) - set(tables["without"].column_names) == {"layers"}
    assert arrays["with"]["layers"].shape == (15, SIZE)
    np.testing.assert_array_equal(np.stack(tables["with"]["layers"].to_numpy()), arrays["with"]["layers"])
    shapes = pointvae.load_dataset(dataset_folder)["test"]
    np.testing.assert_array_equal(pointvae.embed(run_folder, shapes, layers=True).layers, arrays["with"]["layers"])
    assert pointvae.embed(run_folder, shapes).layers is None
