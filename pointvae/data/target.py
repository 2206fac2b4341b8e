"""The folder that a preparation writes into: what may stand there, what is finished, and what is taken back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pointvae.data import shards
from pointvae.data.card import CARD, MANIFEST, is_dataset, read_card, write_card
from pointvae.errors import InputError
from pointvae.places import is_remote
from pointvae.writing import write_text


def check_target(folder: Path) -> None:
    """Refuse a folder that holds something else, before anything is read."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; choose another folder for the dataset")
    if not folder.is_dir() or (folder / MANIFEST).is_file() or is_dataset(folder):
        return
    others = sorted(path.name for path in folder.iterdir() if not path.name.endswith(".tmp"))
    if others:
        raise InputError(
            f"{folder}: holds {others[0]} and is not a dataset folder; choose another folder, or empty this one"
        )


def is_finished(folder: Path, recipe: dict[str, Any]) -> bool:
    """Whether the folder is complete and whole; damaged shards are removed, to be made again."""
    if (folder / CARD).is_file():
        facts = read_card(folder)["pointvae"]
        _compare(folder, facts["recipe"], recipe)
        bad = _damaged(folder, facts["shards"])
        if not bad:
            (folder / MANIFEST).unlink(missing_ok=True)
            return True
        _write_manifest(folder, recipe)
        (folder / CARD).unlink()
        for file in bad:
            (folder / file).unlink(missing_ok=True)
    elif (folder / MANIFEST).is_file():
        try:
            before = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{folder / MANIFEST}: damaged; remove {folder} and prepare it anew") from error
        _compare(folder, before, recipe)
    return False


def _damaged(folder: Path, listed: list[dict[str, Any]]) -> list[str]:
    """The shards that are not as the card says: by their checksums; by their sizes where they lie in a store."""
    if is_remote(folder):
        sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.name.endswith(".parquet")}
        return [row["file"] for row in listed if sizes.get(row["file"]) != row["bytes"]]
    return [row["file"] for row in listed if not _same(folder / row["file"], row["sha256"])]


def _same(path: Path, checksum: str) -> bool:
    return path.is_file() and shards.sha256(path) == checksum


def _compare(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    keys = dict.fromkeys([*now, *before])
    for key in sorted(keys, key=lambda key: key == "fingerprint"):
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        what = {
            "fingerprint": "was prepared when the source had other files",
            "format": "was prepared by another version of pointvae",
            "table": "was prepared with another table of classes",
            "source": f"was prepared from {old}, not from {new}",
        }.get(key, f"was prepared with --{key} {old}, not {new}")
        raise InputError(f"{folder}: {what}; remove it or choose another folder")


def start(folder: Path, recipe: dict[str, Any]) -> bool:
    """Make the folder with the recipe in it; return whether it was not there before."""
    created = not folder.exists()
    try:
        if not is_remote(folder):  # a store has no folders, only names with slashes
            folder.mkdir(parents=True, exist_ok=True)
        _write_manifest(folder, recipe)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{folder}: cannot be written ({reason}); choose another folder") from error
    return created


def _write_manifest(folder: Path, recipe: dict[str, Any]) -> None:
    write_text(folder / MANIFEST, json.dumps(recipe, indent=1))


def remove(folder: Path, files: Iterable[str], created: bool) -> None:
    """Take back what was written, and the folder itself if it was not there before."""
    for name in (*files, MANIFEST):
        (folder / name).unlink(missing_ok=True)
    if created and not is_remote(folder) and not any(folder.iterdir()):
        folder.rmdir()


def finish(folder: Path, facts: dict[str, Any]) -> None:
    """Write the card, which marks the dataset as complete, and clear away what a killed run may have left."""
    write_card(folder, facts)
    (folder / MANIFEST).unlink(missing_ok=True)
    if not is_remote(folder):
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()
