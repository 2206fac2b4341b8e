"""Neighbours, distances and samples of clouds that are shapes no longer, against brute force in exact numbers."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae import InputError
from pointvae.data.sampling import Geometry, normalize_points, to_cloud
from pointvae.geometry.balls import BALLS
from pointvae.geometry.distances import CHAMFER, chamfer_distances, nearest, nearest_both_ways, nearest_indices
from pointvae.geometry.farthest import farthest_points
from pointvae.geometry.fidelity import FIDELITY, fidelity
from pointvae.geometry.finite import LIMIT, check_rows
from pointvae.geometry.neighbours import knn, neighbours_of
from pointvae.geometry.sampling import random_subset, shuffled, systematic_choice
from pointvae.geometry.transport import EMD, earth_movers_distance
from tests.degenerate import BAD_SHAPES, NO_CLOUDS, N, good, mixed

SIZES = [1e-45, 1e-38, 1e-30, 1e-20, 1e-3, 1.0, 1e4, 1e18, 1e19, 1e30, 1e37]
DTYPES = [torch.float32, torch.float64]
# few values, so that points coincide and lie equally far; times a power of 2, so that no rounding decides
COORDINATES = st.integers(-3, 3)
CLOUDS = st.lists(st.tuples(COORDINATES, COORDINATES, COORDINATES), min_size=1, max_size=9)


def tensor(cloud, size: float, dtype=torch.float32) -> torch.Tensor:
    power = 2.0 ** np.floor(np.log2(size))
    return torch.tensor(cloud, dtype=torch.float64).mul(power).to(dtype).unsqueeze(0)


def squared(a: torch.Tensor, b: torch.Tensor) -> Fraction:
    """The squared distance of two points, exactly."""
    return sum(((Fraction(p) - Fraction(q)) ** 2 for p, q in zip(a.tolist(), b.tolist(), strict=True)), Fraction(0))


@given(CLOUDS, CLOUDS, st.sampled_from(SIZES), st.sampled_from(DTYPES))
@settings(max_examples=80, deadline=None)
def test_the_nearest_is_the_first_of_the_exactly_nearest_at_every_size(x, y, size, dtype):
    x, y = tensor(x, size, dtype), tensor(y, size, dtype)
    for point, found in zip(x[0], nearest_indices(x, y)[0].tolist(), strict=True):
        gaps = [squared(point, other) for other in y[0]]
        # the centre is no such number, and may decide between points that are equally far
        assert float(gaps[found]) <= float(min(gaps)) * (1 + 1e-5)


@given(CLOUDS, st.integers(1, 9), st.sampled_from(SIZES), st.sampled_from(DTYPES))
@settings(max_examples=80, deadline=None)
def test_neighbours_are_the_exactly_nearest_at_every_size(cloud, k, size, dtype):
    points = tensor(cloud, size, dtype)
    for i, row in enumerate(knn(points, k)[0].tolist()):
        gaps = [squared(points[0, i], other) for other in points[0]]
        few = min(k, len(gaps))
        assert row[0] == i and len(set(row[:few])) == few
        for found, expected in zip(row[:few], sorted(gaps)[:few], strict=True):
            assert abs(float(gaps[found]) / float(max(gaps) or 1) - float(expected) / float(max(gaps) or 1)) < 1e-5


@given(CLOUDS, st.integers(1, 12), st.sampled_from(SIZES), st.sampled_from(DTYPES))
@settings(max_examples=80, deadline=None)
def test_each_farthest_point_is_exactly_farthest_from_those_before_at_every_size(cloud, count, size, dtype):
    points = tensor(cloud, size, dtype)
    chosen = farthest_points(points, count)[0].tolist()
    for step in range(1, count):
        gaps = [min(squared(p, points[0, c]) for c in chosen[:step]) for p in points[0]]
        assert float(gaps[chosen[step]]) >= float(max(gaps)) * (1 - 1e-5)


@given(st.sampled_from(SIZES), st.integers(0, 20), st.sampled_from(DTYPES))
@settings(max_examples=60, deadline=None)
def test_a_size_that_is_a_power_of_2_changes_no_neighbour(size, seed, dtype):
    if size < 1e-30:
        return  # there digits are lost in the clouds themselves
    points = torch.randn(2, 30, 3, dtype=dtype, generator=torch.Generator().manual_seed(seed))
    scaled = points * 2.0 ** np.floor(np.log2(size))
    assert torch.equal(knn(scaled, 5), knn(points, 5))
    assert torch.equal(neighbours_of(scaled, scaled.flip(1), 5), neighbours_of(points, points.flip(1), 5))
    assert torch.equal(farthest_points(scaled, 9), farthest_points(points, 9))


@pytest.mark.parametrize("junk", [0.0, 1e30, torch.nan, torch.inf])
def test_what_stands_in_absent_places_changes_nothing(junk):
    y = torch.cat([good(2) + 1e4, torch.full((2, 5, 3), junk, dtype=torch.float64)], dim=1).float()
    mask = torch.arange(N + 5).expand(2, -1) < N
    there = y[:, :N]
    x = there.flip(0).contiguous().requires_grad_()
    assert torch.equal(knn(y, 4, mask)[:, :N], knn(there, 4))
    assert torch.equal(neighbours_of(x.detach(), y, 4, mask), neighbours_of(x.detach(), there, 4))
    assert torch.equal(farthest_points(y, 4, mask), farthest_points(there, 4))
    found = chamfer_distances(x, y, y_mask=mask)
    expected = chamfer_distances(x, there)
    torch.testing.assert_close(found, expected)
    (slope,) = torch.autograd.grad(sum(found.values()).sum(), x)
    (wanted,) = torch.autograd.grad(sum(expected.values()).sum(), x)
    torch.testing.assert_close(slope, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BAD_SHAPES)
def test_every_distance_and_its_gradient_is_finite(name, dtype):
    for x in (mixed(BAD_SHAPES[name]), BAD_SHAPES[name].expand(3, N, 3), BAD_SHAPES[name][:1].expand(3, 1, 3)):
        for y in (x, good(3)):
            ours, theirs = (c.to(dtype).clone().requires_grad_() for c in (x, y))
            near = nearest_both_ways(ours, theirs)
            values = [fidelity(near, measure) for measure in FIDELITY]
            assert all(value.isfinite().all() for value in values)
            slopes = torch.autograd.grad(sum(value.sum() for value in values if value.requires_grad), [ours, theirs])
            assert all(slope.isfinite().all() for slope in slopes)
            if x.shape == y.shape:
                assert all(earth_movers_distance(ours, theirs, c).isfinite().all() for c in EMD)


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_a_bad_shape_leaves_the_other_pairs_alone(name):
    x = mixed(BAD_SHAPES[name]).float()
    others = [0, 2]
    for measure in FIDELITY:
        found = fidelity(nearest_both_ways(x, good(3).float()), measure)[others]
        assert torch.equal(found, fidelity(nearest_both_ways(x[others], good(3)[others].float()), measure))
    assert torch.equal(knn(x, 4)[others], knn(x[others], 4))
    assert torch.equal(farthest_points(x, 4)[others], farthest_points(x[others], 4))


@pytest.mark.parametrize("name", ["1e18", "1e30", "greatest", "one-nan", "one-infinity", "minus-infinity"])
@pytest.mark.parametrize("way", [False, True], ids=["first", "second"])
def test_what_has_no_distance_is_refused_by_its_row_in_one_line(name, way):
    pair = (mixed(NO_CLOUDS[name]).float(), good(3).float())
    pair = pair[::-1] if way else pair
    for measure in (chamfer_distances, nearest_both_ways):
        with pytest.raises(InputError, match=r"cloud 1 of 3 \(counted from 0\): holds") as caught:
            measure(*pair)
        assert "\n" not in str(caught.value)
    if not bool(pair[way].isfinite().all()):
        with pytest.raises(InputError, match="cloud 1 of 3"):
            earth_movers_distance(*pair)
        with pytest.raises(InputError, match="cloud 1 of 3"):
            farthest_points(pair[way], 2)


def test_what_overflows_single_precision_has_distances_in_double():
    x = mixed(NO_CLOUDS["1e30"])
    assert all(value.isfinite().all() for value in chamfer_distances(x, good(3)).values())


def test_clouds_without_points_are_refused_by_their_row():
    x = good(4).float()
    mask = torch.ones(4, N, dtype=torch.bool)
    mask[1:3] = False
    for call in (
        lambda: chamfer_distances(x, x, x_mask=mask),
        lambda: chamfer_distances(x, x, y_mask=mask),
        lambda: farthest_points(x, 2, mask),
    ):
        with pytest.raises(InputError, match=r"cloud 1 of 4 \(counted from 0\), and 1 more: has no point"):
            call()
    found = knn(x, 3, mask)
    assert found.min() >= 0 and found.max() < N and torch.equal(found[[0, 3]], knn(x[[0, 3]], 3))


def test_the_row_that_is_named_is_the_first_bad_one_and_the_limit_itself_is_none():
    values = torch.full((5, 4), LIMIT)
    check_rows(values, "latent")
    values[4, 0], values[2, 3] = torch.nan, -1.1 * LIMIT
    with pytest.raises(InputError, match=r"latent 2 of 5 .*, and 1 more: holds 1.1e\+06, beyond the limit of 1e\+06"):
        check_rows(values, "latent")


@pytest.mark.parametrize("convention", ["cd_l1_half", "cd_l1_max"])
def test_where_points_coincide_a_length_is_zero_and_so_is_its_gradient(convention):
    x = good(2).requires_grad_()
    value = CHAMFER[convention](nearest_both_ways(x, x.detach()))
    value.sum().backward()
    assert torch.equal(value, torch.zeros_like(value)) and torch.equal(x.grad, torch.zeros_like(x))


def test_squares_below_single_precision_are_zero_and_their_nearest_is_right_all_the_same():
    x = 1e-30 * good(1).float()
    squares, index = nearest(x, x.roll(1, dims=1))
    assert squares.eq(0).all() and torch.equal(index[0], (torch.arange(N) + 1) % N)


@pytest.mark.parametrize("weights", [[torch.nan] * 4, [0.0, 0.0, 0.0, 1.0], [1e-45, 1.0, 0.0, 0.0], [torch.inf] * 4])
def test_a_choice_by_weights_points_somewhere(weights):
    found = systematic_choice(torch.tensor([weights, [0.25] * 4]), 7, torch.Generator().manual_seed(0))
    assert found.min() >= 0 and found.max() <= 3


@pytest.mark.parametrize("name", [*BAD_SHAPES, *NO_CLOUDS])
def test_subsets_are_points_of_their_clouds(name):
    cloud = mixed({**BAD_SHAPES, **NO_CLOUDS}[name]).float()
    for drawn in (random_subset(cloud, 5), shuffled(cloud)):
        rows = [{str(p) for p in part.tolist()} for part in (cloud[1], drawn[1])]
        assert rows[1] <= rows[0]


@pytest.mark.parametrize("norm", BALLS)
@pytest.mark.parametrize("name", BAD_SHAPES)
def test_moves_of_any_size_are_brought_into_the_ball(norm, name):
    ball, move = BALLS[norm](0.05), mixed(BAD_SHAPES[name]).float()
    assert (ball.size(ball.project(move)) <= 0.05 * (1 + 1e-5)).all()
    steep = ball.steepest(move)
    assert steep.isfinite().all() and (ball.size(steep) <= 1 + 1e-5).all()


@pytest.mark.parametrize("how", ["sphere", "cube"])
@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e-30, 1.0, 1e30, 1e300, 1.7e308])
def test_a_cloud_of_any_size_is_normalised(how, size):
    cloud = np.sign(good(1)[0].numpy())
    made = normalize_points(cloud * size, how)
    assert np.isfinite(made).all() and np.abs(made).max() > 0.5
    np.testing.assert_allclose(made, normalize_points(cloud, how), rtol=1e-12)


@pytest.mark.parametrize("how", ["sphere", "cube"])
@pytest.mark.parametrize("place", [0.0, 0.1, 12345.678, 1e300])
def test_points_that_all_coincide_make_no_shape_of_what_rounding_left(how, place):
    with pytest.raises(InputError, match="all points coincide"):
        normalize_points(np.full((50, 3), place), how)


@pytest.mark.parametrize("size", [1e39, 1e300])
def test_coordinates_beyond_single_precision_are_set_aside_when_they_are_not_normalised(size):
    cloud = Geometry(good(1)[0].numpy() * size)
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="beyond float32; normalise"):
        to_cloud(cloud, points=N, up="z", normalize="none", rng=rng)
    made, _ = to_cloud(cloud, points=N, up="z", normalize="sphere", rng=rng)
    assert np.isfinite(made).all()
