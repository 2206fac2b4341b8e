"""Signs that an attack works: without them a high adversarial accuracy may only mean that the attack failed.

Source: Carlini et al., "On Evaluating Adversarial Robustness", 2019, arXiv 1902.06705, sections 3 to 5; Athalye,
Carlini & Wagner, "Obfuscated Gradients Give a False Sense of Security", ICML 2018, section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pointvae.evaluation.attacking.plan import Campaign
    from pointvae.evaluation.attacking.tiles import Array, Outcome

NEARLY_NONE = 0.02
"""Accuracy that may be left where the radius is no bound."""


def check_attacks(campaign: Campaign, goals: Sequence[str], labelled: bool) -> list[dict[str, Any]]:
    """The checks of every norm on the trained model, each with its two figures.

    Every goal must rise with the steps and with the radius and beat noise of the same size. The first goal's attack,
    at the middle radius, must also be at least as strong as a search without gradients and as moves made against the
    untrained model, and must leave no shape right once the radius is no bound.

    Returns:
        For each check: ``check``, ``norm``, ``goal``, ``radius``, ``passed``, and the figures ``weaker`` and
        ``stronger``, means over the shapes of what is maximised, of which the second must not be the smaller. (In
        ``unbounded_succeeds`` they are the accuracy before and after.)
    """
    checks = []
    radius = campaign.settings.middle
    for norm in campaign.settings.norms:
        for goal in goals:
            attack = _outcome(campaign, norm, goal, radius, "gradient")
            noise = _outcome(campaign, norm, goal, radius, "noise")
            curve = [
                _mean(_outcome(campaign, norm, goal, float(r), "gradient").value) for r in campaign.settings.radii
            ]
            found = [("beats_noise", _mean(noise.value), _mean(attack.value))]
            if attack.trace.shape[1] > 1 and radius > 0:
                found.insert(0, ("rises_with_steps", _mean(attack.trace[:, 0]), _mean(attack.trace[:, -1])))
            rows = [_row(name, norm, goal, radius, low, high) for name, low, high in found]
            if len(curve) > 1:
                row = _row("rises_with_radius", norm, goal, radius, curve[0], curve[-1])
                row["passed"] = all(a < b for a, b in pairwise(curve))
                rows.append({**row, "by_radius": curve})
            checks += rows
        checks += _harder(campaign, norm, goals[0], labelled)
    return checks


def _harder(campaign: Campaign, norm: str, goal: str, labelled: bool) -> list[dict[str, Any]]:
    """The checks that need attacks of their own."""
    radius, rows = campaign.settings.middle, []
    attack = _outcome(campaign, norm, goal, radius, "gradient")
    for how, name in (("search", "beats_search_without_gradients"), ("transfer", "beats_transfer")):
        for other in campaign.all(subject="trained", norm=norm, goal=goal, radius=radius, how=how):
            row = _row(name, norm, goal, radius, _mean(other.value), _mean(attack.value))
            rows.append({**row, "share_of_shapes_beaten": float(np.mean(other.value > attack.value))})
    if labelled:
        (free,) = campaign.all(subject="trained", norm=norm, goal=goal, how="unbounded")
        before, after = (float(outcome.right.mean()) for outcome in (campaign.clean["trained"], free))
        facts = {"check": "unbounded_succeeds", "norm": norm, "goal": goal}
        rows.append({**facts, "passed": after <= NEARLY_NONE, "weaker": before, "stronger": after})
    return rows


def _row(name: str, norm: str, goal: str, radius: float, weaker: float, stronger: float) -> dict[str, Any]:
    passed = stronger > weaker if name != "beats_search_without_gradients" else stronger >= weaker
    return {
        "check": name,
        "norm": norm,
        "goal": goal,
        "radius": radius,
        "passed": bool(passed),
        "weaker": weaker,
        "stronger": stronger,
    }


def _outcome(campaign: Campaign, norm: str, goal: str, radius: float, how: str) -> Outcome:
    return campaign.find(subject="trained", norm=norm, goal=goal, radius=radius, how=how)


def _mean(values: Array) -> float:
    return float(values.mean(dtype=np.float64))
