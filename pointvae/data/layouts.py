"""Which files of rows a folder holds, in which configuration and split: as Hugging Face lays them out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pointvae.data.metadata import SPLIT_NAMES
from pointvae.errors import InputError
from pointvae.refusals import near

SUFFIXES = (".parquet", ".arrow")
HUB = "hf://"


@dataclass(frozen=True)
class Tables:
    """Files of rows by split, as whoever wrote them calls it, and what the recipe is to know of them."""

    name: str
    root: Path
    splits: dict[str, list[Path]]
    options: dict[str, Any] = field(default_factory=dict)


def is_tables(path: Path) -> bool:
    """Whether `save_to_disk` wrote a folder, or it holds Parquet or Arrow files; or a file is one of these."""
    if path.is_file():
        return path.suffix.lower() in SUFFIXES
    saved = any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))
    return saved or any(file.suffix.lower() in SUFFIXES for file in path.rglob("*"))


def find_tables(path: Path, name: str, config: str | None = None, **options: Any) -> Tables:
    """The files of rows beneath a folder and their splits.

    Raises:
        InputError: there are none, or several configurations of which none was chosen.
    """
    if path.is_file():
        return Tables(name, path.parent, {_split_of(path.name): [path]}, options)
    if (path / "dataset_dict.json").is_file():
        splits = _json(path / "dataset_dict.json")["splits"]
        return Tables(name, path, {split: _saved(path / split) for split in splits}, options)
    if (path / "state.json").is_file():
        return Tables(name, path, {str(_json(path / "state.json").get("_split") or "train"): _saved(path)}, options)
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    listed = [file for file in found if not file.relative_to(path).as_posix().startswith(".")]
    configs = _card_configs(path, listed) or _folder_configs(path, listed)
    if not configs:
        raise InputError(f"{name}: holds no Parquet or Arrow files")
    if config is None and len(configs) > 1 and "default" not in configs:
        raise InputError(
            f"{name}: has several configurations, {', '.join(configs)}; give one, as {HUB}OWNER/NAME:CONFIG"
        )
    chosen = config or ("default" if "default" in configs else next(iter(configs)))
    if chosen not in configs:
        raise InputError(
            f"{name}: has no configuration {chosen!r}{near(chosen, configs)}; it has {', '.join(configs)}"
        )
    return Tables(name, path, configs[chosen], options)


def _saved(folder: Path) -> list[Path]:
    return [folder / row["filename"] for row in _json(folder / "state.json")["_data_files"]]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: missing or damaged ({error}); save the data set anew") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: is no record of names and values; save the data set anew")
    return found


def _card_configs(path: Path, files: list[Path]) -> dict[str, dict[str, list[Path]]]:
    """The configurations that the head of a README.md lists, with the files of each split."""
    import yaml

    card = path / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    try:
        head = yaml.safe_load(text.split("---\n", 2)[1]) if text.startswith("---\n") else None
    except yaml.YAMLError:
        head = None
    configs: dict[str, dict[str, list[Path]]] = {}
    for entry in (head or {}).get("configs", []) if isinstance(head, dict) else []:
        data = entry.get("data_files")
        listed = data if isinstance(data, list) else [data]
        splits: dict[str, list[Path]] = {}
        for row in listed:
            split, patterns = (
                (row.get("split", "train"), row.get("path")) if isinstance(row, dict) else ("train", row)
            )
            for pattern in patterns if isinstance(patterns, list) else [patterns]:
                some = [file for file in files if pattern and file.relative_to(path).match(str(pattern))]
                splits.setdefault(split, []).extend(some)
        splits = {split: some for split, some in splits.items() if some}
        if splits:
            configs[str(entry.get("config_name", "default"))] = splits
    return configs


def _folder_configs(path: Path, files: list[Path]) -> dict[str, dict[str, list[Path]]]:
    """Without a card: the first folder is the configuration, and words in the file's path tell the split."""
    configs: dict[str, dict[str, list[Path]]] = {}
    for file in files:
        parts = file.relative_to(path).parts
        plain = len(parts) == 1 or parts[0] == "data" or parts[0].lower() in SPLIT_NAMES
        config = "default" if plain else parts[0]
        configs.setdefault(config, {}).setdefault(_split_of("/".join(parts)), []).append(file)
    return configs


def _split_of(name: str) -> str:
    words = re.findall(r"(?:^|[/_.-])(" + "|".join(SPLIT_NAMES) + r")(?=[/_.-]|$)", name.lower())
    return words[-1] if words else "train"
