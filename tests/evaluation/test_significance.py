"""Differences between runs, and over seeds."""

import numpy as np
import pytest
from scipy import stats

from pointvae.errors import InputError
from pointvae.evaluation.significance import over_seeds, paired_over_seeds, paired_test


def test_a_paired_test_counts_the_shapes_that_one_run_alone_gets_right():
    a = np.array([1, 1, 0, 0, 0, 0, 1, 1], bool)
    b = np.array([1, 0, 1, 1, 1, 1, 1, 0], bool)
    found = paired_test(a, b)
    assert (found["both"], found["only_a"], found["only_b"], found["neither"], found["n"]) == (2, 2, 4, 0, 8)
    assert found["difference"] == pytest.approx(found["accuracy_b"] - found["accuracy_a"]) == 0.25
    low, high = found["interval"]
    assert low < 0.25 < high
    ways = [stats.binom.pmf(k, 6, 0.5) for k in range(7)]
    assert found["p_value"] == pytest.approx(sum(p for p in ways if p <= ways[4] + 1e-12))


def test_a_run_beside_itself_differs_by_nothing():
    right = np.arange(50) % 3 == 0
    found = paired_test(right, right)
    assert found["difference"] == 0 and found["interval"] == [0, 0] and found["p_value"] == 1


def test_a_clear_difference_is_found_and_chance_seldom_is():
    rng = np.random.default_rng(0)
    base = rng.random(500) < 0.6
    assert paired_test(base, base | (rng.random(500) < 0.1))["p_value"] < 1e-3
    false = [paired_test(rng.random(200) < 0.7, rng.random(200) < 0.7)["p_value"] < 0.05 for _ in range(200)]
    assert np.mean(false) < 0.09


@pytest.mark.parametrize(("a", "b"), [([1, 0], [1]), ([], [])])
def test_other_shapes_are_refused(a, b):
    with pytest.raises(InputError, match="a paired test needs the same shapes of both runs"):
        paired_test(a, b)


def test_the_spread_over_seeds_is_scipys():
    values = [0.81, 0.84, 0.80, 0.83]
    found = over_seeds(values)
    assert found["mean"] == pytest.approx(0.82) and found["n"] == 4
    assert found["standard_deviation"] == pytest.approx(np.std(values, ddof=1))
    expected = stats.t.interval(0.95, 3, loc=0.82, scale=stats.sem(values))
    assert found["interval"] == pytest.approx(list(expected))


def test_one_seed_has_no_spread_and_none_is_refused():
    assert over_seeds([0.5]) == {"n": 1, "mean": 0.5, "standard_deviation": None, "interval": None}
    with pytest.raises(InputError, match="no run"):
        over_seeds([])


def test_differences_over_seeds_are_paired():
    a, b = [0.1, 0.5, 0.9], [0.2, 0.6, 1.0]
    assert paired_over_seeds(a, b)["interval"] == pytest.approx([0.1, 0.1])
    with pytest.raises(InputError, match="got 3 and 2 runs"):
        paired_over_seeds(a, b[:2])
