"""Nearest neighbours against brute force."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.geometry import chunks
from pointvae.geometry.neighbours import knn, neighbours_of


@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 6), st.integers(1, 5), st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_knn_finds_the_nearest_points_in_order(batch, n, channels, k, seed):
    points = torch.randn(batch, n, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = knn(points, k)
    assert found.shape == (batch, n, k)
    distances = torch.cdist(points, points)
    for b in range(batch):
        for i in range(n):
            expected = distances[b, i].sort().values[: min(k, n)]
            torch.testing.assert_close(distances[b, i, found[b, i, : min(k, n)]], expected, atol=1e-6, rtol=1e-6)
            assert found[b, i, 0] == i
            assert (found[b, i, n:] == i).all()  # what is missing is the point itself


@given(st.integers(1, 6), st.integers(0, 4), st.integers(1, 8), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_absent_points_are_no_ones_neighbours(n, absent, k, seed):
    points = torch.randn(1, n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    padded = torch.cat([points, points[:, :1].expand(1, absent, 3)], dim=1)
    mask = torch.arange(n + absent).unsqueeze(0) < n
    found = knn(padded, k, mask)
    assert torch.equal(found[:, :n], knn(points, k))
    assert torch.equal(found[0, n:], torch.arange(n, n + absent).unsqueeze(1).expand(-1, k))


def test_a_point_is_its_own_first_neighbour_among_equals():
    points = torch.zeros(1, 5, 3)
    assert torch.equal(knn(points, 3)[0, :, 0], torch.arange(5))


@pytest.mark.parametrize("budget", [1, 100, 10**9])
def test_the_chunk_size_changes_nothing(monkeypatch, budget):
    points = torch.randn(3, 21, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(21).expand(3, 21) < torch.tensor([[21], [2], [9]])
    expected = knn(points, 4, mask)
    monkeypatch.setattr(chunks, "CPU_BYTES", budget)
    assert torch.equal(knn(points, 4, mask), expected)


@given(
    st.integers(1, 3), st.integers(1, 9), st.integers(1, 5), st.integers(0, 3), st.integers(1, 7), st.integers(0, 50)
)
@settings(max_examples=60, deadline=None)
def test_neighbours_of_other_points_are_the_nearest_that_exist_in_order(batch, n, count, absent, k, seed):
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(batch, count, 3, dtype=torch.float64, generator=generator)
    points = torch.randn(batch, n + absent, 3, dtype=torch.float64, generator=generator)
    mask = torch.arange(n + absent).expand(batch, -1) < n
    found = neighbours_of(queries, points, k, mask)
    assert found.shape == (batch, count, k) and (found < n).all()
    for b in range(batch):
        for q in range(count):
            order = sorted(range(n), key=lambda i: (queries[b, q] - points[b, i]).norm().item())
            assert found[b, q].tolist() == (order + [order[0]] * k)[:k]
    assert torch.equal(found, neighbours_of(queries, points[:, :n], k))


@pytest.mark.parametrize("budget", [1, 100, 10**9])
def test_the_chunk_size_changes_no_neighbours_of_other_points(monkeypatch, budget):
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(3, 13, 4, dtype=torch.float64, generator=generator)
    points = torch.randn(3, 21, 4, dtype=torch.float64, generator=generator)
    mask = torch.arange(21).expand(3, 21) < torch.tensor([[21], [2], [9]])
    expected = neighbours_of(queries, points, 4, mask)
    monkeypatch.setattr(chunks, "CPU_BYTES", budget)
    assert torch.equal(neighbours_of(queries, points, 4, mask), expected)
