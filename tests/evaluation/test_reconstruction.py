"""Reconstruction error, shape by shape."""

import numpy as np
import pytest
import torch

from pointvae.errors import InputError
from pointvae.evaluation import reconstruction
from pointvae.evaluation.reconstruction import draw_points, measure_reconstruction, reconstruct
from pointvae.evaluation.work import Work
from pointvae.geometry.distances import nearest_both_ways
from pointvae.geometry.fidelity import FIDELITY, fidelity
from pointvae.geometry.transport import EMD, earth_movers_distance
from tests.evaluation.shapes import make_model, make_shapes

SHAPES = make_shapes()


def chamfer_by_loops(a, b):
    there = np.mean([min(((p - q) ** 2).sum() for q in b) for p in a])
    back = np.mean([min(((p - q) ** 2).sum() for q in a) for p in b])
    return there + back


def test_the_error_is_the_chamfer_distance_to_the_input():
    model = make_model()
    found = reconstruct(model, SHAPES.points)
    with torch.no_grad():
        expected = model.reconstruct(torch.from_numpy(SHAPES.points)).numpy()
    np.testing.assert_allclose(found.points, expected, atol=1e-5)
    for cloud, made, error in zip(SHAPES.points, found.points, found.cd_l2_mean, strict=True):
        assert error == pytest.approx(chamfer_by_loops(cloud, made), rel=1e-4)


@pytest.mark.parametrize("batch_size", [1, 5, 50])
def test_the_batch_size_changes_nothing(batch_size):
    whole = reconstruct(make_model(), SHAPES.points, work=Work(12))
    found = reconstruct(make_model(), SHAPES.points, work=Work(batch_size))
    np.testing.assert_allclose(found.points, whole.points, atol=1e-5)
    np.testing.assert_allclose(found.cd_l2_mean, whole.cd_l2_mean, rtol=1e-4)


def test_points_that_do_not_exist_do_not_count():
    padded = SHAPES.points.copy()
    padded[:, 30:] = 50
    mask = np.arange(40) < np.full((len(SHAPES), 1), 30)
    found = reconstruct(make_model(), padded, mask)
    plain = reconstruct(make_model(), SHAPES.points[:, :30])
    np.testing.assert_allclose(found.points, plain.points, atol=1e-5)
    np.testing.assert_allclose(found.cd_l2_mean, plain.cd_l2_mean, rtol=1e-4)


def test_nothing_to_reconstruct_is_refused():
    with pytest.raises(InputError, match="no shape to reconstruct"):
        reconstruct(make_model(), SHAPES.points[:0])
    with pytest.raises(InputError, match="--batch_size 0"):
        reconstruct(make_model(), SHAPES.points, work=Work(0))


