"""The trainings that the experiments compare: each a name, and the model and objective that it stands for.

A cell is what `pointvae train --config` takes, less the budget's own settings (points, epochs, batch, rate). Tables
share cells, so a training is made once however many tables show it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

Settings = dict[str, Any]

TURN: Settings = {"class_path": "RotateUp", "init_args": {"degrees": 180}}
MILD_TURN: Settings = {"class_path": "RotateUp", "init_args": {"degrees": 15}}
SCALE: Settings = {"class_path": "Scale", "init_args": {"low": 0.8, "high": 1.25}}
JITTER: Settings = {"class_path": "Jitter", "init_args": {"sigma": 0.01}}
ALL: list[Settings] = [TURN, SCALE, JITTER]
MILD: list[Settings] = [MILD_TURN, SCALE, JITTER]

FLAT: Settings = {
    "class_path": "PointVAE",
    "init_args": {
        "encoder": "pointnet",
        "decoder": "mlp",
        "likelihood": "mixture",
        "latent_dim": 128,
        "likelihood_args": {"sigma": 0.05},
    },
}
LADDER: Settings = {
    "class_path": "LadderPointVAE",
    "init_args": {**FLAT["init_args"], "local_dims": [4]},  # 16 anchors: 64 of the 128 latents stay global
}


def wrapped(name: str, base: Any, **arguments: Any) -> Settings:
    """An objective around another."""
    return {"class_path": name, "init_args": {"base": base, **arguments}}


def consistency(base: Any = "ELBO", weight: float = 1.0, transforms: Any = None, **arguments: Any) -> Settings:
    """CR around a bound; with weight 0 the bound on both clouds alone, which is data augmentation."""
    return wrapped("Consistency", base, weight=weight, transforms=transforms or ALL, **arguments)


ELBO: Settings = {"class_path": "ELBO", "init_args": {"beta": 1.0}}
BETA: Settings = {"class_path": "ELBO", "init_args": {"beta": 4.0}}
IWAE: Settings = {"class_path": "IWAE", "init_args": {"samples": 5}}
WARM: Settings = {"class_path": "ELBO", "init_args": {"warmup_steps": 500, "balance": True}}
AVAE: Settings = wrapped("SelfConsistency", ELBO, rho=0.975)
SMOOTH: Settings = wrapped("SmoothEncoder", ELBO, coupling=39.0, radius=0.05)


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        name: what rows and tables call it.
        objective: what `--config` takes as `objective`.
        model: what it takes as `model`.
        changed: arguments of the model that differ from the budget's, such as the encoder.
        settings: settings of the training that differ from the budget's, such as `ema`.
        refines: the cell whose finished model is refined without data; trained from scratch when absent.
    """

    name: str
    objective: Settings
    model: Settings = field(default_factory=lambda: copy.deepcopy(FLAT))
    changed: Settings = field(default_factory=dict)
    settings: Settings = field(default_factory=dict)
    refines: str | None = None


def _bases() -> list[Cell]:
    """Every base plain, with augmentation, and with CR."""
    made = []
    for base, objective, model in (
        ("vae", ELBO, FLAT),
        ("beta-vae", BETA, FLAT),
        ("iwae", IWAE, FLAT),
        ("ladder", WARM, LADDER),
    ):
        made.append(Cell(base, objective, model))
        made.append(Cell(f"{base}+aug", consistency(objective, 0.0), model))
        made.append(Cell(f"{base}+cr", consistency(objective, 1.0), model))
    return made


def _regularisers() -> list[Cell]:
    """The weight, each transformation alone, the second bound, and what the transformed cloud must reconstruct."""
    made = [Cell(f"cr-weight-{weight:g}", consistency(weight=weight)) for weight in (0.1, 10.0)]
    for name, transform in (("turn", TURN), ("scale", SCALE), ("jitter", JITTER)):
        made.append(Cell(f"aug-{name}", consistency(weight=0.0, transforms=[transform])))
        made.append(Cell(f"cr-{name}", consistency(transforms=[transform])))
    made.append(Cell("cr-one-bound", consistency(second_bound=False)))
    for name, weight in (("aug", 0.0), ("cr", 1.0)):
        made.append(Cell(f"{name}-canonical", consistency(weight=weight, target="canonical")))
        made.append(Cell(f"{name}-mild", consistency(weight=weight, transforms=MILD)))
        made.append(Cell(f"{name}-canonical-mild", consistency(weight=weight, target="canonical", transforms=MILD)))
    made.append(Cell("cr-block", consistency(block=112)))
    return made


def _architectures() -> list[Cell]:
    """Encoders and likelihoods, with augmentation and with CR."""
    made = []
    for encoder in ("pointnet", "dgcnn", "foldingnet"):
        for likelihood in ("mixture", "chamfer"):
            if (encoder, likelihood) == ("pointnet", "mixture"):
                continue  # vae+aug and vae+cr
            for name, weight in (("aug", 0.0), ("cr", 1.0)):
                changed = {"encoder": encoder, "likelihood": likelihood}
                made.append(Cell(f"{encoder}-{likelihood}+{name}", consistency(weight=weight), changed=changed))
    return made


def _self_consistent() -> list[Cell]:
    """The methods of the AVAE paper, and both papers' at once."""
    return [
        Cell("se", SMOOTH),
        Cell("avae", AVAE),
        Cell("se-avae", wrapped("SelfConsistency", SMOOTH, rho=0.975)),
        Cell("avae-ss", AVAE, refines="vae"),
        Cell("cr-avae", consistency(AVAE)),
    ]


CELLS: dict[str, Cell] = {
    cell.name: cell for cell in (*_bases(), *_regularisers(), *_architectures(), *_self_consistent())
}
