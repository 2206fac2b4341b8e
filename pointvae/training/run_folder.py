"""What a run folder says of itself: the complete configuration, the facts beside the weights, the model card."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pointvae.errors import InputError
from pointvae.hub import CARD, CONFIG
from pointvae.model_card import model_card
from pointvae.models.vae import PointVAE
from pointvae.objectives.base import Objective
from pointvae.processes import starts_alone
from pointvae.training.checkpoint_files import sound_checkpoint
from pointvae.transforms import Transform
from pointvae.writing import write_text

MACHINE = {"accelerator", "devices", "strategy", "num_nodes", "precision", "compile", "loading", "checkpoint_every"}
FREE = MACHINE | {"epochs", "logger", "pictures_every"}  # may change when a run goes on


def check_folder(run: Path, resume: bool, config: Mapping[str, Any]) -> None:
    """Refuse to overwrite another run, or to go on with other settings or from a damaged checkpoint.

    Raises:
        InputError: the folder is a file, holds something and ``resume`` is not asked for, was made with other
            settings, or its checkpoint is damaged.
    """
    if not starts_alone():
        return
    if run.exists() and not run.is_dir():
        raise InputError(f"{run}: is a file, not a run folder; choose another name")
    if not run.is_dir() or not any(run.iterdir()):
        return
    if not resume:
        what = "a run" if (run / "config.yaml").is_file() or (run / CONFIG).is_file() else "other files"
        raise InputError(f"{run}: already holds {what}; choose another folder, remove it, or pass --resume")
    path = run / "config.yaml"
    try:
        before = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except yaml.YAMLError:
        before = None
    if not isinstance(before, dict):
        raise InputError(f"{path}: is damaged; remove {run} and train again")
    if before and ("model" in before) != ("model" in config):
        verbs = ("train", "refine") if "model" in before else ("refine", "train")
        raise InputError("{}: was made by `pointvae {}`, not {}; choose another folder".format(run, *verbs))
    for name in sorted(set(before) & set(config) - FREE):
        if before[name] != config[name]:
            raise InputError(
                f"{run}: was made with another {name}: {_difference(before[name], config[name])}; "
                "give the same settings, or choose another folder"
            )
    sound_checkpoint(run, tell=True)


def _difference(old: Any, new: Any, name: str = "") -> str:
    """Where two descriptions first differ, for a message."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *new]:
            if old.get(key) != new.get(key):
                return _difference(old.get(key), new.get(key), key if key != "init_args" else name)
    return f"{name} {old!r}, now {new!r}".strip()


def describe(value: Any) -> Any:
    """Plain data that names an object's class and constructor arguments, as the command line's YAML has them.

    It relies on a habit of this package: an argument of a constructor is kept under its own name.
    """
    if isinstance(value, PointVAE):
        return {"class_path": f"pointvae.{type(value).__name__}", "init_args": describe(value.config)}
    if isinstance(value, Objective | Transform):
        names = list(inspect.signature(type(value)).parameters)
        path = f"pointvae.{type(value).__name__}"
        if not type(value).__module__.startswith("pointvae."):
            path = f"{type(value).__module__}.{type(value).__qualname__}"
        return {"class_path": path, "init_args": {n: describe(getattr(value, n)) for n in names}}
    if isinstance(value, Mapping):
        return {name: describe(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [describe(v) for v in value]
    return value


def write_config(run: Path, config: Mapping[str, Any], command: str) -> None:
    """Write ``config.yaml``: every setting, so that the command at its top makes the same model again.

    Args:
        run: the run folder.
        config: the settings.
        command: the verb and its first argument.
    """
    others = sorted({path for path in _class_paths(config) if not path.startswith("pointvae.")})
    allow = f" --allow_classes {','.join(others)}" if others else ""
    head = f"# pointvae {command} NEW_RUN --config config.yaml{allow}\n"
    write_text(run / "config.yaml", head + yaml.safe_dump(dict(config), sort_keys=False))


def _class_paths(value: Any) -> list[str]:
    """Every class that a description names."""
    if isinstance(value, Mapping):
        own = [str(value["class_path"])] if "class_path" in value else []
        return own + [path for item in value.values() for path in _class_paths(item)]
    return [path for item in value for path in _class_paths(item)] if isinstance(value, list | tuple) else []


def write_model_card(run: Path, facts: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Write the model card ``README.md``; of a refined run, with what it was refined from."""
    write_text(run / CARD, model_card(run.name, {**facts, "metrics": metrics}))
