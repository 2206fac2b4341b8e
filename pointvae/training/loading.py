"""Where the training shapes are while a model trains: in memory, or read from their shards as they are needed."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pointvae.data.dataset import ShapeDataset, Shapes
from pointvae.data.order import Order
from pointvae.data.reading import beyond
from pointvae.errors import InputError
from pointvae.geometry.finite import LIMIT
from pointvae.training.batches import Batches, from_memory

logger = logging.getLogger(__name__)
Loading = Literal["auto", "memory", "stream"]

MEMORY_SHARE = 0.5
"""Of the memory that is free, how much the training shapes of all processes may take under ``auto``."""


@dataclass(frozen=True, eq=False)
class TrainingShapes:
    """The ``train`` split, the same from memory as from shards.

    Attributes:
        rows: the number of shapes in each shard.
        points: points of a shape.
        labels: the index of each shape's class [n]; None where there are no classes.
        take: the clouds at some rows, sorted [k] -> [k, N, 3].
        batches: the batches of a process, from the order, its rank, the number of processes and shapes a batch.
        names: the names of the shapes at some rows, sorted.
    """

    rows: tuple[int, ...]
    points: int
    labels: npt.NDArray[np.int64] | None
    take: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]]
    batches: Callable[[Order, int, int, int], Batches]
    names: Callable[[npt.NDArray[Any]], list[str]]

    def __len__(self) -> int:
        return sum(self.rows)


def training_shapes(dataset: ShapeDataset | Shapes, loading: Loading, devices: str) -> TrainingShapes:
    """The shapes to train on, read into memory or not, as asked for or as fits; the choice is logged.

    Args:
        dataset: a dataset folder, or shapes in memory.
        loading: ``memory``, ``stream``, or ``auto`` for memory where they fit.
        devices: Lightning's, as far as it tells how many processes share this machine's memory.

    Raises:
        InputError: the split is absent, damaged or holds NaN, or what is in memory is to be streamed.
    """
    if loading not in ("auto", "memory", "stream"):
        raise InputError(f"loading must be auto, memory or stream, got {loading!r}")
    if isinstance(dataset, Shapes):
        if loading == "stream":
            raise InputError("loading stream: shapes in memory have no shards to read; give a dataset folder")
        return _in_memory(dataset, (len(dataset),))
    shards = dataclasses.replace(dataset.shards("train"), limit=LIMIT)
    if loading == "auto":
        columns = 2 if dataset.card["pointvae"]["normals"] else 1  # what is read into memory is read with normals
        loading = _choice(sum(shards.rows), shards.points, columns, processes_here(devices))
    if loading == "memory":
        try:
            return _in_memory(dataset["train"], shards.rows)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "start new thread" not in str(error):
                raise  # a thread's stack is memory too
            size, free = sum(shards.rows) * shards.points * 3 * 4, available_memory()
            left = "" if free is None else f" of the {_gib(free)} that are free"
            raise InputError(
                f"{dataset.path}: the train split takes {_gib(size)} in memory and more to read, too much{left}; "
                "pass --loading stream to read it from its shards"
            ) from None

    def batches(order: Order, rank: int, world_size: int, share: int) -> Batches:
        from pointvae.data.stream import Stream

        return lambda epoch, start: iter(
            Stream(shards, order, share, epoch=epoch, rank=rank, world_size=world_size, start=start)
        )

    labels = shards.labels() if dataset.classes else None
    return TrainingShapes(shards.rows, shards.points, labels, shards.take, batches, shards.names)


def _in_memory(shapes: Shapes, rows: tuple[int, ...]) -> TrainingShapes:
    _check_coordinates(shapes)
    points = shapes.points

    def batches(order: Order, rank: int, world_size: int, share: int) -> Batches:
        return from_memory(points, order, rank, world_size, share)

    def names(chosen: npt.NDArray[Any]) -> list[str]:
        return [shapes.names[row] for row in chosen]

    return TrainingShapes(rows, points.shape[1], shapes.labels, lambda chosen: points[chosen], batches, names)


def _check_coordinates(shapes: Shapes, block: int = 1024) -> None:
    for start in range(0, len(shapes), block):
        greatest = np.abs(shapes.points[start : start + block]).max(axis=(1, 2))
        if not (greatest <= LIMIT).all():  # NaN is not
            row = int(np.argmin(greatest <= LIMIT))
            raise InputError(f"shape {shapes.names[start + row]!r} {beyond(float(greatest[row]), LIMIT)}")


def _choice(count: int, points: int, columns: int, processes: int) -> Literal["memory", "stream"]:
    size, free = count * points * columns * 3 * 4, available_memory()
    allowed = None if free is None else MEMORY_SHARE * free / processes
    told = f"the train split is {count:,} clouds of {points:,} points, {_gib(size)} in memory"
    if allowed is None:
        logger.info(
            "%s; how much is free is unknown here, so it is read whole (--loading stream to read shards)", told
        )
        return "memory"
    assert free is not None
    limit = f"{_gib(allowed)} ({MEMORY_SHARE:.0%} of the {_gib(free)} that are free"
    limit += f", for each of {processes} processes)" if processes > 1 else ")"
    if size <= allowed:
        logger.info("%s; it may take %s, so it is read whole", told, limit)
        return "memory"
    logger.info("%s; it may take %s, so it is streamed from its shards", told, limit)
    return "stream"


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"


def processes_here(devices: str) -> int:
    """How many training processes share this machine: what a launcher says, otherwise the devices asked for."""
    for name in ("LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE"):
        if (told := os.environ.get(name, "")).isdigit():
            return max(1, int(told))
    text = str(devices).strip()
    if text.isdigit():
        return max(1, int(text))
    if "," in text:
        return len([part for part in text.split(",") if part.strip()])
    import torch

    return max(1, torch.cuda.device_count())


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process could still take: what the machine has free, its container or `ulimit -v` leaves it.

    Args:
        root: where ``proc`` and ``sys`` are mounted.
    """
    found = [size for size in (_machine(root), *_containers(root), _allowed(root)) if size is not None]
    return max(0, min(found)) if found else None


def _machine(root: Path) -> int | None:
    try:
        lines = (root / "proc" / "meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        pass
    try:  # without /proc, as on a Mac: all memory that there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _allowed(root: Path) -> int | None:
    """What the limit of this process's address space leaves, where there is one."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int((root / "proc" / "self" / "statm").read_text().split()[0])
    except (ImportError, OSError, ValueError, IndexError):
        return None
    return None if limit == resource.RLIM_INFINITY else limit - pages * resource.getpagesize()


def _containers(root: Path) -> list[int]:
    """What is left under the limits of control groups, of both versions; page cache counts as free."""
    groups = root / "sys" / "fs" / "cgroup"
    layouts = (
        (groups, "memory.max", "memory.current", "inactive_file"),
        (groups / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    left = []
    for folder, limit, usage, cache in layouts:
        facts: dict[str, Any] = {}
        try:
            for name in (limit, usage):
                facts[name] = int((folder / name).read_text())  # "max", no limit, is no number
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            if len(facts) < 2:
                continue
            stat = {}
        left.append(facts[limit] - facts[usage] + int(stat.get(cache, 0)))
    return left
