"""`embed_to`: latents as files."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from pointvae.data.dataset import load_dataset
from pointvae.errors import InputError
from pointvae.evaluation.embedding import embed_to
from pointvae.hub import from_pretrained, save_pretrained
from tests.data.files import write_classes
from tests.evaluation.shapes import CLASSES, make_model

PLY = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\nend_header\n"


@pytest.fixture
def cloud_file(tmp_path):
    path = tmp_path / "cloud.npy"
    np.save(path, np.random.default_rng(0).standard_normal((60, 3)) * [1, 2, 3])
    return path


def test_npz_holds_a_row_for_each_shape_of_a_dataset(run_folder, dataset_folder, tmp_path):
    found = embed_to(run_folder, dataset_folder, tmp_path / "a.npz", split="test", points=40)
    assert found == {
        "shapes": 15,
        "latent_dim": 8,
        "features": 32,
        "points": 40,
        "average": 1,
        "out": str(tmp_path / "a.npz"),
    }
    test = load_dataset(dataset_folder)["test"]
    expected = from_pretrained(run_folder).posterior(_tensor(test.points))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as made:
        np.testing.assert_allclose(made["posterior_mean"], expected.mean.detach().numpy(), atol=1e-5)
        np.testing.assert_allclose(made["posterior_std"], expected.stddev.detach().numpy(), rtol=1e-4)
        assert made["features"].shape == (15, 32)
        np.testing.assert_array_equal(made["labels"], test.labels)
        assert made["names"].tolist() == test.names
        assert made["classes"].tolist() == CLASSES


def _tensor(points):
    import torch

    return torch.from_numpy(points)


def test_parquet_holds_the_same_as_npz(run_folder, dataset_folder, tmp_path):
    embed_to(run_folder, dataset_folder, tmp_path / "a.npz")
    embed_to(run_folder, dataset_folder, tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    with np.load(tmp_path / "a.npz") as arrays:
        for name in ("posterior_mean", "posterior_std", "features"):
            np.testing.assert_array_equal(np.stack(table[name].to_numpy()), arrays[name])
        assert table["name"].to_pylist() == arrays["names"].tolist()
        assert table["label"].to_pylist() == arrays["labels"].tolist()
        assert table["class"].to_pylist() == [CLASSES[label] for label in arrays["labels"]]
    assert json.loads(table.schema.metadata[b"pointvae"])["run"] == "tiny"


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_single_cloud_has_no_label(run_folder, cloud_file, tmp_path, suffix):
    out = tmp_path / f"a{suffix}"
    assert embed_to(run_folder, cloud_file, out)["points"] == 24
    if suffix == ".npz":
        with np.load(out) as arrays:
            assert arrays["labels"].tolist() == [-1]
            assert arrays["names"].tolist() == ["cloud.npy"]
            assert arrays["classes"].shape == (0,)
    else:
        assert pq.read_table(out)["label"].to_pylist() == [None]
        assert pq.read_table(out)["class"].to_pylist() == [None]


def test_raw_files_stand_as_the_runs_own_source_did(cloud_file, tmp_path):
    run = tmp_path / "run"
    facts = {"points": 24, "preparation": {"up": "y", "normalize": "sphere"}}
    save_pretrained(make_model(seed=1), run, facts)
    means = []
    for name, up in (("a", None), ("b", "y"), ("c", "z")):
        embed_to(run, cloud_file, tmp_path / f"{name}.npz", up=up)
        with np.load(tmp_path / f"{name}.npz") as arrays:
            means.append(arrays["posterior_mean"])
    np.testing.assert_array_equal(means[0], means[1])
    assert np.abs(means[0] - means[2]).max() > 1e-4


def test_a_dataset_is_z_up_whatever_the_runs_source_was(dataset_folder, tmp_path):
    run = tmp_path / "run"
    save_pretrained(make_model(seed=1), run, {"points": 24, "preparation": {"up": "y", "normalize": "sphere"}})
    assert embed_to(run, dataset_folder, tmp_path / "a.npz")["shapes"] == 45


def test_a_dataset_with_fewer_points_than_the_run_gives_all_it_has(dataset_folder, tmp_path):
    run = tmp_path / "run"
    save_pretrained(make_model(seed=1), run, {"points": 500})
    assert embed_to(run, dataset_folder, tmp_path / "a.npz")["points"] == 40


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("a.csv", {}, "a.csv: unknown format '.csv'; choose from .npz, .parquet"),
        ("a.npz", {"points": 50}, "fewer than the 50 asked for"),
        ("a.npz", {"batch_size": 0}, "--batch_size 0"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_written(
    run_folder, dataset_folder, tmp_path, out, options, message
):
    with pytest.raises(InputError, match=message):
        embed_to(run_folder, dataset_folder, tmp_path / out, **options)
    assert not list(tmp_path.iterdir())


def test_processes_and_pieces_change_no_digit(run_folder, dataset_folder, tmp_path):
    for name, jobs in (("one", 1), ("two", 2)):
        embed_to(run_folder, dataset_folder, tmp_path / f"{name}.parquet", jobs=jobs)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    whole = pq.read_table(tmp_path / "one.parquet")
    dataset = load_dataset(dataset_folder)
    assert whole["name"].to_pylist() == [name for split in dataset.splits for name in dataset[split].names]


def test_files_of_no_use_are_left_out_by_name_and_the_rest_goes_on(run_folder, tmp_path, caplog):
    root = write_classes(tmp_path / "meshes", {"bed": 3, "chair": 2})
    (root / "bed" / "shape_01.off").write_bytes(b"")
    found = embed_to(run_folder, root, tmp_path / "a.parquet", points=24)
    assert found["shapes"] == 4
    assert pq.read_table(tmp_path / "a.parquet")["class"].to_pylist() == ["bed", "bed", "chair", "chair"]
    assert "left out bed/shape_01.off: the file is empty" in caplog.text
    for path in root.rglob("*.off"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"meshes: no shape can be used \(5 left out\); bed/shape_00"):
        embed_to(run_folder, root, tmp_path / "b.parquet", points=24)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "meshes"]


def test_a_worker_does_not_use_weights_that_have_changed_since(run_folder):
    from pointvae.evaluation.embedding import _model

    with pytest.raises(InputError, match="other weights"):
        _model(str(run_folder), "0" * 64)
