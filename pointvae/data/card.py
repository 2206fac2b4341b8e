"""The dataset card: the README.md of a dataset folder, its YAML head read by Hugging Face and by us."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pointvae.errors import InputError, printable
from pointvae.writing import write_text

CARD = "README.md"
MANIFEST = ".prepare.json"
"""The recipe of a preparation that is not finished; the card takes its place when it is."""

LOADER, DUMPER = getattr(yaml, "CSafeLoader", yaml.SafeLoader), getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""Those in C where PyYAML has them: the cards of large datasets list thousands of shards."""

SPLIT_NAMES = ("train", "validation", "test")

HUB_LICENCES = {"unknown", "apache-2.0", "mit", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0"}
"""Licences that the head may name as they are; Hugging Face takes others under ``license_name``."""


def write_card(folder: Path, facts: dict[str, Any]) -> None:
    """Write the card of a finished dataset; its presence marks the folder as complete.

    Args:
        folder: the dataset folder.
        facts: what stands under ``pointvae:`` in the head: classes, splits, points, up, source_up, normalize,
            dtype, normals, factors, source, licence, recipe, shards, skipped; of a named set also origin.
    """
    head = yaml.dump(_head(facts), Dumper=DUMPER, sort_keys=False, allow_unicode=True, width=110)
    write_text(folder / CARD, f"---\n{head}---\n\n{_body(facts)}")


def read_card(folder: Path) -> dict[str, Any]:
    """The YAML head of a dataset folder's card.

    Raises:
        InputError: there is no folder, no card, or the card is not one that ``prepare`` wrote.
    """
    if not folder.exists():
        raise InputError(f"{folder}: no such dataset folder; make one with `pointvae prepare SOURCE {folder}`")
    if not folder.is_dir():
        raise InputError(f"{folder}: is a file, not a dataset folder; `pointvae prepare` makes one from it")
    path = folder / CARD
    if not path.is_file():
        if (folder / MANIFEST).exists():
            raise InputError(
                f"{folder}: its preparation was not finished; run the same `pointvae prepare` again, "
                "it goes on where it stopped"
            )
        raise InputError(
            f"{folder}: not a dataset folder (it has no {CARD}); make one with `pointvae prepare SOURCE DATASET`"
        )
    text = path.read_text(encoding="utf-8", errors="replace")
    parts = text.split("---\n", 2) if text.startswith("---\n") else []
    try:
        head = yaml.load(parts[1], Loader=LOADER) if len(parts) == 3 else None  # both are safe loaders
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, TypeError):  # of tags, of dates, of depth
        head = None
    if not isinstance(head, dict) or not isinstance(head.get("pointvae"), dict):
        raise InputError(
            f"{path}: the head of the card is missing or damaged; make the dataset anew with `pointvae prepare`"
        )
    wrong = _wrong(head["pointvae"])
    if wrong:
        raise InputError(f"{path}: {wrong} in the card is missing or damaged; make the dataset anew")
    return head


def _wrong(facts: dict[str, Any]) -> str:
    """The first of the facts that is not what `write_card` writes; nothing where all are."""
    splits, shards = facts.get("splits"), facts.get("shards")
    for name, right in (
        ("classes", _is_list(facts.get("classes"), lambda item: isinstance(item, str | int | float))),
        ("points", _is_count(facts.get("points")) and 1 <= facts["points"] < 1 << 31),
        ("splits", isinstance(splits, dict) and all(map(_is_split, splits.items()))),
        ("shards", _is_list(shards, lambda shard: _is_shard(shard, splits))),
        (
            "skipped",
            _is_list(facts.get("skipped"), lambda row: isinstance(row, dict) and {"file", "why"} <= row.keys()),
        ),
        *((name, isinstance(facts.get(name), str)) for name in ("up", "source_up", "normalize", "source", "licence")),
        *((name, isinstance(facts.get(name), bool)) for name in ("normals", "factors")),
        ("recipe", isinstance(facts.get("recipe"), dict)),
    ):
        if not right:
            return repr(name)
    return ""


