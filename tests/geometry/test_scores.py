"""What searches for nearest points are made of, against sorting."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pointvae.geometry.finite import binary_scale
from pointvae.geometry.scores import FEW, full_precision, least, least_few, score_tables

VALUES = st.sampled_from([-torch.inf, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, torch.inf, torch.nan])
TABLES = arrays(np.float32, st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 40)), elements=VALUES)


@given(TABLES, st.integers(0, 12))
@settings(max_examples=200, deadline=None)
def test_the_few_least_are_the_first_of_a_stable_sort(table, k):
    k = min(k, table.shape[2])
    values, index = least_few(torch.from_numpy(table), k)
    expected = np.argsort(table, axis=2, kind="stable")[:, :, :k]  # NaN last
    np.testing.assert_array_equal(index.numpy(), expected)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(table, expected, axis=2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_few_least_of_wide_tables_are_the_first_of_a_stable_sort(dtype):
    table = torch.randn(2, 50, 1000, dtype=dtype, generator=torch.Generator().manual_seed(0))
    table[0] = (4 * table[0]).round()  # many equals
    table[1, :10] = table[1, :10].sort(dim=1).values  # the nearest side by side
    _, index = least_few(table, 20)
    assert torch.equal(index, table.sort(dim=2, stable=True).indices[..., :20])


@given(TABLES)
@settings(max_examples=100, deadline=None)
def test_the_least_is_the_first_among_equals(table):
    expected = np.argsort(np.where(np.isnan(table), -np.inf, table), axis=2, kind="stable")[..., 0]
    there = ~np.isnan(table).any(axis=2)  # a NaN comes before all, and which does not matter
    np.testing.assert_array_equal(least(torch.from_numpy(table)).numpy()[there], expected[there])


@pytest.mark.parametrize("channels", [1, 3, FEW, FEW + 1, 20])
def test_scores_are_squared_distances_but_for_the_queries_own_squares(channels):
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(3, n, channels, dtype=torch.float64, generator=g) for n in (9, 7))
    mask = torch.arange(7).expand(3, 7) < torch.tensor([[7], [2], [5]])
    centre = (y * mask.unsqueeze(2)).sum(dim=1, keepdim=True) / mask.sum(dim=1).view(-1, 1, 1)
    own = (x - centre).square().sum(-1, keepdim=True)
    expected = (torch.cdist(x, y).square() - own).masked_fill(~mask.unsqueeze(1), torch.inf)
    found = torch.full_like(expected, torch.nan)
    for clouds, rows, table in score_tables(x, y, mask):
        found[clouds, rows] = table
    scale = binary_scale(x, y * mask.unsqueeze(2))
    assert (torch.frexp(scale).mantissa == 0.5).all()
    torch.testing.assert_close(found / scale.square(), expected)


@pytest.mark.parametrize("channels", [3, 64])
def test_autocast_leaves_scores_in_single_precision(channels):
    x = torch.randn(1, 50, channels, generator=torch.Generator().manual_seed(0))
    plain = [table.clone() for *_, table in score_tables(x, x, None)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (table,) = [table.clone() for *_, table in score_tables(x, x, None)]
    assert table.dtype == torch.float32 and torch.equal(table, plain[0])


def test_a_common_dtype_is_float32_or_more():
    half, single, double = torch.zeros(1).bfloat16(), torch.zeros(1), torch.zeros(1).double()
    assert [t.dtype for t in full_precision(half, half.half())] == [torch.float32] * 2
    assert [t.dtype for t in full_precision(half, single)] == [torch.float32] * 2
    assert [t.dtype for t in full_precision(single, double)] == [torch.float64] * 2
    assert full_precision(single)[0] is single
