"""Mutual information and distances to the prior: planted answers, and the direct forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from pointvae.evaluation.features import Codes
from pointvae.evaluation.information import (
    _kernel,
    _Mixture,
    information_by_dimension,
    measure_information,
    posterior_information,
    prior_distance,
)
from pointvae.evaluation.work import Work


def posteriors(n=30, dim=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, dim)).astype(np.float32), rng.uniform(0.2, 1.2, (n, dim)).astype(np.float32)


def codes_of(mean, std):
    return Codes(mean.astype(np.float32), std.astype(np.float32), np.zeros((len(mean), 2), np.float32))


def test_a_collapsed_posterior_tells_nothing_and_is_the_prior():
    found = posterior_information(np.zeros((40, 3)), np.ones((40, 3)))
    assert found.mutual_information == pytest.approx(0, abs=1e-12)
    assert found.marginal_kl == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(found.per_dimension, 0, atol=1e-6)
    np.testing.assert_allclose(found.marginal_kl_per_dimension, 0, atol=1e-6)
    assert not found.saturated and found.standard_error < 1e-12


def test_a_constant_latent_tells_nothing_and_lies_as_far_from_the_prior_as_its_kl():
    found = posterior_information(np.full((40, 2), 0.7), np.full((40, 2), 0.3))
    expected = 2 * (0.5 * (0.7**2 + 0.3**2 - 1) - math.log(0.3))
    assert found.mutual_information == pytest.approx(0, abs=1e-12)
    assert found.marginal_kl == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(found.marginal_kl_per_dimension, expected / 2, rtol=1e-6)
    assert found.total_correlation == pytest.approx(0, abs=1e-6)


def test_narrow_posteriors_far_apart_tell_each_shape_and_are_called_saturated():
    mean = np.random.default_rng(0).standard_normal((64, 8)) * 5
    found = posterior_information(mean, np.full((64, 8), 1e-3))
    assert found.mutual_information == pytest.approx(math.log(64), rel=1e-9) == found.ceiling
    assert found.saturated
    np.testing.assert_allclose(found.per_dimension, math.log(64), atol=0.3)


def test_two_clusters_tell_one_bit():
    mean = np.where(np.arange(60)[:, None] % 2 == 0, -4.0, 4.0) * np.array([1.0, 0.0])
    found = posterior_information(mean, np.full((60, 2), 0.1))
    assert found.mutual_information == pytest.approx(math.log(2), rel=1e-9)
    np.testing.assert_allclose(found.per_dimension, [math.log(2), 0], atol=1e-6)
    assert not found.saturated


def test_the_information_of_a_gaussian_channel_is_the_textbook_one():
    rng = np.random.default_rng(1)
    signal = rng.standard_normal((2000, 1))
    signal = (signal - signal.mean()) / signal.std() * 0.8
    found = posterior_information(signal, np.full_like(signal, 0.6))
    expected = 0.5 * math.log(1 + 0.8**2 / 0.6**2)  # and its marginal is the prior, as 0.64 + 0.36 = 1
    assert found.standard_error < 0.02
    assert found.mutual_information == pytest.approx(expected, abs=0.02 + 3 * found.standard_error)
    assert found.per_dimension[0] == pytest.approx(expected, abs=0.02)
    assert found.marginal_kl == pytest.approx(0, abs=0.02 + 3 * found.standard_error)


def test_the_estimate_equals_a_slow_second_implementation():
    mean, std = posteriors(9)
    found = posterior_information(mean, std, draws=3, seed=5)
    m, s, ratios = mean.astype(float), std.astype(float), []
    for i in range(9):
        noise = np.random.default_rng((5, 0, i)).standard_normal((3, 3))
        for z in m[i] + s[i] * noise:
            densities = [np.prod(norm.pdf(z, m[j], s[j])) for j in range(9)]
            ratios.append(math.log(densities[i]) - math.log(np.mean(densities)))
    table = np.array(ratios).reshape(9, 3)
    assert found.mutual_information == pytest.approx(table.mean(), rel=1e-9)
    assert found.standard_error == pytest.approx(math.sqrt(table.var(axis=1, ddof=1).sum() / 3) / 9, rel=1e-9)
    np.testing.assert_allclose(found.each, table.mean(axis=1), rtol=1e-9)


@given(offset=st.floats(-50, 50), narrow=st.floats(1e-3, 1), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_expanded_square_agrees_with_the_direct_one(offset, narrow, seed):
    rng = np.random.default_rng(seed)
    mean, std = offset + rng.standard_normal((12, 5)), narrow * rng.uniform(0.5, 2, (12, 5))
    z = (mean + std * rng.standard_normal((12, 5)))[:4]
    found = _Mixture(mean - offset, std).log_density(z - offset)
    direct = norm.logpdf(z[:, None], mean, std).sum(axis=2) + 2.5 * math.log(2 * math.pi)
    np.testing.assert_allclose(found, np.logaddexp.reduce(direct, axis=1) - math.log(12), rtol=1e-7, atol=1e-6)


def test_each_dimensions_information_and_distance_agree_with_quadrature():
    mean, std = (part.astype(float) for part in posteriors(6, 2))
    information, marginal = information_by_dimension(mean, std)
    for d in range(2):

        def q(z, d=d):
            return norm.pdf(z, mean[:, d], std[:, d]).mean()

        def integral(f):
            return quad(f, -12, 12, limit=400, points=[-3, -1, 0, 1, 3])[0]

        entropy = -integral(lambda z: q(z) * math.log(q(z)) if q(z) > 0 else 0.0)
        distance = integral(lambda z: q(z) * (math.log(q(z)) - norm.logpdf(z)) if q(z) > 0 else 0.0)
        assert information[d] == pytest.approx(entropy - norm.entropy(mean[:, d], std[:, d]).mean(), abs=1e-5)
        assert marginal[d] == pytest.approx(distance, abs=1e-5)


def test_posteriors_too_narrow_for_the_grid_never_tell_more_than_they_hold():
    mean = np.linspace(0, 100, 50)[:, None] ** 2
    information, _ = information_by_dimension(mean, np.full((50, 1), 1e-4))
    assert 0.8 * math.log(50) < information[0] < math.log(50)


def test_the_parts_of_the_kl_add_up():
    found = posterior_information(*posteriors(200))
    assert found.mutual_information + found.marginal_kl == pytest.approx(found.kl)
    assert found.total_correlation + found.marginal_kl_per_dimension.sum() == pytest.approx(found.marginal_kl)
    alone = [posterior_information(*(p[:, d : d + 1] for p in posteriors(200)), draws=50) for d in range(3)]
    for d, single in enumerate(alone):
        assert found.per_dimension[d] == pytest.approx(single.mutual_information, abs=5 * single.standard_error)


def test_the_standard_error_is_the_spread_over_seeds():
    found = [posterior_information(*posteriors(25), seed=seed) for seed in range(30)]
    spread = np.std([f.mutual_information for f in found])
    assert np.mean([f.standard_error for f in found]) == pytest.approx(spread, rel=0.4)


def test_the_discrepancy_equals_a_slow_second_implementation():
    mean, std = posteriors(7)
    z = np.stack([mean[i] + std[i] * np.random.default_rng((3, 0, i)).standard_normal(3) for i in range(7)])
    p = np.stack([np.random.default_rng((3, 1, i)).standard_normal(3) for i in range(7)])

    def k(a, b):
        return 6 / (6 + sum((a[d] - b[d]) ** 2 for d in range(3)))

    pairs = [(i, j) for i in range(7) for j in range(7) if i != j]
    expected = np.mean([k(z[i], z[j]) + k(p[i], p[j]) - k(z[i], p[j]) - k(z[j], p[i]) for i, j in pairs])
    found = prior_distance(mean, std, seed=3)
    assert found["mmd2"] == pytest.approx(expected, rel=1e-6)
    assert _kernel(z, p)[2, 4] == pytest.approx(k(z[2], p[4]))


def test_the_discrepancy_finds_a_shift_and_nothing_where_there_is_nothing():
    shifted = prior_distance(np.full((150, 4), 0.7), np.ones((150, 4)))
    assert shifted["p_value"] < 0.01 and shifted["mmd2"] > 10 * abs(shifted["null_95"])
    p_values = [prior_distance(np.zeros((60, 4)), np.ones((60, 4)), seed=seed)["p_value"] for seed in range(40)]
    assert np.mean(np.array(p_values) < 0.1) < 0.3 and 0.3 < np.mean(p_values) < 0.7


def test_the_discrepancys_standard_error_is_the_spread_over_seeds():
    found = [prior_distance(np.full((80, 3), 0.7), np.ones((80, 3)), seed=seed) for seed in range(40)]
    assert np.mean([f["standard_error"] for f in found]) == pytest.approx(np.std([f["mmd2"] for f in found]), rel=0.4)


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_figures_are_the_same_for_every_number_of_threads(jobs):
    subjects = {"trained": codes_of(*posteriors(150, 20)), "untrained": codes_of(*posteriors(150, 20, seed=1))}
    one, other = (measure_information(subjects, [20], work=Work(jobs=j)) for j in (2, jobs))
    assert one.figures == other.figures
    np.testing.assert_array_equal(one.arrays["trained_log_ratio"], other.arrays["trained_log_ratio"])


def test_only_the_first_group_of_a_hierarchy_is_measured_and_that_is_said():
    mean, std = posteriors(20, 5)
    part = measure_information({"trained": codes_of(mean, std)}, [2, 3], quick=True)
    same = measure_information({"trained": codes_of(mean[:, :2], std[:, :2])}, [2], quick=True)
    assert part.figures["trained"] == same.figures["trained"]
    assert part.figures["dimensions"] == 2 and "first of 2" in part.figures["group"]
    assert "all" in same.figures["group"] and part.figures["draws"] == 2


def test_a_constant_latent_has_no_active_unit_and_no_information():
    part = measure_information({"trained": codes_of(np.full((30, 4), 0.5), np.full((30, 4), 0.5))}, [4])
    assert part.figures["trained"]["active_units"] == 0
    assert part.figures["trained"]["mutual_information"] == pytest.approx(0, abs=1e-12)
    assert max(part.figures["trained"]["mutual_information_per_dimension"]) < 1e-6


def test_one_shape_is_left_out_with_the_reason():
    figures = measure_information({"trained": codes_of(*posteriors(1))}, [3]).figures
    assert "1 shape" in figures["left_out"] and "trained" not in figures
