"""Farthest point sampling against loops over points."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.errors import InputError
from pointvae.geometry.farthest import farthest_points
from tests.geometry.memory import largest_tensor


def by_loops(cloud: torch.Tensor, count: int, there: list[int], first: int | None) -> list[int]:
    """The choice from one cloud (N, C), each distance measured anew for each point and step."""

    def away(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a - b).square().sum())

    if first is None:
        middle = cloud[there].mean(dim=0)
        first = max(there, key=lambda i: (away(cloud[i], middle), -i))
    chosen = [first]
    while len(chosen) < count:
        chosen.append(max(there, key=lambda i: (min(away(cloud[i], cloud[j]) for j in chosen), -i)))
    return chosen


@given(
    st.integers(1, 3), st.integers(1, 12), st.integers(1, 4), st.integers(1, 15), st.integers(0, 50), st.booleans()
)
@settings(max_examples=80, deadline=None)
def test_the_choice_is_that_of_loops_over_points(batch, n, channels, count, seed, coarse):
    g = torch.Generator().manual_seed(seed)
    points = torch.randn(batch, n, channels, dtype=torch.float64, generator=g)
    if coarse:  # equals and coinciding points; the means of 4 quarters are exact
        points = points.round()
    mask = torch.rand(batch, n, generator=g) < 0.7
    mask[:, n // 2] = True
    start = torch.full((batch,), n // 2)
    found = farthest_points(points, count, mask, start)
    assert found.shape == (batch, count) and found.dtype == torch.int64
    for row in range(batch):
        there = mask[row].nonzero().flatten().tolist()
        assert found[row].tolist() == by_loops(points[row], count, there, n // 2)
    if not coarse:
        for row, chosen in enumerate(farthest_points(points, count, mask)):
            assert chosen.tolist() == by_loops(points[row], count, mask[row].nonzero().flatten().tolist(), None)


def test_a_choice_starts_with_every_shorter_choice():
    points = torch.randn(2, 300, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(farthest_points(points, 100)[:, :30], farthest_points(points, 30))


def test_the_chosen_places_do_not_depend_on_the_order_of_points():
    points = torch.randn(1, 200, 3, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    assert torch.equal(order[farthest_points(points[:, order], 40)], farthest_points(points, 40))


def test_a_choice_of_all_points_is_of_each_once():
    points = torch.randn(3, 64, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(farthest_points(points, 64).sort(dim=1).values, torch.arange(64).expand(3, -1))


def test_points_that_do_not_exist_are_not_chosen_whatever_they_hold():
    points = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(50).expand(2, -1) < torch.tensor([[40], [9]])
    expected = farthest_points(points, 20, mask)
    assert (expected[0] < 40).all() and (expected[1] < 9).all()
    for junk in (torch.nan, torch.inf, 1e9):
        assert torch.equal(farthest_points(points.masked_fill(~mask.unsqueeze(2), junk), 20, mask), expected)


def test_digits_are_kept_far_from_the_origin_and_half_precision_is_measured_in_single():
    points = torch.randint(0, 40, (2, 80, 3), generator=torch.Generator().manual_seed(0)).float()
    start = torch.zeros(2, dtype=torch.int32)
    expected = farthest_points(points, 30, start=start)
    assert torch.equal(farthest_points(points + 100_000.0, 30, start=start), expected)
    assert torch.equal(farthest_points(points.bfloat16(), 30, start=start), expected)


def test_memory_is_that_of_the_points():
    points = torch.randn(2, 400, 3)
    assert largest_tensor(lambda: farthest_points(points, 200)) <= 2 * 400 * 3


@pytest.mark.parametrize(
    ("count", "start", "message"),
    [
        (0, None, "0 of 5 points asked for"),
        (2, torch.tensor([0]), r"give one index a cloud, \[2\]"),
        (2, torch.tensor([0.0, 1.0]), "give one index a cloud"),
        (2, torch.tensor([0, 5]), "no point of its cloud; give indices from 0 to 4"),
        (2, torch.tensor([-1, 0]), "no point of its cloud"),
        (2, torch.tensor([0, 4]), "no point of its cloud"),
    ],
)
def test_what_cannot_be_chosen_is_refused(count, start, message):
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    with pytest.raises(InputError, match=message):
        farthest_points(torch.zeros(2, 5, 3), count, mask, start)
    with pytest.raises(InputError, match="of 0 points"):
        farthest_points(torch.zeros(2, 0, 3), 1)
