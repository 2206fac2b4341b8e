"""The two checkpoints of a run folder: the last one, and the one before it for the case that the last is torn."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pointvae.data.shards import sha256
from pointvae.errors import InputError
from pointvae.writing import whole_file

logger = logging.getLogger(__name__)

CHECKPOINT = Path("checkpoints") / "last.ckpt"
BEFORE = Path("checkpoints") / "before.ckpt"
SEAL = 64  # bytes of a SHA-256 in hexadecimal


def sound_checkpoint(run: Path, *, tell: bool = False) -> Path | None:
    """The newest checkpoint of a run folder that is whole; None where there never was one.

    A checkpoint ends with the SHA-256 of all that goes before (in the comment of the ZIP archive that it is): the
    checksums of the archive's records do not cover its headers, whose wrong bytes can load as wrong weights.

    Args:
        run: the run folder.
        tell: say in the log that the last one is damaged and the one before it is used.

    Raises:
        InputError: there are only damaged ones.
    """
    faults: list[str] = []
    for name in (CHECKPOINT, BEFORE):
        path = run / name
        if not path.is_file():
            continue
        fault = _fault(path)
        if fault is None:
            if faults and tell:
                logger.warning("%s; going on from the one before it, %s", faults[0], path)
            return path
        faults.append(f"{path}: is damaged ({fault})")
    if faults:
        raise InputError(f"{faults[0]}; remove {run / CHECKPOINT.parent} to train from the start")
    return None


@contextmanager
def replaced_checkpoint(run: Path) -> Iterator[Path]:
    """A temporary name to write a checkpoint to; it becomes the last one, and the last one that before it.

    Killed at any moment, the folder holds a whole checkpoint, if it held one; after a power cut too.
    """
    last, before = run / CHECKPOINT, run / BEFORE
    with whole_file(last) as temporary:
        yield temporary
        _seal(temporary)
        _to_disk(temporary)
        if last.is_file():
            os.replace(last, before)
    _to_disk(last.parent)


def remove_leftovers(run: Path) -> None:
    """Clear away what a process that was killed while it wrote has left."""
    for folder in (run, run / CHECKPOINT.parent):
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)


def _seal(path: Path) -> None:
    """Put the checksum at a checkpoint's end."""
    with path.open("r+b") as file:
        file.seek(-2, os.SEEK_END)  # where the archive says how long its comment is: torch writes none
        file.write(SEAL.to_bytes(2, "little"))
    digest = sha256(path)
    with path.open("ab") as file:
        file.write(digest.encode())


def _fault(path: Path) -> str | None:
    """What is wrong with a checkpoint; None if nothing is."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        left = max(0, path.stat().st_size - SEAL)
        while left and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
        if file.read() != digest.hexdigest().encode():
            return "its checksum is wrong"
    try:
        torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    except Exception as error:  # torch's reader fails on what was made to harm in every way there is
        return " ".join(str(error).split())[:100]
    return None


def _to_disk(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, would outlive a power cut."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