def spheres(n, points, seed):
    cloud = np.random.default_rng(seed).standard_normal((n, points, 3))
    return (cloud / np.linalg.norm(cloud, axis=2, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("name", [*FIDELITY, *EMD])
def test_each_measure_is_that_of_every_pair_in_its_place(name):
    clouds, made = spheres(20, 30, 0), spheres(20, 30, 1)
    found = measure_reconstruction(clouds, made, names=[name])
    x, y = (torch.from_numpy(each).double() for each in (made, clouds))
    pairs = list(zip(x.split(1), y.split(1), strict=True))
    if name in EMD:
        expected = np.array([float(earth_movers_distance(a, b, name)) for a, b in pairs])
    else:
        expected = np.array([float(fidelity(nearest_both_ways(a, b), name)) for a, b in pairs])
    np.testing.assert_allclose(found.arrays[name], expected, rtol=1e-4, atol=1e-6)
    told = found.figures["measures"][name]
    assert told["mean"] == pytest.approx(expected.mean(), rel=1e-4)
    assert told["median"] == pytest.approx(np.median(expected), rel=1e-4)
    assert told["standard_error"] == pytest.approx(expected.std(ddof=1) / np.sqrt(20), rel=1e-3)


def test_perfect_reconstructions_score_perfectly_and_other_samples_of_the_shape_score_the_floor():
    clouds = spheres(60, 100, 0)
    perfect = measure_reconstruction(clouds, clouds).figures["measures"]
    for name, told in perfect.items():
        assert told["mean"] == (1 if name.startswith("f_score") else 0)
    resampled = measure_reconstruction(clouds, spheres(60, 100, 1), names=["cd_l2_mean", "emd_l1_mean"])
    floor = resampled.figures["floor"]
    assert (floor["points"], floor["from"]) == (50, "halves of the points")
    for name, told in floor["reconstruction"].items():
        other = floor["same_shape"][name]
        error = np.hypot(told["standard_error"], other["standard_error"])
        assert abs(told["mean"] - other["mean"]) < 4 * error < 0.2 * told["mean"]
    bad = measure_reconstruction(clouds, 0.7 * spheres(60, 100, 1), names=["cd_l2_mean"]).figures["floor"]
    assert bad["reconstruction"]["cd_l2_mean"]["mean"] > 1.1 * bad["same_shape"]["cd_l2_mean"]["mean"]


def test_the_halves_of_the_floor_share_no_point():
    cloud = np.arange(30, dtype=np.float32).reshape(1, 10, 3)  # every two points lie 3√3 apart or more
    found = measure_reconstruction(cloud, cloud, names=["f_score_5"]).figures["floor"]
    assert found["same_shape"]["f_score_5"]["mean"] == 0


def test_other_points_of_the_shapes_give_a_floor_at_the_full_count():
    clouds, made, again = spheres(5, 40, 0), spheres(5, 40, 1), spheres(5, 40, 2)
    found = measure_reconstruction(clouds, made, again=again, names=["cd_l2_mean"]).figures
    assert (found["floor"]["points"], found["floor"]["from"]) == (40, "other points")
    assert found["floor"]["reconstruction"] == found["measures"]
    assert (
        found["floor"]["same_shape"]
        == measure_reconstruction(clouds, again, names=["cd_l2_mean"]).figures["measures"]
    )


def test_reconstructions_of_more_points_are_thinned_for_the_floor_and_for_emd(monkeypatch):
    monkeypatch.setattr(reconstruction, "EMD_POINTS", 25)
    found = measure_reconstruction(spheres(5, 40, 0), spheres(5, 90, 1)).figures
    assert (found["points"], found["made_points"], found["emd_points"]) == (40, 90, 25)
    assert (found["floor"]["points"], found["floor"]["made_points"], found["floor"]["emd_points"]) == (20, 20, 20)


@pytest.mark.parametrize(("quick", "count"), [(True, 50), (False, 200)])
def test_emd_sees_shapes_that_are_spread_over_the_places(quick, count):
    found = measure_reconstruction(spheres(300, 4, 0), spheres(300, 4, 1), names=["emd_l1_mean"], quick=quick)
    places = found.arrays["emd_places"]
    assert found.figures["emd_shapes"] == len(places) == len(found.arrays["emd_l1_mean"]) == count
    assert set(np.diff(places)) <= {300 // count, -(-300 // count)}


def test_threads_and_batches_change_no_digit_of_the_measures():
    clouds, made = spheres(40, 30, 0), spheres(40, 50, 1)
    expected = measure_reconstruction(clouds, made, work=Work(jobs=1))
    for work in (Work(jobs=2), Work(batch_size=1, jobs=3), Work(batch_size=500)):
        found = measure_reconstruction(clouds, made, work=work)
        assert found.figures == expected.figures
        assert all(np.array_equal(found.arrays[name], array) for name, array in expected.arrays.items())


def test_points_are_drawn_from_the_key_alone_and_keep_their_order():
    cloud = np.arange(30, dtype=np.float32).reshape(10, 3)
    drawn = draw_points(cloud, 4, (0, 1))
    assert np.array_equal(drawn, draw_points(cloud, 4, (0, 1)))
    assert not np.array_equal(drawn, draw_points(cloud, 4, (0, 2)))
    assert (np.diff(drawn[:, 0]) > 0).all() and len(drawn) == 4
    assert draw_points(cloud, 10, (0, 1)) is cloud


def test_what_cannot_be_measured_is_refused():
    clouds = spheres(3, 10, 0)
    with pytest.raises(InputError, match="no shape to measure"):
        measure_reconstruction(clouds[:0], clouds[:0])
    with pytest.raises(InputError, match="3 shapes and 2 reconstructions"):
        measure_reconstruction(clouds, clouds[:2])
    with pytest.raises(InputError, match="again"):
        measure_reconstruction(clouds, clouds, again=clouds[:, :5])
    with pytest.raises(InputError, match="not finite"):
        measure_reconstruction(clouds, clouds * np.float32(np.nan))
    with pytest.raises(InputError, match="measure cd: unknown"):
        measure_reconstruction(clouds, clouds, names=["cd"])
