"""The nearest-neighbour kernel against a table of squared distances."""

import pytest
import torch

pytest.importorskip("triton")

from pointvae.kernels.nearest import COLUMNS, ROWS, nearest_indices

SHAPES = [
    (1, 1, 1, 3),
    (2, ROWS + 1, COLUMNS - 1, 3),
    (3, ROWS, 2 * COLUMNS, 3),
    (1, 5, 2 * COLUMNS + 3, 2),
    (2, 9, 70, 7),
]


def plain(x: torch.Tensor, y: torch.Tensor, y_mask: torch.Tensor | None = None) -> torch.Tensor:
    squared = (x.unsqueeze(2).double() - y.unsqueeze(1).double()).square().sum(-1)
    if y_mask is not None:
        squared = squared.masked_fill(~y_mask.unsqueeze(1), torch.inf)
    places = torch.arange(y.shape[1], device=y.device)
    return torch.where(squared == squared.amin(dim=2, keepdim=True), places, len(places)).amin(dim=2)


def draw(device, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_finds_the_nearest_points(device, shape):
    batch, n, m, channels = shape
    x, y = draw(device, batch, n, channels), draw(device, batch, m, channels, seed=1)
    index = nearest_indices(x, y)
    assert index.dtype == torch.int64 and torch.equal(index, plain(x, y))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_points_that_do_not_exist_are_never_nearest(device, shape):
    batch, n, m, channels = shape
    x, y = draw(device, batch, n, channels), draw(device, batch, m, channels, seed=1)
    mask = draw(device, batch, m, seed=2) < 0.0
    mask[:, -1] = True  # the last one alone, where there is only one
    assert torch.equal(nearest_indices(x, y, mask), plain(x, y, mask))


def test_among_equals_the_lowest_index_wins_within_a_tile_and_across_tiles(device):
    corners = draw(device, 2, 5, 3)
    y = corners.repeat(1, COLUMNS, 1)  # every point many times in every tile
    assert torch.equal(nearest_indices(draw(device, 2, 40, 3, seed=1), y), plain(draw(device, 2, 40, 3, seed=1), y))
    assert int(nearest_indices(draw(device, 2, 40, 3, seed=1), y).max()) < 5
    spot = torch.zeros(1, 3 * COLUMNS, 3, device=device)
    assert (nearest_indices(draw(device, 1, 40, 3), spot) == 0).all()


def test_a_cloud_without_points_gives_the_first_place_as_the_plain_form_does(device):
    x, y = draw(device, 2, 5, 3), draw(device, 2, COLUMNS + 6, 3)
    mask = torch.zeros(2, COLUMNS + 6, dtype=torch.bool, device=device)
    mask[1] = True
    index = nearest_indices(x, y, mask)
    assert (index[0] == 0).all() and torch.equal(index[1], plain(x, y)[1])


def test_digits_are_kept_far_from_the_origin(device):
    x, y = (draw(device, 1, 80, 3, seed=s) + 1000.0 for s in (0, 1))  # single precision, so both see the same points
    assert torch.equal(nearest_indices(x, y), plain(x, y))


def test_half_precision_points_are_compared_in_single_precision(device):
    x, y = (draw(device, 1, 80, 3, seed=s).bfloat16() for s in (0, 1))
    assert torch.equal(nearest_indices(x, y), plain(x, y))


def test_views_with_gaps_are_read_right(device):
    x, y = draw(device, 2, 3, 50).transpose(1, 2), draw(device, 2, 70, 5, seed=1)[..., :3]
    mask = (draw(device, 70, 2) < 0.5).T
    assert torch.equal(nearest_indices(x, y, mask), plain(x, y, mask))


def test_what_is_not_a_number_is_found_so_that_the_distance_shows_it(device):
    x, y = draw(device, 1, 5, 3), draw(device, 1, 70, 3)
    y[0, 66, 1] = torch.nan
    assert (nearest_indices(x, y) == 66).all()
    hidden = torch.arange(70, device=device).unsqueeze(0) != 66
    assert torch.equal(nearest_indices(x, y, hidden), plain(x, y.nan_to_num(), hidden))
