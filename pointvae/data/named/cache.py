"""What is kept on this machine: archives, the record of each one's checksum, and which datasets were prepared."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointvae.errors import InputError
from pointvae.places import is_remote
from pointvae.writing import write_text


def cache_folder() -> Path:
    """POINTVAE_CACHE, or the folder that the platform keeps for caches."""
    given = os.environ.get("POINTVAE_CACHE")
    if given:
        return Path(given).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("pointvae", appauthor=False)


def archives_folder() -> Path:
    """Where downloads lie, and where a person may put an archive by hand."""
    return cache_folder() / "archives"


def scratch_room() -> Path | None:
    """Where large things are unpacked: where TMPDIR says; else in the cache, since /tmp is often small."""
    if os.environ.get("TMPDIR"):
        return None
    folder = cache_folder() / "scratch"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder


def record_path(key: str) -> Path:
    """The file with what is known of an archive; removing it forgets the checksum."""
    return cache_folder() / "records" / f"{key}.json"


def read_record(key: str) -> dict[str, Any] | None:
    """What was recorded of an archive when it was first seen here: sha256, source, how; None if nothing was."""
    path = record_path(key)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); remove it to record the checksum anew") from error
    if not isinstance(record, dict) or not isinstance(record.get("sha256"), str):
        raise InputError(f"{path}: is damaged; remove it to record the checksum anew")
    return record


def write_record(key: str, record: dict[str, Any]) -> None:
    """Keep what is known of an archive."""
    write_text(record_path(key), json.dumps(record, indent=1) + "\n")


def note_prepared(name: str, dataset: str | Path) -> None:
    """Remember that a dataset folder was made from a named set; a cache that cannot be written is no fault."""
    where = str(dataset) if is_remote(dataset) else str(Path(dataset).resolve())
    file = hashlib.sha256(where.encode()).hexdigest()[:16]
    try:
        write_text(cache_folder() / "prepared" / f"{file}.json", json.dumps({"name": name, "dataset": where}) + "\n")
    except (OSError, InputError):
        return


def prepared() -> Iterator[tuple[str, str]]:
    """The name of the set and the place of each dataset folder that was prepared here and is still there."""
    from pointvae.data.card import is_dataset

    for file in sorted((cache_folder() / "prepared").glob("*.json")):
        try:
            note = json.loads(file.read_text(encoding="utf-8"))
            name, where = str(note["name"]), str(note["dataset"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if is_remote(where) or is_dataset(Path(where)):
            yield name, where
