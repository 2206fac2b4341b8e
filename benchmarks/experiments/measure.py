"""The figures of one finished training: accuracies of frozen features, latents, bounds, corruption, attack."""

from __future__ import annotations

from typing import Any

import numpy as np

from pointvae.data.dataset import ShapeDataset
from pointvae.evaluation.attack import measure_attacks
from pointvae.evaluation.attacking.plan import AttackSettings
from pointvae.evaluation.features import FEATURES, encode
from pointvae.evaluation.latents import consistency_gaps, describe_latents
from pointvae.evaluation.likelihood import bound_and_nll
from pointvae.evaluation.probes import TURNS, labelled_splits
from pointvae.evaluation.probing.training import Training, encode_training
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.evaluation.robustness import measure_corruptions
from pointvae.evaluation.selection import spread_over_classes
from pointvae.evaluation.subject import Subject
from pointvae.evaluation.views import View
from pointvae.models.vae import PointVAE
from pointvae.transforms import Compose, default_transforms

SHORT = {"posterior_mean": "mean", "encoder": "encoder"}
ACCURACIES = [f"{short}_{turn.replace('/', '_')}" for turn in TURNS for short in SHORT.values()]
LATENTS = ["consistency_gap", "active_units", "posterior_std", "kl", "cd_l2_mean", "bound", "nll"]
HARM = ["mean_corrupted", "encoder_corrupted", "mean_attacked", "mean_noised"]
FIGURES = [*ACCURACIES, *LATENTS, *HARM]

BOUNDED, SAMPLES = 200, 20  # shapes and draws of the bound and of the NLL
RADIUS = 0.01  # of the attack, unit-sphere lengths, on each coordinate
ATTACK = AttackSettings(shapes=128, radii=(RADIUS,), norms=("linf",), goals=("margin",), steps=10, restarts=1)


def measure(
    model: PointVAE, data: ShapeDataset, points: int, *, turns: tuple[str, ...], harm: bool
) -> dict[str, Any]:
    """Every figure asked for, on the test split; the probes are fitted to the train split.

    Args:
        model: the model.
        data: the dataset.
        points: seen of each shape.
        turns: rotation protocols, of `pointvae probe --rotation`.
        harm: also corrupt and attack the test shapes.
    """
    train, test = labelled_splits(data)
    assert test.labels is not None
    straight = View(points, "none", 0)
    trainings: dict[str, Training] = {}
    figures: dict[str, Any] = {"n_train": len(train), "n_test": len(test)}
    for turn in turns:
        seen, asked = (View(points, each, 0) for each in TURNS[turn])
        if seen.rotation not in trainings:
            trainings[seen.rotation] = encode_training(model, train, seen)
        codes = encode(model, test, asked)
        for feature in FEATURES:
            right = trainings[seen.rotation].linear_probe(feature).predict(getattr(codes, feature)) == test.labels
            figures[f"{SHORT[feature]}_{turn.replace('/', '_')}"] = float(right.mean())
    codes = encode(model, test, straight)
    figures |= {name: value for name, value in describe_latents(codes).items() if name in LATENTS}
    gaps = consistency_gaps(model, test, Compose(default_transforms()), straight)
    figures["consistency_gap"] = float(gaps.mean(dtype=np.float64))
    figures["cd_l2_mean"] = float(reconstruct(model, straight.clouds(test)).cd_l2_mean.mean(dtype=np.float64))
    if model.likelihood.is_normalised:
        bounds = bound_and_nll(model, test[spread_over_classes(test, BOUNDED)], straight, samples=SAMPLES)
        figures |= {"bound": bounds.elbo, "nll": bounds.nll}
    if harm:
        probes = {feature: trainings["none"].linear_probe(feature) for feature in FEATURES}
        subject = {"trained": Subject(model, probes)}
        scores = measure_corruptions(subject, test, straight, quick=True).figures["scores"]["trained"]
        figures |= {f"{SHORT[f]}_corrupted": 1 - scores[f]["mean_error"] for f in FEATURES}
        attacked = measure_attacks(subject, test, straight, settings=ATTACK).figures["subjects"]["trained"]
        figures["mean_attacked"] = attacked["linf"]["margin"][0]["accuracy"]
        figures["mean_noised"] = attacked["linf"]["margin"][0]["noise"]["accuracy"]
    return figures
