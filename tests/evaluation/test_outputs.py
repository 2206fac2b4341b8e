"""Reconstructions, samples and interpolations as files."""

import numpy as np
import pytest
import trimesh

from pointvae.data.dataset import load_dataset
from pointvae.errors import InputError
from pointvae.evaluation.outputs import file_names, interpolate_to, reconstruct_to, sample_to
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.hub import from_pretrained

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def clouds(tmp_path):
    paths = []
    for name in ("first", "last"):
        paths.append(tmp_path / "in" / f"{name}.npy")
        paths[-1].parent.mkdir(exist_ok=True)
        np.save(paths[-1], np.random.default_rng(len(paths)).standard_normal((60, 3)))
    return paths


def test_reconstructions_as_arrays_are_those_of_the_model(run_folder, dataset_folder, tmp_path):
    found = reconstruct_to(run_folder, dataset_folder, tmp_path / "a.npz", split="test", points=40)
    test = load_dataset(dataset_folder)["test"]
    expected = reconstruct(from_pretrained(run_folder), test.points)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["inputs"], test.points)
        np.testing.assert_allclose(arrays["reconstructions"], expected.points, atol=1e-5)
        np.testing.assert_allclose(arrays["cd_l2_mean"], expected.cd_l2_mean, rtol=1e-4)
        assert arrays["names"].tolist() == test.names
    assert found["shapes"] == 15
    assert found["cd_l2_mean"] == pytest.approx(expected.cd_l2_mean.mean(), rel=1e-4)


def test_a_picture_shows_the_first_and_says_so(run_folder, dataset_folder, tmp_path, caplog):
    reconstruct_to(run_folder, dataset_folder, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)
    assert "shows the first 32 of 45 shapes" in caplog.text


def test_one_cloud_becomes_one_ply(run_folder, clouds, tmp_path):
    reconstruct_to(run_folder, clouds[0], tmp_path / "a.ply")
    assert len(trimesh.load(tmp_path / "a.ply").vertices) == 24


def test_several_clouds_become_a_folder(run_folder, dataset_folder, tmp_path):
    reconstruct_to(run_folder, dataset_folder, tmp_path / "out", split="test")
    names = {name.rsplit("/", 1)[-1] for name in load_dataset(dataset_folder)["test"].names}
    assert {path.stem for path in (tmp_path / "out").iterdir()} == names
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_several_clouds_in_one_ply_are_refused(run_folder, dataset_folder, tmp_path):
    with pytest.raises(InputError, match=r"a.ply: one .ply holds one cloud, not 45; name a folder, .*a$"):
        reconstruct_to(run_folder, dataset_folder, tmp_path / "a.ply")
    assert not list(tmp_path.iterdir())


def test_samples_follow_their_seed(run_folder, tmp_path):
    made = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert sample_to(run_folder, tmp_path / f"{name}.npz", count=3, seed=seed)["shapes"] == 3
        with np.load(tmp_path / f"{name}.npz") as arrays:
            made.append(arrays["points"])
            decoded = from_pretrained(run_folder).decode(_tensor(arrays["latents"])).detach().numpy()
            np.testing.assert_allclose(decoded, arrays["points"], atol=1e-5)
    assert made[0].shape == (3, 24, 3)
    np.testing.assert_array_equal(made[0], made[1])
    assert np.abs(made[0] - made[2]).max() > 1e-3


def _tensor(values):
    import torch

    return torch.from_numpy(values)


@pytest.mark.parametrize(("out", "count"), [("a.png", 5), ("a.ply", 1), ("folder", 3)])
def test_samples_come_in_every_format(run_folder, tmp_path, out, count):
    sample_to(run_folder, tmp_path / out, count=count)
    place = tmp_path / out
    assert (len(list(place.iterdir())) == count) if place.is_dir() else place.stat().st_size > 100


def test_an_interpolation_starts_and_ends_at_the_reconstructions(run_folder, clouds, tmp_path):
    found = interpolate_to(run_folder, *clouds, tmp_path / "a.npz", steps=5)
    assert found["ends"] == ["first.npy", "last.npy"]
    for path, which in ((clouds[0], 0), (clouds[1], -1)):
        reconstruct_to(run_folder, path, tmp_path / "one.npz")
        with np.load(tmp_path / "a.npz") as way, np.load(tmp_path / "one.npz") as one:
            assert way["points"].shape == (5, 24, 3)
            np.testing.assert_allclose(way["points"][which], one["reconstructions"][0], atol=1e-5)


@pytest.mark.parametrize("out", ["a.png", "folder"])
def test_interpolations_come_as_pictures_and_folders(run_folder, clouds, tmp_path, out):
    interpolate_to(run_folder, *clouds, tmp_path / out, steps=3)
    place = tmp_path / out
    assert (len(list(place.iterdir())) == 3) if place.is_dir() else place.read_bytes().startswith(PNG)


def test_an_end_that_holds_several_shapes_is_refused(run_folder, clouds, dataset_folder, tmp_path):
    with pytest.raises(InputError, match="holds 45 shapes; name a file that holds one"):
        interpolate_to(run_folder, clouds[0], dataset_folder, tmp_path / "a.png")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run, out: sample_to(run, out / "a.gif"), "a.gif: unknown format '.gif'"),
        (lambda run, out: sample_to(run, out / "a.ply", count=2), "one .ply holds one cloud, not 2"),
        (lambda run, out: sample_to(run, out / "a.png", count=0), "--count 0: must be at least 1"),
        (lambda run, out: interpolate_to(run, "a", "b", out / "a.png", steps=1), "--steps 1: must be at least 2"),
        (lambda run, out: interpolate_to(run, "a", "b", out / "a.ply"), "one .ply holds one cloud, not 8"),
        (lambda run, out: reconstruct_to(run, out / "nothing.obj", out / "a.png"), "nothing.obj"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_written(run_folder, tmp_path, call, message):
    with pytest.raises(InputError, match=message):
        call(run_folder, tmp_path)
    assert not list(tmp_path.iterdir())


def test_names_become_fit_for_files_and_stay_apart():
    made = file_names(["chair/a b", "chair/a?b", "CHAIR_a_b", "../up", "", "ümlaut.off"])
    assert made == ["chair_a_b", "chair_a_b_2", "CHAIR_a_b_3", "_up", "shape", "ümlaut.off"]
