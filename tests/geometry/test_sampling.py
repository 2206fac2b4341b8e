"""Random choices of points."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.geometry.sampling import random_subset, shuffled, systematic_choice


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(batch, n):
    """Clouds whose points tell where they come from."""
    return torch.arange(batch * n * 3, dtype=torch.float64).view(batch, n, 3)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 12), st.integers(0, 50))
@settings(max_examples=50, deadline=None)
def test_a_subset_is_of_the_clouds_own_points_each_at_most_once(batch, n, count, seed):
    points = numbered(batch, n)
    found = random_subset(points, count, gen(seed))
    assert found.shape == (batch, min(n, count), 3)
    for cloud, part in zip(points, found, strict=True):
        rows = {tuple(p) for p in part.tolist()}
        assert len(rows) == min(n, count) and rows <= {tuple(p) for p in cloud.tolist()}


def test_every_point_is_in_a_subset_equally_often_and_clouds_choose_for_themselves():
    points = numbered(1, 10).expand(20_000, -1, -1)
    found = random_subset(points, 3, gen())[..., 0] / 3
    share = torch.bincount(found.long().flatten(), minlength=10) / 20_000
    torch.testing.assert_close(share, torch.full_like(share, 0.3), atol=0.02, rtol=0)
    assert len(torch.unique(found.sort(dim=1).values, dim=0)) == 120


def test_a_subset_of_all_is_the_cloud_as_it_is():
    points = numbered(2, 5)
    assert random_subset(points, 5) is points


def test_a_shuffled_cloud_has_the_same_points_in_an_order_of_its_own():
    points = numbered(1, 6).expand(6_000, -1, -1)
    found = shuffled(points, gen())
    assert torch.equal(found.sort(dim=1).values, points)
    first = torch.bincount((found[:, 0, 0] / 3).long(), minlength=6) / 6_000
    torch.testing.assert_close(first, torch.full_like(first, 1 / 6), atol=0.03, rtol=0)
    assert len(torch.unique(found[..., 0], dim=0)) > 700  # of 720 orders


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(lambda w: sum(w) > 0),
    st.integers(1, 20),
    st.integers(0, 50),
)
@settings(max_examples=100, deadline=None)
def test_an_index_is_chosen_as_often_as_its_weight_says_rounded_down_or_up(weights, count, seed):
    w = torch.tensor([weights], dtype=torch.float64)
    w = w / w.sum()
    index = systematic_choice(w, count, gen(seed))
    assert index.shape == (1, count) and index.dtype == torch.int64
    assert torch.equal(index, index.sort(dim=1).values)
    times = torch.bincount(index[0], minlength=len(weights))
    assert ((times - count * w[0]).abs() < 1 + 1e-9).all()
    assert (times[w[0] == 0] == 0).all()


def test_the_number_of_times_is_right_on_average():
    w = torch.tensor([[0.05, 0.0, 0.33, 0.62]], dtype=torch.float64)
    index = systematic_choice(w.expand(20_000, -1), 3, gen())
    share = torch.bincount(index.flatten(), minlength=4) / 20_000
    torch.testing.assert_close(share.double(), 3 * w[0], atol=0.02, rtol=0)


@pytest.mark.parametrize("start", [0.0, 0.5, 1.0 - 2.0**-24])
def test_no_extreme_draw_chooses_a_weight_of_zero(monkeypatch, start):
    """A start of 0 falls on the first index; rounding can carry the last place past the end."""
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.full(shape, start))
    w = torch.tensor([[0.0, 0.1, 0.0, 0.2, 0.7, 0.0], [0.0, 0.3, 0.3, 0.1, 0.3, 0.0]])
    index = systematic_choice(w, 64)
    assert (w.gather(1, index) > 0).all()
