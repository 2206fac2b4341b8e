"""The searches, on objectives whose worst move in a ball is known."""

import pytest
import torch

from pointvae.attacks.ascent import ascend, best_of, frozen_weights, given, random_search
from pointvae.attacks.goals import LinearHead
from pointvae.geometry.balls import BALLS, L2Ball, LinfBall
from pointvae.models.build import build_model
from pointvae.randomness import generator_for

NORMS = sorted(BALLS)
N = 12
POINTS = torch.randn(3, N, 3, generator=generator_for(7))


def draws(batch: int, seed: int = 0) -> list[torch.Generator]:
    return [generator_for(seed, row) for row in range(batch)]


def starts(norm: str, radius: float, seed: int = 0) -> torch.Tensor:
    return BALLS[norm](radius).inside(N, draws(3, seed))


@pytest.mark.parametrize(("norm", "dual"), [("linf", "abs"), ("l2", "square")])
def test_a_linear_objective_is_raised_to_its_maximum_in_the_ball(norm, dual):
    slope, radius = torch.randn(3, N, 3, generator=generator_for(1)), 0.05
    found = ascend(lambda x: (x * slope).sum(dim=(1, 2)), POINTS, starts(norm, radius), BALLS[norm](radius), steps=8)
    most = slope.abs().sum(dim=(1, 2)) if dual == "abs" else (N * slope.square().sum(dim=(1, 2))).sqrt()
    gained = found.value - (POINTS * slope).sum(dim=(1, 2))
    torch.testing.assert_close(gained, radius * most, rtol=3e-3, atol=1e-4)


def test_a_quadratic_objective_is_raised_to_its_maximum_in_the_l2_ball():
    radius = 0.1  # from a cloud of length a, the farthest that the ball leads to has the length a + r sqrt(N)
    found = ascend(lambda x: x.square().sum(dim=(1, 2)), POINTS, starts("l2", radius), L2Ball(radius), steps=30)
    most = (POINTS.square().sum(dim=(1, 2)).sqrt() + radius * N**0.5).square()
    torch.testing.assert_close(found.value, most, rtol=1e-3, atol=0)


