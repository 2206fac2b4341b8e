"""One attack on one tile of shapes, and what it did to their codes, classes and reconstructions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pointvae.attacks.ascent import Found, ascend, best_of, given, random_search
from pointvae.attacks.goals import Goal, LinearHead, kl_goal, margin_goal, w2_goal
from pointvae.data.dataset import Shapes
from pointvae.evaluation.features import to_array
from pointvae.evaluation.probing.linear_probe import LinearProbe
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import View
from pointvae.geometry.balls import BALLS
from pointvae.geometry.distances import chamfer_distance
from pointvae.models.posteriors import Posterior
from pointvae.randomness import generator_for

FEATURE = "posterior_mean"
NEAR = 0.005  # an attack without a bound starts near the shape: a cloud that has lost all form has poor slopes
_PATH, _START, _NOISE, _SEARCH = 401, 402, 403, 404  # streams of each shape's draws

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Attack:
    """How the shapes are attacked.

    Attributes:
        subject: whose model.
        norm: of the ball: ``linf`` or ``l2``.
        goal: what is maximised: ``margin``, ``kl`` or ``w2``.
        radius: unit-sphere lengths.
        how: ``none``, ``gradient``, ``unbounded`` (a gradient too), ``noise`` (moves of exactly the radius),
            ``search`` (random, no gradients) or ``transfer`` (moves made elsewhere).
        steps: of an ascent; for ``search`` the queries.
        tries: random starts, or draws of noise, of which each shape's best counts.
    """

    subject: str
    norm: str
    goal: str
    radius: float
    how: str
    steps: int
    tries: int


@dataclass(frozen=True)
class Outcome:
    """What an attack did to n shapes: one figure each.

    Attributes:
        value: what was maximised (n,).
        right: whether the frozen probe is right before and after (n,); all False without labels.
        guess: the probe's label after (n,); -1 without labels.
        kl: KL( q(z|x+e) || q(z|x) ) (n,), nats.
        w2: squared 2-Wasserstein distance of the two (n,), squared standard deviations of the prior.
        way: root mean square over dimensions of the way of the mean (n,), standard deviations of the prior.
        cd_l2_mean: between the decoded attacked mean and the original cloud (n,).
        mean: of q(z|x+e) (n, D).
        trace: the goal at every step (n, steps + 1), mean over the tries.
        move: the move (n, N, 3).
    """

    value: Array
    right: Array
    guess: Array
    kl: Array
    w2: Array
    way: Array
    cd_l2_mean: Array
    mean: Array
    trace: Array
    move: Array


@dataclass(frozen=True)
class Ground:
    """The shapes under attack and who is attacked.

    Attributes:
        subjects: the models with their probes.
        shapes: all shapes of the split.
        view: which of their points are seen.
        places: those attacked (n,).
        seed: what is drawn from, with each shape's place.
    """

    subjects: Mapping[str, Subject]
    shapes: Shapes
    view: View
    places: npt.NDArray[np.int64]
    seed: int

    def run(self, attack: Attack, tile: range, moves: Array | None = None) -> Outcome:
        """One attack on a tile of the places; ``moves`` of all of them where it is a transfer."""
        subject, places = self.subjects[attack.subject], [int(place) for place in self.places[tile]]
        model, probe = subject.model, subject.probes.get(FEATURE)
        device = next(model.parameters()).device
        points = torch.tensor(self.view.clouds(self.shapes, places), device=device)
        reference = model.posterior(points)
        noise = self._noise(reference, places, device)
        labels = None if probe is None or self.shapes.labels is None else self.shapes.labels[places]
        goal = _goal(attack.goal, reference, noise, probe, labels)

        def objective(clouds: Tensor) -> Tensor:
            return goal(model.posterior(clouds))

        there = None if moves is None else torch.tensor(moves[tile.start : tile.stop], device=device)
        found = self._search(attack, objective, points, places, there)
        attacked = model.posterior(points + found.move)
        guess, right = np.full(len(places), -1), np.zeros(len(places), bool)
        if probe is not None and labels is not None:
            guess = probe.predict(to_array(attacked.mean))
            right = (probe.predict(to_array(reference.mean)) == labels) & (guess == labels)
        return Outcome(
            value=to_array(found.value),
            right=right,
            guess=guess,
            kl=to_array(kl_goal(reference, noise)(attacked)),
            w2=to_array(w2_goal(reference, noise)(attacked)),
            way=to_array((attacked.mean - reference.mean).square().mean(dim=1).sqrt()),
            cd_l2_mean=to_array(chamfer_distance(model.decode(attacked.mean), points)),
            mean=to_array(attacked.mean),
            trace=to_array(found.trace.T),
            move=to_array(found.move),
        )

    def _search(
        self, attack: Attack, objective: Any, points: Tensor, places: list[int], move: Tensor | None
    ) -> Found:
        ball, count = BALLS[attack.norm](attack.radius), points.shape[1]

        def draws(stream: int, number: int) -> list[torch.Generator]:
            return [generator_for(self.seed, stream, place, number, device=points.device) for place in places]

        if attack.how == "none":
            move = torch.zeros_like(points)
        if move is not None:
            return given(objective, points, move)
        if attack.how == "search":
            return random_search(objective, points, ball, draws(_SEARCH, 0), queries=attack.steps)
        if attack.how == "noise":
            tries = [given(objective, points, ball.surface(count, draws(_NOISE, t))) for t in range(attack.tries)]
        else:
            near = NEAR if attack.how == "unbounded" else 1.0
            starts = [near * ball.inside(count, draws(_START, number)) for number in range(attack.tries)]
            tries = [ascend(objective, points, start, ball, steps=attack.steps) for start in starts]
        return best_of(tries)

    def _noise(self, reference: Posterior, places: list[int], device: torch.device) -> Tensor:
        """What a hierarchical posterior's path is drawn with [B, D]: one for each shape, the same at every step."""
        dim = reference.event_shape[0]
        draws = [generator_for(self.seed, _PATH, place, device=device) for place in places]
        return torch.stack([torch.randn(dim, device=device, generator=draw) for draw in draws])


def join(outcomes: list[Outcome]) -> Outcome:
    """The outcomes of tiles, one after another."""
    return Outcome(**{name: np.concatenate([getattr(o, name) for o in outcomes]) for name in vars(outcomes[0])})


def head_of(probe: LinearProbe, device: torch.device) -> LinearHead:
    """A frozen probe as differentiable operations."""
    parts = (probe.mean, probe.scale, probe.svm.coef, probe.svm.intercept)
    return LinearHead(*(torch.tensor(part, dtype=torch.float32, device=device) for part in parts))


def _goal(name: str, reference: Posterior, noise: Tensor, probe: LinearProbe | None, labels: Array | None) -> Goal:
    if name == "kl":
        return kl_goal(reference, noise)
    if name == "w2":
        return w2_goal(reference, noise)
    assert probe is not None and labels is not None
    own = torch.from_numpy(np.searchsorted(probe.labels, labels)).to(noise.device)
    return margin_goal(head_of(probe, noise.device), own)
