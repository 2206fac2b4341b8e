"""The balls of moves: what is in them, what is nearest, what is steepest, what is drawn."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.geometry.balls import BALLS
from pointvae.randomness import generator_for

NORMS = sorted(BALLS)


def draws(batch: int, seed: int = 0) -> list[torch.Generator]:
    return [generator_for(seed, row) for row in range(batch)]


def size_by_hand(norm: str, move: torch.Tensor, there: torch.Tensor) -> float:
    lengths = [[float(c) for c in point] for point, exists in zip(move, there, strict=True) if exists]
    if norm == "linf":
        return max(abs(c) for point in lengths for c in point)
    return math.sqrt(sum(c * c for point in lengths for c in point) / len(lengths))


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=40, deadline=None)
@given(
    radius=st.sampled_from([0.0, 0.004, 0.5, 2.0]),
    scale=st.sampled_from([1e-12, 0.01, 1.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_a_projected_move_is_in_the_ball_and_a_move_within_stays(norm, radius, scale, seed):
    ball, generator = BALLS[norm](radius), generator_for(seed)
    move = scale * torch.randn(3, 7, 3, generator=generator)
    mask = torch.arange(7) < torch.tensor([[7], [4], [1]])
    projected = ball.project(move, mask)
    assert (ball.size(projected, mask) <= radius * (1 + 1e-5)).all()
    assert (projected[~mask] == 0).all()
    torch.testing.assert_close(ball.project(projected, mask), projected)
    within = ball.size(move, mask) <= radius
    torch.testing.assert_close(projected[within], (move * mask.unsqueeze(2))[within], rtol=0, atol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_the_size_is_the_one_written_out(norm):
    move, mask = torch.randn(4, 6, 3, generator=generator_for(1)), torch.rand(4, 6, generator=generator_for(2)) < 0.7
    mask[:, 0] = True
    found = BALLS[norm](1.0).size(move, mask)
    assert found.tolist() == pytest.approx([size_by_hand(norm, m, t) for m, t in zip(move, mask, strict=True)])


@pytest.mark.parametrize("norm", NORMS)
def test_no_move_of_the_ball_is_nearer_than_the_projection_or_rises_more_than_the_steepest(norm):
    ball, slope = BALLS[norm](0.3), torch.randn(1, 5, 3, generator=generator_for(0))
    others = ball.inside(5, draws(2000)).double()
    others = torch.cat([others, ball.surface(5, draws(2000, 1)).double()])
    nearest = (ball.project(slope).double() - slope).square().sum()
    assert nearest <= (others - slope).square().sum(dim=(1, 2)).min()
    steepest = ball.radius * ball.steepest(slope).double()
    assert (steepest * slope).sum() >= (others * slope).sum(dim=(1, 2)).max()
    assert ball.size(steepest).item() == pytest.approx(0.3)


@pytest.mark.parametrize("norm", NORMS)
def test_slopes_that_vanish_or_nearly_do_give_no_nan(norm):
    ball = BALLS[norm](1.0)
    assert (ball.steepest(torch.zeros(2, 4, 3)) == 0).all()
    assert ball.size(ball.steepest(torch.full((1, 4, 3), 1e-30))).item() > 0.99


@pytest.mark.parametrize("norm", NORMS)
def test_draws_are_as_large_as_promised_and_depend_on_their_own_generator_alone(norm):
    ball, mask = BALLS[norm](0.02), torch.arange(9) < torch.tensor([[9], [5], [2]])
    surface, inside = ball.surface(9, draws(3), mask), ball.inside(9, draws(3), mask)
    torch.testing.assert_close(ball.size(surface, mask), torch.full((3,), 0.02))
    assert (ball.size(inside, mask) <= 0.02).all() and (surface[~mask] == 0).all() and (inside[~mask] == 0).all()
    assert torch.equal(ball.inside(9, draws(2)), ball.inside(9, draws(3))[:2])


def test_the_volume_of_the_l2_ball_is_filled_evenly():
    sizes = BALLS["l2"](1.0).size(BALLS["l2"](1.0).inside(1, draws(4000)))
    for radius in (0.3, 0.6, 0.9):  # one point in space: the share within r is r³
        assert float((sizes < radius).float().mean()) == pytest.approx(radius**3, abs=0.03)
