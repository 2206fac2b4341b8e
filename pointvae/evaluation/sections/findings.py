"""What an evaluation found, in a few sentences for someone who reads no further."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pointvae.evaluation.report_tables import percent
from pointvae.evaluation.results import Evaluation

Figures = Mapping[str, Any]


def section(run: Evaluation) -> str:
    """A list as HTML; of what was not measured it says nothing."""
    told = []
    for part, say in SAY.items():
        figures = run.metrics.get(part, {})
        if figures and "left_out" not in figures and (words := say(figures)):
            told.append(words)
    return f'<ul class="findings">{"".join(f"<li>{words}</li>" for words in told)}</ul>' if told else ""


def _classes(figures: Figures) -> str:
    first = figures["rotations"]["none"]["probes"][0]
    low, high = first["gain_interval"]
    gain = f"{100 * first['gain']:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
    verdict = "more than chance explains" if low > 0 else "a loss" if high < 0 else "which may be chance"
    return (
        f"<strong>Classes.</strong> A linear SVM reads {percent(first['accuracy'])} % off the frozen latent: {gain} "
        f"over the untrained encoder, {verdict}."
    )


def _rotation(figures: Figures) -> str:
    none, z, turned = (figures["rotations"][name]["accuracy"] for name in ("none", "z", "z/so3"))
    return (
        f"<strong>Rotation.</strong> With every shape turned about the up axis {percent(z)} % "
        f"({100 * (z - none):+.1f} points); with test shapes turned freely, as the SVM never saw them, "
        f"{percent(turned)} %."
    )


def _corruptions(figures: Figures) -> str:
    try:
        own, twin = (figures["scores"][who]["posterior_mean"] for who in ("trained", "untrained"))
    except KeyError:
        return ""
    return (
        f"<strong>Corruptions.</strong> Over 15 kinds {percent(own['mean_error'])} % are wrong, "
        f"{percent(1 - own['clean_accuracy'])} % when clean; the untrained encoder: {percent(twin['mean_error'])} %, "
        f"{percent(1 - twin['clean_accuracy'])} %."
    )


def _attacks(figures: Figures) -> str:
    if not figures["labelled"] or "linf" not in figures["norms"]:
        return ""
    own = figures["subjects"]["trained"]
    rows = own["linf"]["margin"]
    middle = rows[len(rows) // 2]
    failed = sum(not check["passed"] for check in figures["checks"])
    doubt = f" {failed} of {len(figures['checks'])} signs that the attack works are missing." if failed else ""
    return (
        f"<strong>Attack.</strong> Moves of at most {middle['radius']:g} a coordinate bring "
        f"{percent(own['clean']['accuracy'])} % down to {percent(middle['accuracy'])} %; random moves of that size "
        f"to {percent(middle['noise']['accuracy'])} %.{doubt}"
    )


def _latents(figures: Figures) -> str:
    own = figures["trained"]
    known = f"{own['mutual_information']:.2f} of at most {own['ceiling']:.2f} nats"
    if own["active_units"] == 0:
        return (
            "<strong>Latent.</strong> Collapsed: no dimension is active, so the codes tell shapes apart in nothing."
        )
    full = ", as much as so many shapes can show" if own["saturated"] else ""
    return (
        f"<strong>Latent.</strong> {own['active_units']} of {figures['dimensions']} dimensions are active; a code "
        f"gives away which shape it came from by {known}{full}."
    )


def _drift(figures: Figures) -> str:
    words = f"moved by {figures['distance_to_start'][0]:.2f} prior deviations"
    if "probe_accuracy" in figures:
        first, second = figures["probe_accuracy"][:2]
        words += f", and the SVM reads {percent(second)} % where it read {percent(first)} %"
    return f"<strong>Self-consistency.</strong> Decoded and encoded once more, codes have {words}."


def _generation(figures: Figures) -> str:
    name = "1_nna_cd_l2_mean"
    real = f", real shapes {figures['real'][name]['value']:.2f}" if "real" in figures else ""
    return (
        f"<strong>Samples.</strong> 1-NNA {figures['samples'][name]['value']:.2f}{real}: 0.5 is like real shapes, 1 "
        "is told apart at once."
    )


SAY: dict[str, Callable[[Figures], str]] = {
    "probes": lambda figures: f"{_classes(figures)}</li><li>{_rotation(figures)}",
    "corruptions": _corruptions,
    "attacks": _attacks,
    "information": _latents,
    "drift": _drift,
    "generation": _generation,
}