def test_a_quadratic_objective_is_raised_to_its_maximum_in_the_linf_ball():
    radius = 0.1
    found = ascend(lambda x: x.square().sum(dim=(1, 2)), POINTS, starts("linf", radius), LinfBall(radius), steps=30)
    most = (POINTS.abs() + radius).square().sum(dim=(1, 2))
    assert (found.value > 0.99 * most).all() and (found.value < most * (1 + 1e-5)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_linear_head_on_a_linear_encoder_falls_at_exactly_its_margin(norm):
    """The least radius that flips two classes is margin / dual norm of the difference of their rows."""
    encoder = torch.randn(3 * N, 4, generator=generator_for(2))
    weight = torch.randn(2, 4, generator=generator_for(3))
    head = LinearHead(torch.full((4,), 0.3), torch.full((4,), 2.0), weight, torch.zeros(2))
    labels = head.scores(POINTS.flatten(1) @ encoder).argmax(dim=1)

    def margin(x):
        return head.margin(x.flatten(1) @ encoder, labels)

    slope = (encoder @ (weight[0] - weight[1]) / 2.0).view(1, N, 3)
    dual = slope.abs().sum() if norm == "linf" else (N * slope.square().sum()).sqrt()
    for shape, least in enumerate(-margin(POINTS) / dual):
        for factor, flips in ((0.98, False), (1.02, True)):
            ball = BALLS[norm](factor * float(least))
            found = ascend(margin, POINTS, ball.inside(N, draws(3)), ball, steps=10)
            assert bool(found.value[shape] > 0) is flips


@pytest.mark.parametrize("norm", NORMS)
def test_no_search_leaves_the_ball_or_moves_an_absent_point(norm):
    ball, mask = BALLS[norm](0.03), torch.arange(N) < torch.tensor([[N], [7], [1]])
    slope = torch.randn(3, N, 3, generator=generator_for(1))

    def objective(x):
        return torch.sin(5 * x * slope).sum(dim=(1, 2))

    for found in (
        ascend(objective, POINTS, ball.inside(N, draws(3), mask), ball, mask, steps=6),
        random_search(objective, POINTS, ball, draws(3), mask, queries=20),
    ):
        assert (ball.size(found.move, mask) <= 0.03 * (1 + 1e-5)).all()
        assert (found.move[~mask] == 0).all()
        torch.testing.assert_close(found.value, objective(POINTS + found.move))


@pytest.mark.parametrize("norm", NORMS)
def test_radius_zero_changes_nothing(norm):
    ball = BALLS[norm](0.0)
    for found in (
        ascend(lambda x: x.sum(dim=(1, 2)), POINTS, ball.inside(N, draws(3)), ball, steps=4),
        random_search(lambda x: x.sum(dim=(1, 2)), POINTS, ball, draws(3), queries=4),
    ):
        assert torch.equal(POINTS + found.move, POINTS)


def wavy(x: torch.Tensor) -> torch.Tensor:
    return torch.sin(40 * x).mul(x).sum(dim=(1, 2))


def test_more_steps_are_no_weaker_and_the_best_iterate_is_kept():
    means = [
        float(ascend(wavy, POINTS, starts("linf", 0.05), LinfBall(0.05), steps=steps).value.mean())
        for steps in (0, 2, 8, 32)
    ]
    assert means == sorted(means) and means[0] < means[-1]
    found = ascend(wavy, POINTS, starts("linf", 0.2), LinfBall(0.2), steps=8)
    assert found.trace.shape == (9, 3)
    torch.testing.assert_close(found.value, found.trace.amax(dim=0), rtol=0, atol=0)
    torch.testing.assert_close(found.value, wavy(POINTS + found.move))


def test_of_several_starts_each_shape_keeps_its_best():
    tries = [ascend(wavy, POINTS, starts("linf", 0.2, seed), LinfBall(0.2), steps=4) for seed in range(3)]
    found = best_of(tries)
    for shape in range(3):
        winner = max(tries, key=lambda one: float(one.value[shape]))
        assert found.value[shape] == winner.value[shape]
        assert torch.equal(found.move[shape], winner.move[shape])
    assert (
        len({int(torch.stack([t.value for t in tries])[:, s].argmax()) for s in range(3)}) > 1
    )  # not one start for all


def test_the_search_finds_what_gradients_do_not_see():
    def rounded(x):
        return torch.round(20 * x).sum(dim=(1, 2))

    ball = LinfBall(0.1)
    blind = ascend(rounded, POINTS, ball.inside(N, draws(3)), ball, steps=10)
    assert torch.equal(blind.trace[0], blind.trace[-1])
    assert (random_search(rounded, POINTS, ball, draws(3), queries=60).value > blind.value).all()


def test_the_search_only_ever_gains_by_more_queries():
    values = [random_search(wavy, POINTS, LinfBall(0.2), draws(3), queries=q).value for q in (1, 100)]
    assert (values[0] < values[1]).all()


def test_a_shape_is_attacked_alike_alone_and_in_company():
    whole = ascend(wavy, POINTS, starts("l2", 0.1), L2Ball(0.1), steps=5)
    for shape in range(3):
        part = slice(shape, shape + 1)
        alone = ascend(wavy, POINTS[part], starts("l2", 0.1)[part], L2Ball(0.1), steps=5)
        torch.testing.assert_close(alone.move, whole.move[part])


def test_an_ascent_through_a_model_leaves_no_trace_in_it():
    config = {"latent_dim": 4, "points": 8, "encoder_args": {"widths": (8, 8)}, "decoder_args": {"widths": (8,)}}
    model = build_model(config, 0).eval()
    model.decoder.requires_grad_(False)
    asked = [weight.requires_grad for weight in model.parameters()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with frozen_weights(model):
        assert not any(weight.requires_grad for weight in model.parameters())
        found = ascend(
            lambda x: model.posterior(x).mean.square().sum(dim=1),
            POINTS,
            starts("linf", 0.05),
            LinfBall(0.05),
            steps=3,
        )
    assert (found.trace[-1] > found.trace[0]).all()
    assert all(weight.grad is None for weight in model.parameters())
    assert [weight.requires_grad for weight in model.parameters()] == asked
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_given_move_is_taken_as_it_is():
    found = given(wavy, POINTS, torch.full_like(POINTS, 0.1))
    torch.testing.assert_close(found.value, wavy(POINTS + 0.1))
