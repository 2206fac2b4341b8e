"""The winners' kernel against the table of scores that it never writes."""

import pytest
import torch

pytest.importorskip("triton")

from pointvae.kernels.winners import CHANNELS, INNER, POINTS, winning_points

SHAPES = [
    (1, 1, 1, 1),
    (2, POINTS + 1, INNER + 1, CHANNELS - 1),
    (3, 2 * POINTS, INNER, CHANNELS),
    (1, 70, 3, CHANNELS + 3),
]


def plain(x: torch.Tensor, weight: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    scores = torch.einsum("bnk,ck->bcn", x.double(), weight.double())
    if mask is not None:
        scores = scores.masked_fill(~mask.unsqueeze(1), -torch.inf)
    places = torch.arange(x.shape[1], device=x.device)
    return torch.where(scores == scores.amax(dim=2, keepdim=True), places, len(places)).amin(dim=2)


def draw(device, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


@pytest.mark.parametrize("masked", [False, True], ids=["full", "masked"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_finds_the_winners(device, shape, masked):
    batch, n, inner, channels = shape
    x, weight = draw(device, batch, n, inner), draw(device, channels, inner, seed=1)
    mask = (draw(device, batch, n, seed=2) < 0.0) if masked else None
    if mask is not None:
        mask[:, -1] = True
    index = winning_points(x, weight, mask)
    assert index.dtype == torch.int64 and torch.equal(index, plain(x, weight, mask))


def test_a_negative_sign_turns_the_maximum_into_a_minimum(device):
    x, weight = draw(device, 2, 70, 5), draw(device, 9, 5, seed=1)
    sign = torch.where(torch.arange(9, device=device) % 2 == 0, 1.0, -1.0)
    scores = (x @ weight.T).transpose(1, 2)
    index = winning_points(x, weight * sign.unsqueeze(1))
    assert torch.equal(index[:, ::2], scores[:, ::2].argmax(dim=2))
    assert torch.equal(index[:, 1::2], scores[:, 1::2].argmin(dim=2))


def test_among_equals_the_lowest_index_wins_within_a_tile_and_across_tiles(device):
    x, weight = draw(device, 2, 5, 8).round(), draw(device, 20, 8, seed=1).round()  # whole numbers: equals are equal
    many = x.repeat(1, POINTS, 1)
    assert torch.equal(winning_points(many, weight), plain(x, weight))
    flat = torch.ones(1, 3 * POINTS, 8, device=device)
    assert (winning_points(flat, weight) == 0).all()


def test_a_cloud_without_points_gives_the_first_place_as_the_plain_form_does(device):
    x, weight = draw(device, 2, POINTS + 6, 4), draw(device, 7, 4, seed=1)
    mask = torch.zeros(2, POINTS + 6, dtype=torch.bool, device=device)
    mask[1] = True
    index = winning_points(x, weight, mask)
    assert (index[0] == 0).all() and torch.equal(index[1], plain(x, weight)[1])


def test_scores_below_every_number_of_padding_still_win(device):
    x = -1000.0 - draw(device, 1, 70, 1).abs()  # all scores negative: padding would be zero
    assert torch.equal(winning_points(x, torch.ones(3, 1, device=device)), plain(x, torch.ones(3, 1, device=device)))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_products_are_summed_in_single_precision(device, kind):
    if kind == torch.bfloat16 and device.type == "cpu":
        pytest.skip("the interpreter multiplies bfloat16 numbers as if their bits were integers")
    x, weight = draw(device, 2, 80, 40).to(kind), draw(device, 30, 40, seed=1).to(kind)
    assert torch.equal(winning_points(x, weight), plain(x, weight))


def test_mixed_types_meet_in_the_wider_one(device):
    x, weight = draw(device, 2, 80, 40).bfloat16(), draw(device, 30, 40, seed=1)
    assert torch.equal(winning_points(x, weight), plain(x, weight))


def test_views_with_gaps_are_read_right(device):
    x, weight = draw(device, 2, 6, 70).transpose(1, 2), draw(device, 6, 9, seed=1).T
    assert torch.equal(winning_points(x, weight), plain(x, weight))


def test_what_is_not_a_number_wins_so_that_the_maximum_shows_it(device):
    x = draw(device, 1, 70, 4)
    x[0, 66, 1] = torch.nan
    assert (winning_points(x, draw(device, 5, 4)) == 66).all()
