"""What docs/methods.md says of results/methods.csv and results/methods-long.csv."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from claims.measured import by_seed, mean, more, points
from claims.readme import BASES
from claims.words import span, to_halves, whether, word
from methods import LONG, METHODS, POINTS, RESULTS
from runs import read_rows

RHO = 0.975
"""Of AVAE's coupling, in configs/avae.yaml."""


def sentences() -> Iterator[str]:
    """All of the page's, in its order."""
    rows = read_rows(RESULTS)
    (shapes,) = {(row["n_train"], row["n_test"]) for row in rows}
    yield f"{int(shapes[0]):,} shapes to train (80 of them held out to validate), {int(shapes[1]):,} to test"
    yield from about_consistency()
    yield from about_bounds()
    yield from about_self_consistency()
    yield from about_time()


def about_consistency() -> Iterator[str]:
    """CR, the triplet, the canonical target."""
    effective = [mean(method, "effective_samples") for method in METHODS]
    yield f"number of those draws is {span(effective)} for every trained method"
    closed = {m: 1 - mean(m, "consistency_gap") / mean(c, "consistency_gap") for m, c in BASES}
    beta = closed.pop("cr-beta-vae")
    augmented, *plain = (points(method, control, "mean_rotated") for method, control in BASES)
    yield (
        "On every one of the four bases it closes "
        f"{whether('more than half of the gap', all(share > 0.5 for share in closed.values()))} "
        f"({whether('a third on beta-VAE', abs(beta - 1 / 3) < 0.05)}, where little was left) and raises the rotated "
        f"posterior mean, by {augmented:.1f} points over augmentation alone and by {span(plain)} over the plain bases"
    )
    aligned = [points(method, control) for method, control in BASES]
    yield whether(
        "Aligned accuracy it leaves where it was, within the spread.",
        all(abs(gain) < 100 * _spread(*pair, "mean_aligned") for gain, pair in zip(aligned, BASES, strict=True)),
    )
    encoder = [points(method, control, "encoder_rotated") for method, control in BASES]
    yield f"The encoder's feature gains {span(encoder)} points under rotation, about its spread."
    price = -more("cr-vae", "vae-aug", "bound")
    yield (
        f"The price is the bound: {price:.3f} nats per point ({price * POINTS:.0f} nats a shape) below augmentation "
        "alone"
    )
    over = {name: more(f"cr-{name}", name, "bound") for name in ("vae", "iwae", "ladder")}
    told = ", ".join(
        f"{label} {over[name]:.2f}" for name, label in (("vae", "VAE"), ("iwae", "IWAE"), ("ladder", "ladder"))
    )
    yield f"(Against plain bases, whose bound gains nothing from augmentation: {told}.)"
    spread = 100 * _spread("triplet", "vae-aug", "mean_rotated")
    moved = points("triplet", "vae-aug", "mean_rotated")
    yield f"moves the gap little and the rotated accuracy by {moved:.1f} ± {spread:.1f}."
    flat = [name for name in METHODS if "ladder" not in name]
    yield whether(
        "Its codes survive decoding best among flat models.",
        max(flat, key=lambda name: mean(name, "mean_after_rounds")) == "cr-vae-canonical",
    )


def about_bounds() -> Iterator[str]:
    """The ladder, IWAE, beta-VAE, SE."""
    gain = more("ladder", "vae", "bound")
    yield (
        f"beats the flat VAE's bound by {gain:.2f} nats per point ({gain * POINTS:.0f} nats a shape) at equal "
        f"epochs, and its aligned posterior mean by {points('ladder', 'vae'):.1f} points"
    )
    times = mean("ladder", "consistency_gap") / mean("vae", "consistency_gap")
    left = mean("cr-ladder", "consistency_gap") / mean("vae", "consistency_gap")
    yield f"its gap is {word(times)} times the VAE's, and {whether('CR takes it to the VAE', 0.8 < left < 1.2)}'s"
    best = max(METHODS, key=lambda name: mean(name, "mean_rotated"))
    yield whether("`cr-ladder` is the best here under rotation", best == "cr-ladder")
    # log p(x) is kept as its negative
    yield f"{more('iwae', 'vae', 'bound'):.2f} and {-more('iwae', 'vae', 'nll'):+.2f} nats per point"
    lost = [-points("beta-vae", "vae", column) for column in ("mean_aligned", "mean_rotated")]
    share = 1 - mean("beta-vae", "bound") / mean("vae", "bound")
    yield (
        f"gives away {lost[0]:.1f} points of the aligned and {lost[1]:.1f} of the rotated posterior mean, and "
        f"{whether('more than half', share > 0.5)} of the bound"
    )
    halved = mean("se", "consistency_gap") / mean("vae", "consistency_gap")
    yield (
        f"({whether('the gap halves', 0.4 < halved < 0.6)} without a single transformation) and costs "
        f"{-points('se', 'vae'):.1f} points"
    )


