"""F-score and density-aware Chamfer distance against loops over points."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.errors import InputError
from pointvae.geometry.distances import CHAMFER, nearest_both_ways
from pointvae.geometry.fidelity import FIDELITY, density_aware_chamfer, f_score, fidelity

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7))


def clouds(sizes: tuple[int, int, int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    batch, n, m = sizes
    return tuple(torch.randn(batch, k, 3, generator=generator, dtype=torch.float64) for k in (n, m))


def f_score_by_loops(x: np.ndarray, y: np.ndarray, threshold: float) -> float:
    precision = np.mean([any(np.linalg.norm(p - q) < threshold for q in y) for p in x])
    recall = np.mean([any(np.linalg.norm(p - q) < threshold for p in x) for q in y])
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def dcd_by_loops(x: np.ndarray, y: np.ndarray, alpha: float) -> float:
    def one_way(a, b):
        chosen = [min(range(len(b)), key=lambda j, p=p: ((p - b[j]) ** 2).sum()) for p in a]
        total = 0.0
        for p, j in zip(a, chosen, strict=True):
            weight = min(1.0, len(a) / len(b) / chosen.count(j))
            total += 1 - weight * math.exp(-alpha * ((p - b[j]) ** 2).sum())
        return total / len(a)

    return (one_way(x, y) + one_way(y, x)) / 2


@given(SIZES, st.integers(0, 99), st.floats(0.2, 4))
@settings(max_examples=40, deadline=None)
def test_the_f_score_equals_loops_over_points(sizes, seed, threshold):
    x, y = clouds(sizes, seed)
    expected = [f_score_by_loops(a, b, threshold) for a, b in zip(x.numpy(), y.numpy(), strict=True)]
    np.testing.assert_allclose(f_score(nearest_both_ways(x, y), threshold).numpy(), expected, rtol=1e-9)


@given(SIZES, st.integers(0, 99), st.floats(0.1, 10))
@settings(max_examples=40, deadline=None)
def test_density_aware_chamfer_equals_loops_over_points(sizes, seed, alpha):
    x, y = clouds(sizes, seed)
    expected = [dcd_by_loops(a, b, alpha) for a, b in zip(x.numpy(), y.numpy(), strict=True)]
    np.testing.assert_allclose(density_aware_chamfer(nearest_both_ways(x, y), alpha).numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("name", [*FIDELITY, "f_score_1.5", "dcd_a0.5"])
def test_points_that_do_not_exist_do_not_count(name):
    x, y = clouds((3, 6, 5), 1)
    junk = torch.full((3, 2, 3), 0.01, dtype=x.dtype)  # near everything, so that leaks would win
    x_mask, y_mask = (torch.cat([torch.ones(c.shape[:2]), torch.zeros(3, 2)], 1).bool() for c in (x, y))
    padded = nearest_both_ways(torch.cat([x, junk], 1), torch.cat([y, junk], 1), x_mask, y_mask)
    torch.testing.assert_close(fidelity(padded, name), fidelity(nearest_both_ways(x, y), name))


def test_a_cloud_against_itself_is_perfect_and_far_clouds_are_the_worst():
    x, _ = clouds((2, 30, 1), 0)
    same, far = nearest_both_ways(x, x), nearest_both_ways(x, x + 1000)
    assert (f_score(same, 0.02) == 1).all() and (density_aware_chamfer(same) == 0).all()
    assert (f_score(far, 0.02) == 0).all() and (density_aware_chamfer(far) == 1).all()


def test_density_aware_chamfer_sees_crowding_that_the_chamfer_distance_does_not():
    corners = torch.eye(3).repeat(4, 1).unsqueeze(0)  # four points at each of three corners
    crowded = torch.eye(3)[[0] * 10 + [1, 2]].unsqueeze(0)  # ten at one
    near = nearest_both_ways(corners, crowded)
    assert float(CHAMFER["cd_l2_mean"](near)) == 0
    assert float(density_aware_chamfer(near)) > 0.5


def test_every_default_measure_has_the_name_that_makes_it():
    x, y = clouds((2, 9, 11), 3)
    near = nearest_both_ways(x, y)
    torch.testing.assert_close(fidelity(near, "f_score_0.05"), f_score(near, 0.05))
    torch.testing.assert_close(fidelity(near, "dcd_a100"), density_aware_chamfer(near, 100))
    torch.testing.assert_close(fidelity(near, "cd_l1_max"), CHAMFER["cd_l1_max"](near))


@pytest.mark.parametrize("name", ["cd", "f_score_near", "dcd_a", "f_score_0", "f_score_nan", "dcd_a-1", "dcd_ainf"])
def test_an_unknown_or_senseless_measure_is_refused(name):
    x, y = clouds((1, 3, 3), 0)
    with pytest.raises(InputError, match=r"unknown; choose from|must be positive"):
        fidelity(nearest_both_ways(x, y), name)
