"""An evaluation in the few lines that a terminal shows; everything else stands in its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

LINES = (  # the part, and the line it gives; one that lacks a figure is not shown
    ("likelihood", "{importance[nll]:.4g} nats a point (negative log-likelihood, at most), "
     "± {importance[standard_error_over_shapes]:.2g} over shapes"),
    ("latents", "{active_units} of {latent_dim} units active, KL to the prior {kl:.4g} nats a shape"),
    ("consistency", "gap {consistency_gap:.4g} ± {standard_error:.2g} nats between a shape's code and that of "
     "the shape moved"),
    ("reconstruction", "error {measures[cd_l2_mean][mean]:.4g} ± {measures[cd_l2_mean][standard_error]:.2g} "
     "(cd_l2_mean, unit-sphere lengths squared)"),
    ("generation", "1-NNA {samples[1_nna_cd_l2_mean][value]:.3g}, real shapes' own "
     "{real[1_nna_cd_l2_mean][value]:.3g} (0.5: not told apart from real ones)"),
)  # fmt: skip


def glance(metrics: Mapping[str, Any]) -> Iterator[str]:
    """The lines of an evaluation: of what, the main figures, what was left out and why, where the rest is.

    Args:
        metrics: what ``metrics.json`` holds, with ``report``: the report's path.
    """
    quick = ", quickly" if metrics["quick"] else ""
    yield (
        f"{metrics['run']} on {metrics['dataset']['name']}{quick}: {metrics['n_shapes']:,} shapes of the "
        f"{metrics['split']} split, {metrics['points']:,} points each, seed {metrics['seed']}"
    )
    if metrics["split"] != "test":
        yield f"no test split: these are {metrics['split']} shapes, which the model may have been trained on"
    for part, form in LINES:
        try:
            yield f"{part}: {form.format(**metrics[part])}"
        except (KeyError, TypeError):  # not measured, or no number
            continue
    for part, figures in metrics.items():
        if isinstance(figures, Mapping) and "left_out" in figures:
            yield f"left out: {part}: {figures['left_out']}"
    yield f"took: {metrics['seconds']['all']:.0f} s"
    yield f"report: {metrics['report']}, beside metrics.json and evaluation.npz with every figure"