def about_self_consistency() -> Iterator[str]:
    """AVAE at the budget of all."""
    share = {name: 100 * mean(name, "drift_share") for name in ("avae", "vae", "avae-ss")}
    yield f"One round moves its codes less ({share['avae']:.0f} % of their variance against {share['vae']:.0f} %)"
    below = mean("avae", "mean_aligned") < mean("untrained", "mean_aligned")
    fewer = mean("avae", "mean_after_rounds") < mean("vae", "mean_after_rounds")
    yield (
        f"aligned accuracy falls by {-points('avae', 'vae'):.0f} points, "
        f"{whether('below the untrained encoder', below)}'s, the bound by {-more('avae', 'vae', 'bound'):.2f} nats "
        f"per point, and after five rounds the frozen probe {whether('reads less', fewer)} than from the plain VAE"
    )
    wanted, price = math.sqrt(1 - RHO**2), -0.5 * math.log(1 - RHO**2)
    yield (
        f"rho {RHO} asks all 64 latents for a deviation of {wanted:.2f}, {price:.1f} nats each where the data offer "
        f"some {mean('vae', 'kl'):.0f} in all"
    )
    accuracies = [points("avae-ss", "vae", column) for column in ("mean_aligned", "mean_rotated")]
    yield (
        f"keeps most of its accuracy ({accuracies[0]:.1f} points aligned, {accuracies[1]:.1f} rotated) and brings "
        f"the share from {share['vae']:.0f} to {share['avae-ss']:.0f} %"
    )
    narrower = mean("vae", "posterior_std") / mean("avae-ss", "posterior_std")
    yield f"since its posteriors are {to_halves(narrower)} times narrower"
    rounds = {name: 100 * mean(name, "mean_after_rounds") for name in ("vae", "ladder", "cr-vae-canonical")}
    long = 100 * mean("vae", "mean_after_rounds", long=True)
    yield f"Of {100 * mean('vae', 'mean_aligned'):.0f} % the frozen probe keeps {rounds['vae']:.0f} %"
    yield (
        f"(ladder, {rounds['ladder']:.0f} %; the VAE trained {word(_longer())} times as long, {long:.0f} %) or a "
        f"denoising target (canonical, {rounds['cr-vae-canonical']:.0f} %)"
    )


def about_time() -> Iterator[str]:
    """AVAE with a longer budget."""
    yield f"With {word(_longer())} times the epochs"
    narrow, wide = (mean(name, "posterior_std", long=True) for name in ("avae", "vae"))
    ours, theirs = (100 * mean(name, "drift_share", long=True) for name in ("avae", "vae"))
    nats = more("avae", "vae", "drift", long=True)
    yield (
        f"Now the posteriors have come down to {narrow:.2f}; a round moves the codes by {ours:.0f} % of their "
        f"variance where the VAE's move by {theirs:.0f}, {whether('less in nats too', nats < 0)}, though these count "
        f"in widths {whether('less than half', narrow < wide / 2)} of the VAE's"
    )
    above = mean("avae", "mean_aligned", long=True) > mean("untrained", "mean_aligned", long=True)
    yield f"the accuracy is {whether('above', above)} the untrained encoder's again"
    yield f"It is still {-points('avae', 'vae', long=True):.0f} points below the VAE's of the same budget"


def _longer() -> float:
    epochs = (
        float(next(row for row in read_rows(path) if row["method"] == "vae")["epochs"]) for path in (LONG, RESULTS)
    )
    long, short = epochs
    return long / short


def _spread(method: str, control: str, column: str) -> float:
    ours, theirs = by_seed(method, column), by_seed(control, column)
    return float(np.std([ours[seed] - theirs[seed] for seed in ours if seed in theirs], ddof=1))
