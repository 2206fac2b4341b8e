"""Saving and loading models: safetensors for the weights, JSON for the rest, nothing that runs on loading."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from pointvae.errors import InputError
from pointvae.golden import GOLDEN, check_golden, write_golden
from pointvae.models.build import MODELS, build_model
from pointvae.models.vae import PointVAE
from pointvae.places import is_remote
from pointvae.pretrained import PREFIX, bundled, bundled_folder
from pointvae.writing import whole_file, write_text

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
HUB = "hf://"
HUB_ID = re.compile(r"(?:hf://)?(\w[\w.-]*/\w[\w.-]*)(?:@([^@\s]+))?")


def save_pretrained(
    model: PointVAE,
    folder: str | Path,
    extra: Mapping[str, Any] | None = None,
    *,
    dtype: Literal["float32", "float16"] = "float32",
) -> None:
    """Write ``model.safetensors``, ``config.json`` and ``golden.safetensors``, which `from_pretrained` checks.

    Args:
        model: the model.
        folder: where to; made if absent.
        extra: JSON-able facts kept beside the constructor's arguments (seed, points, preparation, classes…).
        dtype: how matrices are stored; ``float16`` halves the file, and reading makes float32 of it.

    Raises:
        InputError: a weight is too large for float16.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> save_pretrained(PointVAE(latent_dim=8, points=32), folder)
        >>> from_pretrained(folder).latent_dim
        8
    """
    folder = Path(folder)
    state = {name: _stored(name, value, dtype) for name, value in model.state_dict().items()}
    kind = type(model).__name__
    folder.mkdir(parents=True, exist_ok=True)
    (folder / GOLDEN).unlink(missing_ok=True)  # killed on the way, no golden tensors stand beside other weights
    with whole_file(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save(state))
    write_text(
        folder / CONFIG, json.dumps({"model_class": kind, "model": model.config, **(extra or {})}, indent=2) + "\n"
    )
    if kind in MODELS:  # others cannot be read either
        reader = build_model(model.config, 0, kind)
        _fill(reader, state, folder / WEIGHTS)
        write_golden(reader, folder / GOLDEN)


def _stored(name: str, value: Tensor, dtype: str) -> Tensor:
    value = value.detach().cpu().contiguous()
    if dtype == "float32" or value.dim() < 2 or not value.is_floating_point():
        return value
    half = value.half()
    if not torch.equal(half.isfinite(), value.isfinite()):
        raise InputError(f"{name}: holds {float(value.abs().max()):.3g}, too much for float16; store float32")
    return half


def run_folder(name: str | Path, *, revision: str | None = None, offline: bool = False) -> Path:
    """The folder of a run, wherever it comes from: the one place where a name becomes a folder.

    Args:
        name: a run folder; ``pretrained:NAME``, or NAME alone where no such folder is here, of a model that comes
            with pointvae; ``hf://OWNER/NAME[@REVISION]``, or ``OWNER/NAME`` where neither is a folder here, of a
            model of the Hugging Face Hub, of which only JSON, safetensors and the card are fetched.
        revision: branch, tag or commit of a model of the Hub.
        offline: ask no network; take what was fetched before.

    Raises:
        InputError: there is no such run, or it cannot be fetched.
    """
    kind, text = _kind(name), str(name)
    if kind == "bundled":
        return bundled_folder(text)
    if kind == "hub":
        return _fetched(text, revision, offline)
    if not Path(name).is_dir():
        if is_remote(text):
            raise InputError(f"{text}: runs are read from this machine; copy the folder here and name the copy")
        raise InputError(f"{name}: no such run folder; make one with `pointvae train DATASET {name}`")
    return Path(name)


def run_name(name: str | Path) -> str:
    """What a run is called beside its figures: its folder's own name, or the name it was asked for by."""
    return Path(name).resolve().name if _kind(name) == "folder" else str(name)


def elsewhere(name: str | Path, folder: Path) -> str:
    """How a process of another machine asks for the run that ``name`` gave here."""
    kind = _kind(name)
    if kind == "bundled":
        return PREFIX + folder.name
    if kind == "hub":
        match = HUB_ID.fullmatch(str(name))
        assert match is not None
        return f"{HUB}{match[1]}@{folder.name}"  # the commit that was fetched
    return str(folder.absolute())


def _kind(name: str | Path) -> Literal["folder", "bundled", "hub"]:
    text = str(name)
    if isinstance(name, Path) or Path(text).is_dir():
        return "folder"
    if text.startswith(PREFIX) or text in bundled():
        return "bundled"
    if text.startswith(HUB):
        return "hub"
    # a name misspelt in a folder that is here asks no network
    return "hub" if HUB_ID.fullmatch(text) and not Path(text.split("/")[0]).exists() else "folder"


