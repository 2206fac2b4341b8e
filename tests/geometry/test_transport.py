"""Exact earth mover's distance against every permutation there is."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.errors import InputError
from pointvae.geometry.transport import EMD, earth_movers_distance


def clouds(batch: int, points: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(batch, points, 3, generator=generator) for _ in range(2))


def emd_by_permutations(x: np.ndarray, y: np.ndarray, power: int) -> float:
    way = [[float(np.linalg.norm(p - q)) ** power for q in y] for p in x]
    n = len(x)
    return min(sum(way[i][order[i]] for i in range(n)) / n for order in permutations(range(n)))


@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 99), st.sampled_from(EMD))
@settings(max_examples=40, deadline=None)
def test_emd_is_the_least_mean_cost_over_all_permutations(batch, points, seed, convention):
    x, y = clouds(batch, points, seed)
    power = 1 if convention == "emd_l1_mean" else 2
    expected = [emd_by_permutations(a, b, power) for a, b in zip(x.double().numpy(), y.double().numpy(), strict=True)]
    np.testing.assert_allclose(earth_movers_distance(x, y, convention).numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("convention", EMD)
def test_emd_of_a_permuted_cloud_is_zero(convention):
    x, _ = clouds(2, 60, 0)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    assert (earth_movers_distance(x, x[:, order], convention) == 0).all()


def test_emd_of_a_translated_cloud_is_the_way_it_went():
    x, _ = clouds(1, 60, 0)
    moved = x[:, torch.randperm(60, generator=torch.Generator().manual_seed(1))] + torch.tensor([0.0, 3.0, 4.0])
    assert float(earth_movers_distance(x, moved)) == pytest.approx(5, rel=1e-6)
    assert float(earth_movers_distance(x, moved, "emd_l2_mean")) == pytest.approx(25, rel=1e-6)


def test_each_convention_is_the_optimum_of_its_own_cost():
    # on a line, one long and one zero step cost less by length than by squares
    x, y = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0]]]), torch.tensor([[[1.0, 0, 0], [1.9, 0.5, 0]]])
    by_length, by_square = (float(earth_movers_distance(x, y, name)) for name in EMD)
    assert by_length == pytest.approx(np.hypot(1.9, 0.5) / 2)
    assert by_square == pytest.approx((1 + 0.9**2 + 0.5**2) / 2)


def test_what_cannot_be_matched_is_refused_by_name():
    x, y = clouds(2, 4, 0)
    with pytest.raises(InputError, match=r"\[2, 4, 3\] and \[2, 3, 3\] differ"):
        earth_movers_distance(x, y[:, :3])
    with pytest.raises(InputError, match="differ"):
        earth_movers_distance(x, y[:1])
    with pytest.raises(InputError, match="emd_l3: unknown; choose from emd_l1_mean, emd_l2_mean"):
        earth_movers_distance(x, y, "emd_l3")
