"""Saving and loading models: safetensors for the weights, JSON for the rest, nothing that runs on loading."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from pointvae.errors import InputError
from pointvae.models.build import build_model
from pointvae.models.vae import PointVAE
from pointvae.writing import whole_file, write_text

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save_pretrained(model: PointVAE, folder: str | Path, extra: Mapping[str, Any] | None = None) -> None:
    """Write ``model.safetensors`` and ``config.json``.

    Args:
        model: the model.
        folder: where to; made if absent.
        extra: JSON-able facts kept beside the constructor's arguments (seed, points, preparation, classes…).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}))
    facts = {"model_class": type(model).__name__, "model": model.config, **(extra or {})}
    write_text(folder / CONFIG, json.dumps(facts, indent=2) + "\n")


def read_run_config(folder: str | Path) -> dict[str, Any]:
    """The contents of a run folder's ``config.json``.

    Raises:
        InputError: there is no such folder, or it holds no readable configuration.
    """
    path = Path(folder) / CONFIG
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such run folder; make one with `pointvae train DATASET {folder}`")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder}: not a finished run ({CONFIG} is missing); train it, or go on with --resume"
        ) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); restore it or train again") from None
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise InputError(f"{path}: holds no 'model' section; restore it or train again")
    return config


def from_pretrained(folder: str | Path) -> PointVAE:
    """A trained model in evaluation mode from a run folder.

    Raises:
        InputError: the folder is not a run, its weights are damaged, or they belong to another architecture.
    """
    model = untrained_twin(folder)
    path = Path(folder) / WEIGHTS
    try:
        state = load_file(path)
    except FileNotFoundError:
        raise InputError(f"{folder}: {WEIGHTS} is missing; train it, or go on with --resume") from None
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: damaged or not safetensors ({error}); restore it or train again") from None
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in state.items()}
    if own != theirs:
        name = sorted(own.items() ^ theirs.items())[0][0]
        raise InputError(
            f"{path}: weights of another architecture than {CONFIG} describes: {name} is "
            f"{theirs.get(name, 'absent')}, expected {own.get(name, 'absent')}; restore the pair of files"
        )
    model.load_state_dict(state)
    return model


def untrained_twin(folder: str | Path) -> PointVAE:
    """The model of a run as it was before training: same architecture, same seed, in evaluation mode."""
    config = read_run_config(folder)
    try:
        kind = str(config.get("model_class", "PointVAE"))
        return build_model(config["model"], int(config.get("seed", 0)), kind).eval()
    except (TypeError, ValueError) as error:
        raise InputError(f"{Path(folder) / CONFIG}: {error}") from None
