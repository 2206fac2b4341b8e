"""Data sets and other repositories of the Hugging Face Hub, brought here as files: nothing of them is executed."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pointvae.data.card import is_dataset
from pointvae.data.huggingface import open_tables
from pointvae.data.layouts import HUB, SUFFIXES, find_tables
from pointvae.data.source import Source, SourceOptions
from pointvae.errors import InputError

logger = logging.getLogger(__name__)

CONVERTED = "refs/convert/parquet"
"""Where the Hub keeps a copy in Parquet of sets that were given in another form."""

TABLES = ("README.md", "*dataset_dict.json", "*state.json", *(f"*{suffix}" for suffix in SUFFIXES))
"""The files that are fetched of a set."""

FORM = re.compile(r"hf://(?:datasets/)?([\w.-]+/[\w.-]+)(?:@([^:\s]+))?(?::([^\s]+))?")


def open_hub(source: str, options: SourceOptions) -> Source:
    """The set that ``hf://OWNER/NAME[@REVISION][:CONFIG]`` means, from the Hub or from what was brought here before.

    Only Parquet and Arrow files and the card are fetched, and the commit they are of is recorded, so that the same
    name prepares the same shapes. ``HF_HUB_OFFLINE=1`` and ``--offline`` stay with what is here.

    Raises:
        InputError: the name is not of this form, there is no such set, it cannot be reached, or it has no such files.
    """
    form = FORM.fullmatch(source)
    if form is None:
        raise InputError(
            f"{source}: not of the form {HUB}OWNER/NAME, {HUB}OWNER/NAME@REVISION or {HUB}OWNER/NAME:CONFIG"
        )
    name, revision, config = form.groups()
    folder = fetch(name, revision, options.offline)
    if not _has_rows(folder) and revision is None:
        logger.info("%s: has no Parquet files; the Hub's own copy in Parquet is taken", source)
        folder = fetch(name, CONVERTED, options.offline)
    if is_dataset(folder):
        raise InputError(f"{source}: is a dataset folder already; load it from {folder}")
    if not _has_rows(folder):
        raise InputError(
            f"{source}: has no Parquet or Arrow files; if it holds meshes, download it with `hf download {name} "
            "--repo-type dataset --local-dir FOLDER` and prepare the folder"
        )
    title = f"{HUB}{name}" + (f":{config}" if config else "")
    return open_tables(find_tables(folder, title, config, revision=folder.name), options)


def fetch(
    name: str,
    revision: str | None,
    offline: bool,
    kind: Literal["dataset", "model"] = "dataset",
    patterns: Sequence[str] = TABLES,
) -> Path:
    """The folder, named by its commit, with some files of a repository: the Parquet and Arrow files of a set.

    Raises:
        InputError: huggingface_hub is not installed, there is no such repository or revision, or it cannot be
            reached.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise InputError(f"{HUB}{name}: huggingface_hub is not installed; pip install 'pointvae[hub]'") from error
    told = f"{HUB}{name}" + (f"@{revision}" if revision else "")
    get = functools.partial(snapshot_download, name, repo_type=kind, revision=revision, allow_patterns=list(patterns))
    why = "the Hub is not to be asked or cannot be reached"
    try:
        if not offline:
            try:
                return Path(get())
            except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError):
                raise
            except Exception as error:  # no connection: which class that is depends on the HTTP library underneath
                why = f"the Hub cannot be reached ({' '.join(str(error).split())[:100]})"
                logger.info("%s: %s; what was fetched before is taken", told, why)
        return Path(get(local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"{told}: is not on this machine, and {why}; go online, unset HF_HUB_OFFLINE, do not ask for offline, or "
            "give a folder"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{told}: cannot be had from the Hub ({reason}); check the name, and for gated ones run `hf auth login`"
        ) from error


def _has_rows(folder: Path) -> bool:
    return any(file.suffix.lower() in SUFFIXES for file in folder.rglob("*"))
