"""What `pointvae datasets` tells: the named sets, what is here of them, and what each wants."""

from __future__ import annotations

from typing import Any

from pointvae.data.named import cache
from pointvae.data.named.acquire import addresses
from pointvae.data.named.registry import SETS
from pointvae.data.named.sets import NamedSet
from pointvae.data.named.transfer import public


def datasets() -> dict[str, Any]:
    """Every named set: what it is, its licence, where it comes from, what is downloaded and prepared here.

    Returns:
        cache, and for each set name, title, classes, splits, shapes, up, licence, research_only, citation, homepage,
        archive, mirrors, sha256, md5, checksum (published, recorded, MD5 only, unknown, none), bytes, downloaded,
        steps and prepared.
    """
    made: dict[str, list[str]] = {}
    for name, where in cache.prepared():
        made.setdefault(name, []).append(where)
    rows = [_procedural(), *map(_row, SETS.values())]
    return {
        "cache": str(cache.cache_folder()),
        "datasets": [row | {"prepared": made.get(row["name"], [])} for row in rows],
    }


def _row(named: NamedSet) -> dict[str, Any]:
    archive = named.archive
    path = cache.archives_folder() / archive.file
    record = cache.read_record(archive.file) or {}
    sha256 = archive.sha256 or record.get("sha256")
    return {
        "name": named.name,
        "title": named.title,
        "classes": named.classes,
        "splits": dict(named.splits),
        "shapes": sum(named.splits.values()) or None,
        "up": named.up,
        "licence": named.licence,
        "research_only": named.research_only,
        "citation": named.citation,
        "homepage": named.homepage,
        "archive": archive.file,
        "mirrors": [] if named.steps else [public(url) for url in addresses(named)],
        "sha256": sha256,
        "checksum": "published"
        if archive.sha256
        else "recorded"
        if sha256
        else "MD5 only"
        if archive.md5
        else "unknown",
        "md5": archive.md5,
        "bytes": path.stat().st_size if path.is_file() else archive.bytes,
        "downloaded": str(path) if path.is_file() else None,
        "steps": list(named.steps),
    }


def _procedural() -> dict[str, Any]:
    from pointvae.data.procedural import CATEGORIES

    return {
        "name": "procedural",
        "title": "shapes built here from random numbers, meshes; nothing is downloaded",
        "classes": len(CATEGORIES),
        "splits": {},
        "shapes": None,
        "up": "z",
        "licence": "apache-2.0",
        "research_only": False,
        "citation": "",
        "homepage": "",
        "archive": None,
        "mirrors": [],
        "sha256": None,
        "checksum": "none",
        "md5": None,
        "bytes": None,
        "downloaded": None,
        "steps": [],
    }