def _fetched(name: str, revision: str | None, offline: bool) -> Path:
    """The folder, named by its commit, with the files of a model of the Hub."""
    from pointvae.data.hub import fetch

    match = HUB_ID.fullmatch(name)
    if match is None:
        raise InputError(f"{name}: not of the form {HUB}OWNER/NAME or {HUB}OWNER/NAME@REVISION")
    if revision and match[2]:
        raise InputError(f"{name}: names a revision already; leave out revision {revision!r}")
    try:
        folder = fetch(match[1], revision or match[2], offline, "model", (CONFIG, WEIGHTS, GOLDEN, CARD))
    except InputError as error:
        if name.startswith(HUB):
            raise
        raise InputError(f"{name}: no such run folder; and on the Hugging Face Hub: {error}") from error
    if not (folder / WEIGHTS).is_file() or not (folder / CONFIG).is_file():
        raise InputError(f"{name}: holds no pointvae model ({CONFIG} and {WEIGHTS}) on the Hub; nothing else is read")
    return folder


def read_run_config(name: str | Path) -> dict[str, Any]:
    """The contents of a run's ``config.json``.

    Args:
        name: what `run_folder` takes.

    Raises:
        InputError: there is no such run, or it holds no readable configuration.
    """
    folder = run_folder(name)
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{folder}: not a finished run ({CONFIG} is missing); train it, or go on with --resume"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); restore it or train again") from None
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise InputError(f"{path}: holds no 'model' section; restore it or train again")
    return config


def from_pretrained(
    name: str | Path, *, revision: str | None = None, offline: bool = False, check: bool = True
) -> PointVAE:
    """A trained model in evaluation mode, float32, on the CPU.

    Args:
        name: a run folder; ``pretrained:NAME`` or NAME of a model that comes with pointvae (`list_pretrained`); or
            ``hf://OWNER/NAME[@REVISION]`` or ``OWNER/NAME`` of the Hugging Face Hub; see `run_folder`.
        revision: branch, tag or commit of a model of the Hub.
        offline: ask no network; take what was fetched before.
        check: see that the model makes of two fixed clouds what it did where it was saved.

    Raises:
        InputError: there is no such run, its weights are damaged or belong to another architecture, or the model
            computes something else here.

    Example:
        >>> model = from_pretrained("pretrained:cr-shapes")
        >>> model.posterior(torch.randn(2, 256, 3)).mean.shape
        torch.Size([2, 64])
    """
    folder = run_folder(name, revision=revision, offline=offline)
    model = untrained_twin(folder)
    path = folder / WEIGHTS
    try:
        state = load_file(path)
    except FileNotFoundError:
        raise InputError(f"{folder}: {WEIGHTS} is missing; train it, or go on with --resume") from None
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: damaged or not safetensors ({error}); restore it or train again") from None
    _fill(model, state, path)
    if check:
        check_golden(model, folder / GOLDEN)
    return model


def _fill(model: PointVAE, state: dict[str, Tensor], path: Path) -> None:
    """Give a model its weights, in its own precision."""
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    theirs = {name: tuple(value.shape) for name, value in state.items()}
    if own != theirs:
        name = sorted(own.items() ^ theirs.items())[0][0]
        raise InputError(
            f"{path}: weights of another architecture than {CONFIG} describes: {name} is "
            f"{theirs.get(name, 'absent')}, expected {own.get(name, 'absent')}; restore the pair of files"
        )
    model.load_state_dict(state)


def untrained_twin(name: str | Path) -> PointVAE:
    """The model of a run as it was before training: same architecture, same seed, in evaluation mode."""
    folder = run_folder(name)
    config = read_run_config(folder)
    try:
        kind = str(config.get("model_class", "PointVAE"))
        _check_size(folder, config["model"], kind)
        return build_model(config["model"], int(config.get("seed", 0)), kind).eval()
    except Exception as error:  # what is built of settings that make no sense fails in every way there is
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"{folder / CONFIG}: {why}") from None


def _check_size(folder: Path, settings: Mapping[str, Any], kind: str) -> None:
    """Refuse to build a model many times larger than the weights that it is to have.

    Raises:
        InputError: the configuration describes such a one.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        return
    with torch.device("meta"):  # shapes, and no memory
        twin = build_model(settings, 0, kind)
    size, held = sum(4 * value.numel() for value in twin.state_dict().values()), path.stat().st_size
    if size > 4 * held + (64 << 20):
        raise InputError(f"describes a model of {size / 1e9:.3g} GB, and {WEIGHTS} holds {held / 1e6:.3g} MB")
