"""Clouds of no size, of every size and of few places, from files to the clouds that a model takes."""

import logging

import numpy as np
import pytest

from pointvae.data.dataset import load_dataset
from pointvae.data.inputs import read_input
from pointvae.data.prepare import prepare

BASE = np.random.default_rng(0).normal(size=(64, 3))
SIZED = {
    "huge": np.sign(BASE) * 1.7e308,
    "big": BASE * 1e30,
    "small": BASE * 1e-30,
    "denormal": np.sign(BASE) * 5e-324,
}
OTHERS = {"good": BASE, "far": BASE + 1e4, "two-places": np.tile(BASE[:2], (32, 1)), "line": BASE[:, :1] * np.ones(3)}
NO_SIZE = {"equal": np.full((64, 3), 0.1), "origin": np.zeros((64, 3))}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "clouds").mkdir()
    for name, cloud in (SIZED | OTHERS | NO_SIZE).items():
        np.save(tmp_path / "clouds" / f"{name}.npy", cloud)
    return tmp_path / "clouds"


def whole(folder):
    dataset = load_dataset(folder)
    parts = [dataset[split] for split in dataset.splits]
    return {name: cloud for part in parts for name, cloud in zip(part.names, part.points, strict=True)}


def test_prepare_normalises_clouds_of_every_size_and_sets_those_of_none_aside_by_name(folder, tmp_path):
    facts = prepare(folder, tmp_path / "data", points=32)
    assert sorted(row["file"] for row in facts["skipped"]) == ["equal.npy", "origin.npy"]
    assert all("coincide" in row["why"] for row in facts["skipped"])
    made = whole(tmp_path / "data")
    assert len(made) == len(SIZED | OTHERS)
    for cloud in made.values():
        np.testing.assert_allclose(np.linalg.norm(cloud, axis=1).max(), 1.0, rtol=1e-6)


def test_what_single_precision_does_not_hold_is_set_aside_where_nothing_is_normalised(folder, tmp_path):
    facts = prepare(folder, tmp_path / "data", points=32, normalize="none")
    assert [row["file"] for row in facts["skipped"]] == ["huge.npy"]
    assert "beyond float32; normalise" in facts["skipped"][0]["why"]
    assert all(np.isfinite(cloud).all() for cloud in whole(tmp_path / "data").values())


def test_of_a_set_that_is_normalised_as_it_is_read_shapes_of_no_size_are_left_out_by_name(folder, tmp_path, caplog):
    prepare(folder, tmp_path / "data", points=32, normalize="none")
    with caplog.at_level(logging.WARNING):
        shapes = read_input(tmp_path / "data", points=20)
    there = {name.removesuffix(".npy") for name in shapes.names}
    assert there == (SIZED | OTHERS).keys() - {"huge", "denormal"}  # 5e-324 is 0 in single precision
    assert all(f"left out {name}.npy" in caplog.text for name in ("equal", "origin", "denormal"))
    np.testing.assert_allclose(np.linalg.norm(shapes.points, axis=2).max(axis=1), 1.0, rtol=1e-6)
