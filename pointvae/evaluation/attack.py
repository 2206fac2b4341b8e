"""How far small moves of the points carry a frozen encoder's codes, and its classes with them.

Threat model: the attacker knows the model and the frozen linear head, sees the very points that the encoder sees, and
moves each within a ball (`pointvae.geometry.balls`). Details are ours; docs/robustness.md says how to read them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from pointvae.attacks.ascent import frozen_weights
from pointvae.data.dataset import Shapes
from pointvae.errors import InputError
from pointvae.evaluation.attacking.figures import arrays_of, figures_of
from pointvae.evaluation.attacking.plan import UNBOUNDED, AttackSettings, Campaign
from pointvae.evaluation.attacking.tiles import FEATURE, Array, Attack, Ground, Outcome, join
from pointvae.evaluation.results import Part
from pointvae.evaluation.selection import affordable, spread_over_classes
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import View
from pointvae.evaluation.work import TILE, Work
from pointvae.models.modes import evaluation_mode

UNBOUNDED_STEPS = 40
QUICK = AttackSettings(shapes=32, steps=8, restarts=1)


def measure_attacks(
    subjects: Mapping[str, Subject],
    shapes: Shapes,
    view: View,
    *,
    seed: int = 0,
    quick: bool = False,
    settings: AttackSettings | None = None,
    work: Work | None = None,
) -> Part:
    """Attack frozen models over a range of radii, with noise of the same size beside, and check the attack.

    Args:
        subjects: ``trained``, and ``untrained`` beside it; what reads posterior means is attacked.
        shapes: the test shapes.
        view: which points are seen.
        seed: what shapes, starts and noise are drawn from, with the place of each shape.
        quick: fewer shapes, steps and starts (and fewer shapes of more than 256 points, quick or not).
        settings: in place of the default ones and of ``quick``.
        work: how much is done at a time.

    Raises:
        InputError: there is no shape, or no goal that is possible without labels, or a class the probe has not seen.
    """
    if not len(shapes):
        raise InputError("no shape to attack: the split or folder is empty")
    if settings is None:
        usual = QUICK if quick else AttackSettings()
        points = view.points or shapes.points.shape[1]
        settings = dataclasses.replace(usual, shapes=affordable(usual.shapes, points))
    labelled = shapes.labels is not None and all(FEATURE in subject.probes for subject in subjects.values())
    goals = [goal for goal in settings.goals if goal != "margin" or labelled]
    if not goals:
        raise InputError("--goal margin: needs labels, which the shapes lack; attack the code with --goal kl")
    places = spread_over_classes(shapes, settings.shapes, seed=seed)
    if labelled:
        _check_classes(subjects, shapes, places)
    ground = Ground(subjects, shapes, view, places, seed)
    campaign = _carry_out(ground, settings, goals, work or Work())
    return Part(figures_of(campaign, goals, labelled), arrays_of(campaign, goals, labelled))


def _check_classes(subjects: Mapping[str, Subject], shapes: Shapes, places: Array) -> None:
    assert shapes.labels is not None
    for subject in subjects.values():
        unknown = set(shapes.labels[places].tolist()) - set(subject.probes[FEATURE].labels.tolist())
        if unknown:
            names = ", ".join(repr(shapes.classes[label]) for label in sorted(unknown))
            raise InputError(
                f"no training shape of {names}: the probe under attack cannot know it; add some to train"
            )


def _carry_out(ground: Ground, settings: AttackSettings, goals: Sequence[str], work: Work) -> Campaign:
    """Clean figures, the attacks of the plan, then those that need another's moves."""
    first = [Attack(name, "linf", "kl", 0.0, "none", 0, 1) for name in ground.subjects]
    plan = [*first, *_plan(ground, settings, goals)]
    with ExitStack() as stack:
        for subject in ground.subjects.values():
            stack.enter_context(evaluation_mode(subject.model))
        stack.enter_context(frozen_weights(*(subject.model for subject in ground.subjects.values())))
        made = _run(ground, plan, {}, work, "attacking")
        moves = {}
        if "untrained" in ground.subjects:
            for norm in settings.norms:
                source = Attack(
                    "untrained", norm, goals[0], settings.middle, "gradient", settings.steps, settings.restarts
                )
                moves[Attack("trained", norm, goals[0], settings.middle, "transfer", 0, 1)] = made[source].move
        made |= _run(ground, list(moves), moves, work, "transferring attacks")
    return Campaign(settings, ground, {attack.subject: made.pop(attack) for attack in first}, made)


def _plan(ground: Ground, settings: AttackSettings, goals: Sequence[str]) -> list[Attack]:
    steps, tries = settings.steps, settings.restarts
    plan = []
    for norm in settings.norms:
        for goal in goals:
            for radius in settings.radii:
                for name in ground.subjects:
                    plan.append(Attack(name, norm, goal, float(radius), "gradient", steps, tries))
                    plan.append(Attack(name, norm, goal, float(radius), "noise", 0, tries))
        # a pass back costs about two forward, so the search has as much work as the ascent
        plan.append(Attack("trained", norm, goals[0], settings.middle, "search", 3 * steps * tries, 1))
        plan.append(Attack("trained", norm, goals[0], UNBOUNDED, "unbounded", UNBOUNDED_STEPS, 1))
    return plan


def _run(
    ground: Ground, plan: Sequence[Attack], moves: Mapping[Attack, Array], work: Work, description: str
) -> dict[Attack, Outcome]:
    if not plan:
        return {}
    count = len(ground.places)
    tiles = [range(start, min(start + TILE, count)) for start in range(0, count, TILE)]
    units = [(attack, tile) for attack in plan for tile in tiles]
    found = work.each(lambda unit: ground.run(*unit, moves=moves.get(unit[0])), units, description)
    return {attack: join(found[i * len(tiles) : (i + 1) * len(tiles)]) for i, attack in enumerate(plan)}
