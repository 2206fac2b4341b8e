"""Nearest neighbours against brute force."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.geometry import chunks
from pointvae.geometry.neighbours import knn, neighbours_of
from tests.geometry.memory import largest_tensor


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


@pytest.mark.parametrize("channels", [3, 64])
def test_the_nearest_of_many_are_the_first_of_a_sort_by_distance(channels):
    g = torch.Generator().manual_seed(0)
    points = torch.randn(2, 700, channels, dtype=torch.float64, generator=g)
    mask = torch.arange(700).expand(2, -1) < torch.tensor([[700], [500]])
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    expected = distances.masked_fill(~mask.unsqueeze(1), torch.inf).sort(dim=2).indices[..., :20]
    assert torch.equal(knn(points, 20, mask)[mask], expected[mask])
    assert torch.equal(neighbours_of(points, points, 20, mask), expected)
    # in single precision rounding may swap what is equally far to six digits
    single = distances.gather(2, neighbours_of(points.float(), points.float(), 20, mask))
    torch.testing.assert_close(single, distances.gather(2, expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [3, 64])
def test_equally_near_points_come_in_their_order(channels):
    points = torch.zeros(1, 90, channels)
    assert neighbours_of(points, points, 20).eq(torch.arange(20)).all()
    others = torch.arange(90).expand(90, 90)[~torch.eye(90, dtype=torch.bool)].view(1, 90, 89)
    assert torch.equal(knn(points, 20)[..., 1:], others[..., :19])
    mask = torch.arange(90).unsqueeze(0) % 3 == 1
    assert neighbours_of(points, points, 20, mask).eq(torch.arange(1, 60, 3)).all()


def test_a_nan_gives_indices_all_the_same():
    points = torch.randn(1, 200, 3, generator=torch.Generator().manual_seed(0))
    queries, points[0, 5] = points[:, :4].clone(), torch.nan
    found = neighbours_of(queries, points, 20)
    assert found.shape == (1, 4, 20) and (found >= 0).all() and (found < 200).all()


@pytest.mark.parametrize("channels", [3, 64])
def test_half_precision_features_have_the_neighbours_of_single(channels):
    points = torch.randn(2, 60, channels, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(knn(points, 8), knn(points.float(), 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(knn(points.float(), 8), knn(points, 8))


def test_no_table_of_all_pairs_is_ever_held(monkeypatch):
    monkeypatch.setattr(chunks, "CPU_BYTES", 2**14)
    points = torch.randn(2, 500, 8)
    assert largest_tensor(lambda: knn(points, 5)) < 2 * 500 * 500 / 20
