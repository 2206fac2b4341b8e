"""The forms that speed is measured against compute what ours compute; a row that falls behind is told."""

import numpy as np
import pytest
import torch

import peers
import plain
import speed
import speed_path
import speed_probe
import speed_row
from pointvae import ELBO, Consistency, PointVAE
from pointvae.data.dataset import Shapes
from pointvae.data.procedural import CATEGORIES, STYLES
from pointvae.data.readers import read_file
from pointvae.geometry.distances import chamfer_distance
from pointvae.geometry.farthest import farthest_points
from pointvae.geometry.neighbours import knn
from pointvae.models.encoders import ENCODERS
from pointvae.models.mixture_density import mixture_log_density
from pointvae.objectives.base import reduce_terms
from runs import add_rows


def make_clouds(batch=3, points=40, dtype=torch.float64):
    return torch.randn(batch, points, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)


def grads(module):
    return {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_plain_pointnet_is_ours(training):
    ours = ENCODERS.build("pointnet", {"widths": (8, 8, 16)}).double().train(training)
    other = plain.PlainPointNet(ours).double().train(training)
    torch.testing.assert_close(ours(make_clouds()), other(make_clouds()))


@pytest.mark.parametrize("kind", [plain.PlainDGCNN, plain.PyGDGCNN])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_plain_dgcnns_are_ours(kind):
    ours = ENCODERS.build("dgcnn", {"widths": (8, 16), "features": 12, "k": 5}).double()
    other = kind(ours, knn).double()
    results = [encoder(make_clouds()) for encoder in (ours, other)]
    torch.testing.assert_close(*results)
    for result in results:
        result.square().sum().backward()
    first, second = ours.convs[0].edge.weight.grad, next(other.convs[0].parameters()).grad.flatten(1)
    torch.testing.assert_close(first, second[:, :3] if kind is plain.PlainDGCNN else second[:, 3:])


def test_the_plain_distances_and_densities_are_ours():
    x, y = make_clouds(), make_clouds(points=30) + 0.1
    torch.testing.assert_close(chamfer_distance(x, y), plain.plain_chamfer(x, y))
    constant, precision = torch.randn(3, 30, dtype=torch.float64), torch.rand(3, 30, dtype=torch.float64) + 0.5
    given = (x, y, precision, constant)
    torch.testing.assert_close(mixture_log_density(*given), plain.plain_mixture(*given))


def test_a_step_of_the_plain_model_is_a_step_of_ours():
    ours = PointVAE(latent_dim=4, points=40, encoder_args={"widths": (8, 16)}).double()
    other = plain.plain_model(ours)
    losses = []
    for model in (ours, other):
        generator = torch.Generator().manual_seed(3)
        losses.append(reduce_terms(Consistency(ELBO())(model, make_clouds(), generator=generator, step=0)))
        losses[-1].backward()
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(grads(ours)["head.linear.weight"], grads(other)["head.linear.weight"])


def test_the_plain_farthest_points_are_ours():
    points, start = make_clouds(), torch.zeros(3, dtype=torch.int64)
    assert torch.equal(plain.plain_farthest(points, 12), farthest_points(points, 12, start=start))


@pytest.mark.parametrize("other", [peers.fpsample_brute, peers.fpsample_tree])
def test_the_farthest_points_of_another_package_are_ours(other):
    pytest.importorskip("fpsample")
    points = make_clouds(points=300, dtype=torch.float32)
    theirs = torch.from_numpy(other(points.numpy(), 12).astype(np.int64))
    assert torch.equal(theirs, farthest_points(points, 12, start=theirs[:, 0]))  # the tree begins where it likes


def test_the_neighbours_of_another_package_are_ours():
    points = make_clouds()
    np.testing.assert_array_equal(peers.scipy_neighbours(points.numpy(), 5), knn(points, 5).numpy())


def test_what_bytes_without_parsing_give_is_what_the_reader_gives():
    path = next(speed_path.meshes("ply", 1).iterdir())
    ours, bare = read_file(path), speed_path.unparsed(path)
    np.testing.assert_array_equal(ours.vertices, bare.vertices)
    np.testing.assert_array_equal(ours.faces, bare.faces)


def test_the_autoencoder_of_another_package_has_the_size_of_ours():
    if speed_row.Row("", "", "", dict, needs=("cellshape_cloud",)).absent():
        pytest.skip("cellshape_cloud is not installed")
    model, loss = peers.cellshape_autoencoder(128)
    made, code = model(torch.randn(2, 64, 3))
    assert made.shape == (2, 2025, 3) and code.shape == (2, 128)
    assert loss(made, made) < 1e-3


def easy_features():
    labels = np.arange(speed_probe.COUNT) % speed_probe.CLASSES
    return np.eye(speed_probe.CLASSES, dtype=np.float32)[labels], labels


def test_a_probe_that_decides_unseen_shapes_otherwise_stops_the_row(monkeypatch):
    monkeypatch.setattr(speed_probe, "COUNT", 400)
    sides = speed_probe.search(easy_features)()
    sides["theirs"]()
    assert sides["check"]() == ""

    class Guess:
        def predict(self, features):
            return np.zeros(len(features), np.int64)

    monkeypatch.setattr(speed_probe, "fit_probe", lambda *_, **__: Guess())
    with pytest.raises(SystemExit, match=r"not the same work: held-out accuracies 0\.0\d+ by ours and 1\.0000"):
        sides["check"]()


def test_eight_categories_are_split_by_a_style():
    places = np.repeat(np.arange(len(CATEGORIES)), 2)
    factors = [dict.fromkeys(STYLES[CATEGORIES[place]], float(i % 2)) for i, place in enumerate(places)]
    shapes = Shapes(
        np.zeros((len(places), 1, 3), np.float32), places, [""] * len(places), list(CATEGORIES), None, factors
    )
    labels = speed_probe.forty_classes(shapes)
    assert sorted(set(labels.tolist())) == list(range(40))
    assert np.array_equal(labels[::2], places[::2]) and (labels[1::2] >= 32).sum() == 8


def row(name="chamfer", ratio="10.00", machine="x86_64 cpu", commit="abc"):
    return {"row": name, "ratio": ratio, "machine": machine, "commit": commit}


@pytest.mark.parametrize(
    ("ratio", "told"),
    [("6.00", ""), ("14.00", ""), ("5.90", "REGRESSION: 5.90 is below 60 % of the 10.00 stored at abc")],
)
def test_a_ratio_far_below_the_stored_one_is_a_regression(ratio, told):
    stored = [row(ratio="99.00"), row(), row("mixture", "50.00"), row(ratio="70.00", machine="arm64 cpu")]
    assert speed.regressed(row(ratio=ratio), stored) == told


def test_a_row_that_is_new_is_no_regression():
    assert speed.regressed(row("knn", "0.10"), [row()]) == ""


@pytest.mark.parametrize(
    ("ratio", "code", "said"),
    [
        ("8.00", 0, "chamfer: 8.00 times as fast"),
        ("5.00", 1, "REGRESSION: 5.00 is below 60 % of the 10.00"),
        ("3.00", 1, "MISSED: ratio"),
    ],
)
def test_a_check_fails_where_a_row_falls_behind_and_keeps_nothing(ratio, code, said, monkeypatch, tmp_path, capsys):
    add_rows(tmp_path / "speed.csv", speed.COLUMNS, [row()])
    before = (tmp_path / "speed.csv").read_bytes()
    measured = row(ratio=ratio) | {"against": "torch.cdist", "target": "4", "bound_share": ""}
    monkeypatch.setattr(speed, "RESULTS", tmp_path / "speed.csv")
    monkeypatch.setattr(speed, "alone", lambda *arguments: measured)
    monkeypatch.setattr("sys.argv", ["speed.py", "--check", "--rows", "chamfer"])
    assert speed.main() == code
    assert said in capsys.readouterr().out
    assert (tmp_path / "speed.csv").read_bytes() == before
