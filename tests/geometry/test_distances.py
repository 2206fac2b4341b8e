"""Nearest points and the Chamfer distance against loops over points."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.errors import InputError
from pointvae.geometry import chunks
from pointvae.geometry.chunks import gather_points
from pointvae.geometry.distances import CHAMFER, chamfer_distance, chamfer_distances, nearest, nearest_indices
from pointvae.geometry.finite import unwatched
from tests.geometry.memory import largest_tensor

SIZES = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7))


def clouds(sizes: tuple[int, int, int], seed: int, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    batch, n, m = sizes
    return tuple(torch.randn(batch, k, 3, generator=generator, dtype=dtype) for k in (n, m))


def chamfer_by_loops(x: np.ndarray, y: np.ndarray) -> float:
    there = np.mean([min(((p - q) ** 2).sum() for q in y) for p in x])
    back = np.mean([min(((q - p) ** 2).sum() for p in x) for q in y])
    return float(there + back)


@given(SIZES, st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_chamfer_equals_loops_over_points(sizes, seed):
    x, y = clouds(sizes, seed)
    expected = [chamfer_by_loops(a, b) for a, b in zip(x.numpy(), y.numpy(), strict=True)]
    np.testing.assert_allclose(chamfer_distance(x, y).numpy(), expected, rtol=1e-9)


@given(SIZES, st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_a_masked_cloud_gives_what_the_shorter_cloud_gives(sizes, seed):
    x, y = clouds(sizes, seed)
    junk = torch.full((sizes[0], 2, 3), 0.01, dtype=x.dtype)  # near everything, so that leaks would win
    x_mask, y_mask = (torch.cat([torch.ones(c.shape[:2]), torch.zeros(sizes[0], 2)], 1).bool() for c in (x, y))
    padded = chamfer_distance(torch.cat([x, junk], 1), torch.cat([y, junk], 1), x_mask, y_mask)
    torch.testing.assert_close(padded, chamfer_distance(x, y))


@given(SIZES, st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_chamfer_ignores_the_order_of_points_and_swaps_its_arguments(sizes, seed):
    x, y = clouds(sizes, seed)
    order = torch.randperm(sizes[1], generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(chamfer_distance(x[:, order], y), chamfer_distance(x, y))
    torch.testing.assert_close(chamfer_distance(y, x), chamfer_distance(x, y))


def test_identical_float32_clouds_are_exactly_zero_apart():
    x, _ = clouds((2, 500, 1), 0, torch.float32)
    assert (chamfer_distance(x, x.clone()) == 0).all()


def test_distances_keep_their_digits_far_from_the_origin():
    x, y = clouds((2, 40, 50), 1)
    far = chamfer_distance(x.float() + 100.0, y.float() + 100.0)
    torch.testing.assert_close(far.double(), chamfer_distance(x, y), atol=1e-3, rtol=1e-3)


@given(SIZES, st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_every_convention_equals_loops_over_points(sizes, seed):
    x, y = clouds(sizes, seed)
    found = chamfer_distances(x, y)
    for row, (a, b) in enumerate(zip(x.numpy(), y.numpy(), strict=True)):
        f = [min(((p - q) ** 2).sum() for q in b) for p in a]
        g = [min(((q - p) ** 2).sum() for p in a) for q in b]
        expected = {
            "cd_l2_mean": np.mean(f) + np.mean(g),
            "cd_l2_half": (np.mean(f) + np.mean(g)) / 2,
            "cd_l2_sum": np.sum(f) + np.sum(g),
            "cd_l1_half": (np.mean(np.sqrt(f)) + np.mean(np.sqrt(g))) / 2,
            "cd_l1_max": max(np.mean(np.sqrt(f)), np.mean(np.sqrt(g))),
        }
        assert {name: float(value[row]) for name, value in found.items()} == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", CHAMFER)
def test_no_convention_counts_points_that_do_not_exist(name):
    x, y = clouds((3, 6, 5), 1)
    junk = torch.full((3, 2, 3), 0.01, dtype=x.dtype)
    x_mask, y_mask = (torch.cat([torch.ones(c.shape[:2]), torch.zeros(3, 2)], 1).bool() for c in (x, y))
    padded = chamfer_distances(torch.cat([x, junk], 1), torch.cat([y, junk], 1), [name], x_mask, y_mask)
    torch.testing.assert_close(padded, chamfer_distances(x, y, [name]))


def test_the_plain_name_is_the_convention_cd_l2_mean():
    x, y = clouds((2, 30, 40), 1, torch.float32)
    assert torch.equal(chamfer_distance(x, y), chamfer_distances(x, y, ["cd_l2_mean"])["cd_l2_mean"])


def test_an_unknown_convention_is_refused_before_the_work():
    with pytest.raises(InputError, match="Chamfer convention cd: unknown; choose from cd_l2_mean, cd_l2_half"):
        chamfer_distances(torch.zeros(1, 0, 3), torch.zeros(1, 0, 3), ["cd"])


@pytest.mark.parametrize("budget", [1, 64, 10**9])
def test_the_chunk_size_changes_nothing(monkeypatch, budget):
    x, y = clouds((3, 33, 17), 2)
    mask = torch.arange(17).expand(3, 17) < torch.tensor([[17], [3], [9]])
    expected = nearest_indices(x, y, mask)
    monkeypatch.setattr(chunks, "CPU_BYTES", budget)
    assert torch.equal(nearest_indices(x, y, mask), expected)


def test_gradient_equals_finite_differences():
    x, y = clouds((2, 4, 5), 3)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    inputs = (x.requires_grad_(), y.requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: chamfer_distance(a, b, y_mask=mask), inputs)


def test_collapsed_predictions_give_finite_gradients():
    x = torch.zeros(2, 30, 3, requires_grad=True)
    _, y = clouds((2, 1, 30), 4, torch.float32)
    chamfer_distance(x, y).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_nearest_returns_the_distance_to_the_index_it_names():
    x, y = clouds((2, 9, 11), 5)
    squared, index = nearest(x, y)
    for b in range(2):
        for i in range(9):
            assert squared[b, i] == pytest.approx(float((x[b, i] - y[b, index[b, i]]).square().sum()))


def spots(kind: str, batch: int = 2, n: int = 300) -> torch.Tensor:
    """Predictions that have lost dimensions, in float32."""
    g = torch.Generator().manual_seed(7)
    free = torch.rand(batch, n, 3, generator=g) * 2 - 1
    return {
        "a spot": torch.full((batch, n, 3), 0.3),
        "the middle": torch.zeros(batch, n, 3),
        "nearly a spot": 0.3 + 1e-4 * free,
        "few spots": free[:, :5].repeat(1, n // 5, 1),
        "a line": free * torch.tensor([1.0, 0.0, 0.0]),
        "a plane": free * torch.tensor([1.0, 0.0, 1.0]),
        "a volume": free,
    }[kind]


KINDS = ["a spot", "the middle", "nearly a spot", "few spots", "a line", "a plane", "a volume"]


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_are_those_of_a_table_of_distances_however_predictions_collapse(kind):
    x = spots(kind).double().requires_grad_()
    y = torch.nn.functional.normalize(clouds((2, 1, 250), 8)[1], dim=2).requires_grad_()
    weights = torch.tensor([1.0, -0.7], dtype=torch.float64)

    def plainly():
        table = (x.unsqueeze(2) - y.unsqueeze(1)).square().sum(-1)
        return table.min(dim=2).values.mean(dim=1) + table.min(dim=1).values.mean(dim=1)

    torch.testing.assert_close(chamfer_distance(x, y), plainly())
    torch.testing.assert_close(chamfer_distance(x.float(), y.float()).double(), plainly(), rtol=1e-5, atol=1e-7)
    if kind not in ("a spot", "the middle", "few spots"):  # there the nearest is not one
        ours = torch.autograd.grad(chamfer_distance(x, y) @ weights, (x, y))
        theirs = torch.autograd.grad(plainly() @ weights, (x, y))
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("kind", KINDS)
def test_in_single_precision_no_other_point_is_nearer_by_more_than_rounding(kind):
    x, (_, y) = spots(kind), clouds((2, 1, 250), 8, torch.float32)
    for a, b in ((x, y), (y, x)):
        found = (a - gather_points(b, nearest_indices(a, b))).double().norm(dim=2)
        assert (found <= torch.cdist(a.double(), b.double()).amin(dim=2) + 1e-5).all()


def test_the_first_among_equally_near_points_is_taken():
    y = torch.tensor([[[1.0, 0, 0], [-1.0, 0, 0], [1.0, 0, 0], [0.0, 1, 0]]])
    assert nearest_indices(torch.tensor([[[0.9, 0, 0], [0.0, 0.9, 0]]]), y).tolist() == [[0, 3]]
    assert nearest_indices(spots("a spot"), spots("a spot")).eq(0).all()


def test_nan_and_infinity_flow_through_where_a_training_looks_at_its_terms_itself():
    x, y = clouds((2, 6, 5), 0, torch.float32)
    x[0, 1, 2], y[1, 0, 0] = torch.nan, torch.inf
    with unwatched():
        distance = chamfer_distance(x.requires_grad_(), y)
    distance.sum().backward()
    assert not torch.isfinite(distance).any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_measured_in_single(dtype):
    x, y = (c.to(dtype) for c in clouds((2, 40, 50), 1, torch.float32))
    found = chamfer_distance(x.requires_grad_(), y)
    assert found.dtype == torch.float32 and torch.equal(found, chamfer_distance(x.float(), y.float()))
    found.sum().backward()
    assert x.grad.dtype == dtype
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(chamfer_distance(x.float(), y.float()), found)


def test_no_table_of_all_pairs_is_ever_held(monkeypatch):
    monkeypatch.setattr(chunks, "CPU_BYTES", 2**14)
    x, y = clouds((2, 500, 400), 1, torch.float32)
    x.requires_grad_()
    assert largest_tensor(lambda: chamfer_distance(x, y).sum().backward()) < 2 * 500 * 400 / 20
    assert largest_tensor(lambda: torch.cdist(x, y)) >= 2 * 500 * 400  # what the measure sees
