"""Small trained models that come with the package: each a folder here, as `save_pretrained` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pointvae.errors import InputError
from pointvae.refusals import near

HERE = Path(__file__).parent
PREFIX = "pretrained:"


def bundled() -> list[str]:
    """The names of the models that come with the package."""
    return sorted(path.parent.name for path in HERE.glob("*/config.json"))


def bundled_folder(name: str) -> Path:
    """The folder of a model that comes with the package.

    Args:
        name: its name, with or without ``pretrained:`` in front.

    Raises:
        InputError: there is none of that name.
    """
    known = bundled()
    short = name.removeprefix(PREFIX)
    if short not in known:
        raise InputError(
            f"{name}: no such model comes with pointvae{near(short, known)}; there are {', '.join(known)}, see "
            "`pointvae models`"
        )
    return HERE / short


def list_pretrained() -> list[dict[str, Any]]:
    """The models that come with the package, one row each; nothing is loaded, nothing asked of a network.

    Returns:
        Of each ``name`` (what `from_pretrained` takes, and the command line as ``pretrained:NAME``), ``description``,
        ``data``, ``licence`` of the weights, ``research_only``, ``citation`` of the data, ``encoder``,
        ``latent_dim``, ``points`` (of a cloud as trained), ``parameters``, ``bytes``, ``accuracy`` and
        ``untrained_accuracy`` (linear SVM on the posterior mean, test shapes of its data, see its card), ``folder``.

    Example:
        >>> [row["name"] for row in list_pretrained()]
        ['cr-modelnet40', 'cr-shapes']
    """
    return [_row(name) for name in bundled()]


def _row(name: str) -> dict[str, Any]:
    folder = HERE / name
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    facts = config["bundled"]
    probed = next(
        row for row in config["measured"]["probes"] if (row["feature"], row["rotation"]) == ("posterior_mean", "none")
    )
    return {
        "name": name,
        **{key: facts[key] for key in ("description", "data", "licence", "research_only", "citation")},
        "encoder": config["model"]["encoder"],
        "latent_dim": config["model"]["latent_dim"],
        "points": config["points"],
        "parameters": facts["parameters"],
        "bytes": sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
        **{key: probed[key] for key in ("accuracy", "untrained_accuracy")},
        "folder": str(folder),
    }
