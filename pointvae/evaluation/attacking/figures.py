"""The figures of an evaluation's attacks, and what the report draws of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pointvae.attacks.ascent import REACH
from pointvae.evaluation.attacking.checks import check_attacks
from pointvae.evaluation.attacking.plan import Campaign
from pointvae.evaluation.attacking.tiles import FEATURE, Array, Outcome
from pointvae.evaluation.scores import mean_interval, standard_error

PROTOCOL = "attacks/1"
SHOWN = 6


def figures_of(campaign: Campaign, goals: Sequence[str], labelled: bool) -> dict[str, Any]:
    """The part's figures, JSON-able."""
    settings, ground = campaign.settings, campaign.ground
    attacks: dict[str, Any] = {}
    for name in ground.subjects:
        clean = campaign.clean[name]
        attacks[name] = {"clean": _describe(clean, clean, labelled, ground.seed), "spread": _spread_of(clean)}
        for norm in settings.norms:
            attacks[name][norm] = {goal: _curve(campaign, name, norm, goal, labelled) for goal in goals}
    return {
        "protocol": PROTOCOL,
        "seed": ground.seed,
        "n_shapes": len(ground.places),
        "points": ground.view.points or int(ground.shapes.points.shape[1]),
        "rotation": ground.view.rotation,
        "feature": FEATURE,
        "norms": list(settings.norms),
        "goals": list(goals),
        "radii": [float(radius) for radius in settings.radii],
        "steps": settings.steps,
        "restarts": settings.restarts,
        "noise_draws": settings.restarts,
        "step_size_radii": REACH / settings.steps,
        "labelled": labelled,
        "subjects": attacks,
        "checks": check_attacks(campaign, goals, labelled),
        "shown": _shown_names(campaign, goals, labelled),
    }


def _curve(campaign: Campaign, name: str, norm: str, goal: str, labelled: bool) -> list[dict[str, Any]]:
    rows = []
    for radius in campaign.settings.radii:
        row: dict[str, Any] = {"radius": float(radius)}
        attack, noise = (
            campaign.find(subject=name, norm=norm, goal=goal, radius=float(radius), how=how)
            for how in ("gradient", "noise")
        )
        row |= _describe(attack, campaign.clean[name], labelled, campaign.ground.seed)
        row["goal_by_step"] = attack.trace.mean(axis=0, dtype=np.float64).tolist()
        row["noise"] = _describe(noise, campaign.clean[name], labelled, campaign.ground.seed)
        rows.append(row)
    return rows


def _describe(outcome: Outcome, clean: Outcome, labelled: bool, seed: int) -> dict[str, Any]:
    """Means over the shapes with their standard errors; accuracies with 95 % intervals."""
    figures: dict[str, Any] = {}
    if labelled:
        lost = outcome.right[clean.right]
        figures["accuracy"] = float(outcome.right.mean())
        figures["accuracy_interval"] = mean_interval(outcome.right, seed=seed)
        figures["success_rate"] = float(1 - lost.mean()) if len(lost) else 0.0
    for name in ("value", "kl", "w2", "way", "cd_l2_mean"):
        each = getattr(outcome, name).astype(np.float64)
        figures[name] = float(each.mean())
        figures[f"{name}_standard_error"] = float(standard_error(each))
    figures["way_in_spreads"] = figures["way"] / max(_spread_of(clean), 1e-12)
    return figures


def _spread_of(clean: Outcome) -> float:
    """Root mean square over dimensions of the deviation of the shapes' own means, to measure ways by."""
    return float(np.sqrt(clean.mean.astype(np.float64).var(axis=0).mean()))


def _shown_rows(count: int) -> Array:
    """Rows of the shapes that are shown, evenly over those attacked, whatever became of them."""
    return np.unique(np.linspace(0, count - 1, min(SHOWN, count)).astype(int))


def _shown_names(campaign: Campaign, goals: Sequence[str], labelled: bool) -> dict[str, Any]:
    ground, radius = campaign.ground, campaign.settings.middle
    rows = _shown_rows(len(ground.places))
    facts: dict[str, Any] = {"radius": radius, "goal": goals[0]}
    facts["names"] = [ground.shapes.names[ground.places[row]] for row in rows]
    if labelled:
        classes, before = ground.shapes.classes, campaign.clean["trained"].guess
        facts["before"] = [classes[before[row]] for row in rows]
        for norm in campaign.settings.norms:
            after = campaign.find(subject="trained", norm=norm, goal=goals[0], radius=radius, how="gradient").guess
            facts[f"after_{norm}"] = [classes[after[row]] for row in rows]
    return facts


def arrays_of(campaign: Campaign, goals: Sequence[str], labelled: bool) -> dict[str, Array]:
    """Figures of each shape, and the clouds that the report draws."""
    settings, ground = campaign.settings, campaign.ground
    arrays: dict[str, Array] = {"places": ground.places}
    for name, clean in campaign.clean.items():
        if labelled:
            arrays[f"right_{name}_clean"] = clean.right
        for norm in settings.norms:
            for goal in goals:
                found = [
                    campaign.find(subject=name, norm=norm, goal=goal, radius=float(radius), how="gradient")
                    for radius in settings.radii
                ]
                if labelled:
                    arrays[f"right_{name}_{norm}_{goal}"] = np.stack([outcome.right for outcome in found])
                arrays[f"kl_{name}_{norm}_{goal}"] = np.stack([outcome.kl for outcome in found])
    rows = _shown_rows(len(ground.places))
    arrays["shown"] = ground.view.clouds(ground.shapes, [int(place) for place in ground.places[rows]])
    for norm in settings.norms:
        wanted = {"subject": "trained", "norm": norm, "goal": goals[0], "radius": settings.middle, "how": "gradient"}
        arrays[f"shown_{norm}"] = arrays["shown"] + campaign.find(**wanted).move[rows]
    return arrays