def _is_list(value: Any, each: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(map(each, value))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62


def _is_split(item: tuple[Any, Any]) -> bool:
    name, split = item
    return name in SPLIT_NAMES and isinstance(split, dict) and _is_count(split.get("shapes"))


def _is_shard(shard: Any, splits: Any) -> bool:
    """A shard lies in the folder of its card, and nowhere else."""
    return (
        isinstance(shard, dict)
        and re.fullmatch(r"[\w-]+\.parquet", str(shard.get("file"))) is not None
        and isinstance(splits, dict)
        and str(shard.get("split")) in splits
        and _is_count(shard.get("rows"))
        and _is_count(shard.get("bytes"))
        and isinstance(shard.get("sha256"), str)
    )


def is_dataset(folder: Path) -> bool:
    """Whether a folder is a finished dataset folder of ours."""
    try:
        read_card(folder)
    except InputError:
        return False
    return True


def _head(facts: dict[str, Any]) -> dict[str, Any]:
    licence = str(facts["licence"])
    known = licence.lower() in HUB_LICENCES
    head: dict[str, Any] = {"license": licence.lower() if known else "other"}
    if not known:
        head["license_name"] = licence
    head["tags"] = ["point-cloud", "3d", "pointvae"]
    splits = [name for name, split in facts["splits"].items() if split["shapes"]]
    head["configs"] = [
        {
            "config_name": "default",
            "data_files": [{"split": name, "path": f"{name}-*.parquet"} for name in splits],
        }
    ]
    head["dataset_info"] = {
        "features": _features(facts),
        "splits": [_split(facts, name) for name in splits],
    }
    head["pointvae"] = facts
    return head


def _split(facts: dict[str, Any], name: str) -> dict[str, Any]:
    size = sum(shard["bytes"] for shard in facts["shards"] if shard["split"] == name)
    return {"name": name, "num_bytes": size, "num_examples": facts["splits"][name]["shapes"]}


def _features(facts: dict[str, Any]) -> list[dict[str, Any]]:
    cloud = {"array2_d": {"shape": [facts["points"], 3], "dtype": facts["dtype"]}}
    features: list[dict[str, Any]] = [{"name": "points", "dtype": cloud}]
    if facts["normals"]:
        features.append({"name": "normals", "dtype": cloud})
    if facts["classes"]:
        names = {str(index): name for index, name in enumerate(facts["classes"])}
        features.append({"name": "label", "dtype": {"class_label": {"names": names}}})
    features += [{"name": "name", "dtype": "string"}, {"name": "source", "dtype": "string"}]
    if facts["factors"]:
        features.append({"name": "factors", "dtype": "string"})
    return features


def _body(facts: dict[str, Any]) -> str:
    splits = facts["splits"]
    turned = "" if facts["source_up"] == "z" else f" (the source's {facts['source_up']} axis, turned)"
    scale = {
        "sphere": "centred on the mean of the points, farthest point at distance 1",
        "cube": "centred on the middle of the bounding box, largest half extent 1",
        "none": "as in the source",
    }[facts["normalize"]]
    lines = [
        f"# {markdown(facts['source'])}",
        "",
        f"{sum(split['shapes'] for split in splits.values())} point clouds of {facts['points']} points, "
        f"prepared by pointvae from {markdown(facts['source'])}.",
        "",
        f"- up axis: z{turned}",
        f"- position and size: {scale}",
        f"- licence: {markdown(facts['licence'])}",
        *_origin(facts.get("origin")),
        f"- seed: {facts['recipe']['seed']}",
        "",
        '```python\nimport pointvae\n\nshapes = pointvae.load_dataset("THIS FOLDER")["train"]\n'
        "shapes.points, shapes.labels, shapes.names\n```",
        "",
        "## Shapes",
        "",
        "| class | " + " | ".join(splits) + " |",
        "|---|" + "---:|" * len(splits),
    ]
    for name in facts["classes"]:
        lines.append(
            f"| {markdown(name)} | " + " | ".join(str(s["classes"].get(name, 0)) for s in splits.values()) + " |"
        )
    lines.append("| **all** | " + " | ".join(str(split["shapes"]) for split in splits.values()) + " |")
    lines += ["", "## Left out", ""]
    if facts["skipped"]:
        lines += ["| file | why |", "|---|---|"]
        lines += [f"| {markdown(row['file'])} | {markdown(row['why'])} |" for row in facts["skipped"]]
    else:
        lines.append("No file was left out.")
    return "\n".join(lines) + "\n"


def _origin(origin: dict[str, Any] | None) -> list[str]:
    if origin is None:
        return []
    archive = f"{origin['archive']}, SHA-256 {origin['sha256']}" if origin["sha256"] else "an unpacked copy"
    use = "research only" if origin["research_only"] else "any"
    return [
        f"- release: {origin['title']}, {origin['homepage']}; use: {use}",
        f"- cite: {origin['citation']}",
        f"- made from: {archive} ({origin['checksum']})",
        *(f"- note: {note}" for note in origin["notes"]),
    ]


def markdown(text: object) -> str:
    r"""A name as Markdown shows it: one printable line, no markup of its own, whatever is in it.

    Example:
        >>> markdown("<b>| chair\n# `x`")
        '&lt;b&gt;\\| chair # \\`x\\`'
    """
    shown = html.escape(printable(str(text)), quote=False)
    return re.sub(r"([|`*\[\]$])", r"\\\1", shown.replace("\\", "\\\\"))
