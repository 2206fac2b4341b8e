"""Measures of generated sets against planted answers and readable second implementations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.errors import InputError
from pointvae.evaluation import generation
from pointvae.evaluation.generation import (
    GRID,
    coverage,
    jensen_shannon,
    measure_generation,
    minimum_matching_distance,
    nearest_neighbour_accuracy,
    occupied_cells,
)
from pointvae.evaluation.work import Work
from pointvae.geometry.distances import chamfer_distance
from pointvae.geometry.transport import earth_movers_distance

DISTANCES = ["cd_l2_mean", "emd_l1_mean"]


def boxes(n: int, seed: int, points: int = 16) -> np.ndarray:
    """Boxes of random sizes within the unit sphere."""
    rng = np.random.default_rng(seed)
    cloud = rng.uniform(-0.5, 0.5, (n, points, 3)) * rng.uniform(0.2, 1, (n, 1, 3))
    return cloud.astype(np.float32)


def value(found, row, name):
    return found.figures[row][name]["value"]


@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_scores_equal_loops_over_shapes(s, r, seed):
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((s + r, 2))
    table = np.linalg.norm(places[:, None] - places[None], axis=2)
    between = table[:s, s:]
    covered = {min(range(r), key=lambda j, i=i: between[i, j]) for i in range(s)}
    right = 0
    for i in range(s + r):
        near = min((k for k in range(s + r) if k != i), key=lambda k, i=i: table[i, k])
        right += (near < s) == (i < s)
    assert coverage(between) == len(covered) / r
    assert minimum_matching_distance(between) == pytest.approx([min(between[:, j]) for j in range(r)])
    assert nearest_neighbour_accuracy(table[:s, :s], between, table[s:, s:]) == pytest.approx(right / (s + r))


def test_ties_between_the_sets_count_as_the_share_of_the_own():
    # all shapes alike: of 5 others at distance 0, 2 are of a sample's own set and 3 of the other, and so on
    found = nearest_neighbour_accuracy(np.zeros((3, 3)), np.zeros((3, 3)), np.zeros((3, 3)))
    assert found == pytest.approx(2 / 5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_measures_equal_those_of_matrices_made_pair_by_pair(distance):
    samples, reference = boxes(6, 0, points=5), boxes(6, 1, points=5)
    found = measure_generation(samples, reference)
    pair = chamfer_distance if distance == "cd_l2_mean" else earth_movers_distance
    everything = torch.from_numpy(np.concatenate([samples, reference])).double()
    table = np.array([[float(pair(a[None], b[None])) for b in everything] for a in everything])
    own, between, among = table[:6, :6], table[:6, 6:], table[6:, 6:]
    assert value(found, "samples", f"mmd_{distance}") == pytest.approx(between.min(axis=0).mean())
    assert value(found, "samples", f"cov_{distance}") == coverage(between)
    expected = nearest_neighbour_accuracy(own, between, among)
    assert value(found, "samples", f"1_nna_{distance}") == pytest.approx(expected)
    per_shape = found.arrays[f"mmd_{distance}"]
    np.testing.assert_allclose(per_shape, between.min(axis=0)[found.arrays["places"]], rtol=1e-9)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_set_against_itself_is_covered_at_no_distance_and_gives_itself_away_as_a_copy(distance):
    found = measure_generation(boxes(12, 0), boxes(12, 0))
    assert value(found, "samples", f"mmd_{distance}") == pytest.approx(0, abs=1e-12)
    assert value(found, "samples", f"cov_{distance}") == 1
    assert value(found, "samples", f"1_nna_{distance}") == 0
    assert value(found, "samples", "jsd") == 0


def test_two_draws_of_one_distribution_cannot_be_told_apart():
    found = measure_generation(boxes(100, 0), boxes(100, 1), quick=True)
    for name in ("1_nna_cd_l2_mean", "1_nna_emd_l1_mean"):
        told = found.figures["samples"][name]
        assert abs(told["value"] - 0.5) < 3 * told["standard_error"] < 0.4


@pytest.mark.parametrize("distance", DISTANCES)
def test_one_shape_again_and_again_covers_one_and_is_told_apart(distance):
    reference = boxes(20, 0)
    found = measure_generation(np.repeat(boxes(1, 1), 20, axis=0), reference)
    assert value(found, "samples", f"cov_{distance}") == 1 / 20
    assert value(found, "samples", f"1_nna_{distance}") > 0.9


@pytest.mark.parametrize("distance", DISTANCES)
def test_sets_far_from_each_other_are_always_told_apart(distance):
    near, far = boxes(10, 0) * 0.3, boxes(10, 1) * 0.3 + np.float32([0.6, 0, 0])
    found = measure_generation(far, near)
    assert value(found, "samples", f"1_nna_{distance}") == 1
    assert value(found, "samples", "jsd") == pytest.approx(1)  # bits


def test_real_shapes_are_scored_as_if_they_were_samples():
    real, reference = boxes(12, 2), boxes(12, 1)
    found = measure_generation(boxes(12, 0), reference, real=real)
    assert found.figures["real"].keys() == found.figures["samples"].keys()
    as_samples = measure_generation(real, reference).figures["samples"]
    for name, told in found.figures["real"].items():
        assert told["value"] == pytest.approx(as_samples[name]["value"])
    assert "real" not in measure_generation(real, reference).figures


def test_the_standard_error_is_near_the_spread_over_fresh_draws():
    told = [
        measure_generation(boxes(40, 2 * k), boxes(40, 2 * k + 1), quick=True).figures["samples"] for k in range(12)
    ]
    for name in ("mmd_cd_l2_mean", "1_nna_cd_l2_mean"):
        spread = np.std([each[name]["value"] for each in told], ddof=1)
        assert 0.4 < np.mean([each[name]["standard_error"] for each in told]) / spread < 2.5


def test_cells_are_those_of_a_loop_over_points():
    cloud = np.float32([[[-1, -1, -1], [0.999, 0.999, 0.999], [0.01, -0.01, 0.5], [7, -7, 0], [1, 1, 1]]])
    expected = []
    for point in cloud[0]:
        place = [min(max(math.floor((float(x) + 1) * GRID / 2), 0), GRID - 1) for x in point]
        expected.append(place[0] * GRID**2 + place[1] * GRID + place[2])
    assert occupied_cells(cloud).tolist() == [expected]
    assert expected[0] == 0 and expected[1] == expected[4] == GRID**3 - 1


def test_the_divergence_is_that_of_scipy_in_bits():
    from scipy.spatial.distance import jensenshannon

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 50, 400), rng.integers(20, 90, 300)
    p, q = (np.bincount(cells, minlength=90) / len(cells) for cells in (a, b))
    assert jensen_shannon(a, b) == pytest.approx(jensenshannon(p, q, base=2) ** 2)


def test_every_set_has_as_many_shapes_and_points_as_the_smallest(monkeypatch):
    monkeypatch.setattr(generation, "EMD_POINTS", 8)
    monkeypatch.setattr(generation, "EMD_SHAPES", 5)
    found = measure_generation(boxes(9, 0, 20), boxes(7, 1, 12), real=boxes(30, 2, 40)).figures
    assert (found["shapes"], found["points"], found["emd_shapes"], found["emd_points"]) == (7, 12, 5, 8)
    assert found["available"]["real"] == {"shapes": 30, "points": 40}


def test_threads_batches_and_the_store_change_no_digit(tmp_path):
    sets = {"real": boxes(40, 2)}
    expected = measure_generation(boxes(40, 0), boxes(40, 1), **sets, quick=True, work=Work(jobs=1))
    for work, store in ((Work(jobs=2), None), (Work(batch_size=1, jobs=3), tmp_path), (Work(jobs=1), tmp_path)):
        found = measure_generation(boxes(40, 0), boxes(40, 1), **sets, quick=True, store=store, work=work)
        assert found.figures == expected.figures
        assert all(np.array_equal(found.arrays[name], array) for name, array in expected.arrays.items())


def test_the_standard_error_is_the_spread_over_random_halves_of_both_sets():
    samples, reference = boxes(11, 0), boxes(11, 1)
    found = measure_generation(samples, reference).figures["samples"]
    drawn = [
        each[np.random.default_rng((0, 0, stream)).permutation(11)]
        for stream, each in enumerate((samples, reference))
    ]
    rng, values = np.random.default_rng((0, 2)), []
    for _ in range(100):
        a, b = (torch.from_numpy(each[np.sort(rng.permutation(11)[:5])]).double() for each in drawn)
        both = torch.cat([a, b])
        table = np.stack([chamfer_distance(both, each.expand_as(both)).numpy() for each in both])
        values.append(nearest_neighbour_accuracy(table[:5, :5], table[:5, 5:], table[5:, 5:]))
    assert found["1_nna_cd_l2_mean"]["standard_error"] == pytest.approx(np.std(values, ddof=1))


def test_another_seed_draws_other_shapes():
    places = [measure_generation(boxes(5, 0), boxes(30, 1), seed=seed).arrays["places"] for seed in (0, 0, 1)]
    assert np.array_equal(places[0], places[1]) and not np.array_equal(places[0], places[2])


def test_another_seed_draws_other_points():
    found = [measure_generation(boxes(9, 0, 20), boxes(9, 1), seed=seed) for seed in (0, 1)]
    assert value(found[0], "samples", "mmd_cd_l2_mean") != value(found[1], "samples", "mmd_cd_l2_mean")


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match=r"samples: 3 clouds of shape \(16, 3\); a set needs at least 4"):
        measure_generation(boxes(3, 0), boxes(9, 1))
    broken = boxes(9, 0)
    broken[2, 3, 1] = np.nan
    with pytest.raises(InputError, match="real: 1 of 9 clouds hold coordinates that are not finite"):
        measure_generation(boxes(9, 1), boxes(9, 2), real=broken)
