"""What a run folder says of its training, as the parameters of a `PointVAETransformer`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pointvae
from pointvae.errors import InputError
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Objective
from pointvae.transforms import Transform

PARTS = ("encoder", "decoder", "likelihood", "latent_dim", "encoder_args", "decoder_args", "likelihood_args")
"""What the transformer and every model call by the same name."""

SETTINGS = {
    "points": "points",
    "batch_size": "batch_size",
    "learning_rate": "learning_rate",
    "epochs": "max_epochs",
    "seed": "random_state",
}
"""A run's settings -> the transformer's parameters."""


def parameters_of(config: Mapping[str, Any], model: PointVAE, own_objective: bool) -> dict[str, Any]:
    """The parameters of the transformer that would have trained a run's model.

    Args:
        config: the run's ``config.json``.
        model: its model.
        own_objective: leave the objective out.

    Raises:
        InputError: the run was trained with an objective that is not of this package.
    """
    arguments = dict(model.config)
    told = {name: arguments.pop(name) for name in PARTS}
    told["points"] = told["output_points"] = arguments.pop("points")
    told |= {ours: config[theirs] for theirs, ours in SETTINGS.items() if config.get(theirs) is not None}
    told |= {"model": type(model).__name__, "model_args": arguments or None}
    told["normalize"] = (config.get("preparation") or {}).get("normalize", "sphere")
    if "objective" in config and not own_objective:
        told["objective"] = rebuilt(config["objective"])
    return told


def rebuilt(description: Any) -> Any:
    """The objective that `training.run_folder.describe` described; nothing but this package's classes is called.

    Raises:
        InputError: it is of a class that is not of this package.
    """
    if isinstance(description, Mapping) and "class_path" in description:
        owner, _, name = str(description["class_path"]).rpartition(".")
        made = getattr(pointvae, name) if owner == "pointvae" and name in pointvae.__all__ else None
        if not (isinstance(made, type) and issubclass(made, Objective | Transform)):
            raise InputError(f"the run's objective {owner}.{name} is not of pointvae; give it: objective=…")
        return made(**{key: rebuilt(value) for key, value in description.get("init_args", {}).items()})
    if isinstance(description, list):
        return [rebuilt(value) for value in description]
    return description
