"""Readers of laser scans: .las and .laz by laspy, .e57 by pye57; a stretch of points at a time, however large."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.isolation import Limits, shared
from pointvae.data.sampling import Floats, Geometry
from pointvae.errors import InputError

SCANS = (".las", ".laz", ".e57")

MOST = 1 << 22
"""Points of a scan that are kept: of larger ones so many are drawn evenly along the file before the exact draw."""

STRETCH = 1 << 20
"""Points in memory at a time while a scan is read."""


def read_las(path: Path) -> Geometry:
    """A .las or .laz scan, relative to the middle of its box; points flagged as withheld are left out.

    Coordinates are whole numbers times a scale plus an offset, worked out in float64: eastings and northings in
    metres leave float32 no centimetres.
    Source of the format: ASPRS, "LAS Specification 1.4 - R15", 2019.
    """
    laspy = _import("laspy", path)
    _check_las(path)

    def stretches() -> Iterator[tuple[Floats, npt.NDArray[np.bool_]]]:
        with laspy.open(path, laz_backend=laspy.LazBackend.Lazrs, read_evlrs=False) as scan:
            for part in scan.chunk_iterator(STRETCH):
                points = np.stack([np.asarray(getattr(part, axis), np.float64) for axis in "xyz"], axis=1)
                yield points, np.asarray(part.withheld, bool)

    with laspy.open(path, laz_backend=laspy.LazBackend.Lazrs, read_evlrs=False) as scan:
        count = int(scan.header.point_count)
    return Geometry(_gather(count, stretches))


def read_e57(path: Path) -> Geometry:
    """An .e57 file, relative to the middle of its box: all its scans, each put where its pose has it.

    Points whose invalid state is set, and NaN, which stand for missing returns, are dropped. Spherical coordinates
    (range, azimuth, elevation) are turned into Cartesian ones.
    Source of the format: ASTM E2807-11, "Standard Specification for 3D Imaging Data Exchange", 2011.
    """
    pye57 = _import("pye57", path)
    with pye57.E57(str(path)) as file:
        headers = [file.get_header(index) for index in range(file.scan_count)]

        def stretches() -> Iterator[tuple[Floats, npt.NDArray[np.bool_]]]:
            for header in headers:
                yield from _e57_stretches(file, header)

        return Geometry(_gather(sum(int(header.point_count) for header in headers), stretches))


def count_scan(path: Path) -> int | None:
    """How many points a scan holds by its header; None where some may be invalid, or it cannot be read."""
    try:
        if path.suffix.lower() == ".e57":  # its reader is not for this process, which must not end with it
            found = shared(Limits()).arrays(functools.partial(_count_e57, path.absolute()))
            count = -1 if isinstance(found, str) else int(found["count"])
        else:
            count = _check_las(path)
    except Exception:  # the reader says later what is wrong, by the file's name
        return None
    return min(count, MOST) if count >= 0 else None


def _count_e57(path: Path) -> dict[str, npt.NDArray[np.int64]]:
    """How many points its scans hold; -1 where some may be invalid."""
    with _import("pye57", path).E57(str(path)) as file:
        headers = [file.get_header(index) for index in range(file.scan_count)]
        unsure = any(field.endswith("InvalidState") for header in headers for field in header.point_fields)
        return {"count": np.array(-1 if unsure else sum(int(header.point_count) for header in headers))}


def _gather(count: int, stretches: Callable[[], Iterator[tuple[Floats, npt.NDArray[np.bool_]]]]) -> Floats:
    """The points of a scan [N, 3] with the middle of their box at the origin; at most ``MOST``, drawn evenly.

    Args:
        count: how many points there are by the header.
        stretches: gives the points [M, 3] stretch by stretch, and which of them to drop [M].
    """
    if count < 1:
        raise InputError("the scan holds no points")
    wanted = None
    if count > MOST:  # one of each of `MOST` equal stretches: nothing depends on how the file is cut up
        starts = np.arange(MOST + 1, dtype=np.float64) * (count / MOST)
        low, high = starts[:-1].astype(np.int64), starts[1:].astype(np.int64)
        wanted = low + (np.random.default_rng(count).random(MOST) * (high - low)).astype(np.int64)
    kept, seen, met = [], 0, 0
    for points, dropped in stretches():
        keep = ~dropped
        if wanted is not None:
            stop = int(np.searchsorted(wanted, seen + len(points)))
            chosen = np.zeros(len(points), bool)
            chosen[wanted[met:stop] - seen] = True
            keep, met = keep & chosen, stop
        kept.append(points[keep])
        seen += len(points)
    if seen != count:
        raise InputError(f"the scan is cut short: {seen} points of {count}")
    cloud = np.concatenate(kept)
    if len(cloud) == 0:
        raise InputError(f"none of the scan's {count} points is valid")
    if np.isfinite(cloud).all():
        cloud -= (cloud.min(axis=0) + cloud.max(axis=0)) / 2
    return cloud


def _check_las(path: Path) -> int:
    """The number of points by the header; refuses one that promises more than the file has bytes for.

    Readers believe the header and ask for memory accordingly.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(375)
    if head[:4] != b"LASF":
        raise InputError("the file does not start as a .las or .laz does: it is damaged or something else")
    if len(head) < 227:
        raise InputError(f"the scan is cut short: {size} bytes are no header")
    minor, length, start, records = head[25], *struct.unpack_from("<HII", head, 94)
    kind, width, count = struct.unpack_from("<BHI", head, 104)
    if minor >= 4 and len(head) >= 255:
        count = struct.unpack_from("<Q", head, 247)[0]
    if start > size or length + 54 * records > start:
        raise InputError(f"the scan is cut short or its header damaged: its points start at byte {start} of {size}")
    packed = bool(kind & 0xC0)
    if not packed and count * width > size - start:
        raise InputError(f"the scan is cut short: {(size - start) // max(width, 1)} points of {count}")
    return int(count)


def _e57_stretches(file: Any, header: Any) -> Iterator[tuple[Floats, npt.NDArray[np.bool_]]]:
    for system, axes in (("cartesian", "XYZ"), ("spherical", ("Range", "Azimuth", "Elevation"))):
        names = [f"{system}{axis}" for axis in axes]
        if set(names) <= set(header.point_fields):
            break
    else:
        raise InputError(f"a scan has neither cartesianX, … nor sphericalRange, …, but {header.point_fields}")
    state = f"{system}InvalidState"
    fields = [*names, state] if state in header.point_fields else names
    rotation, translation = _pose(header.node)
    left = int(header.point_count)
    buffers, targets = file.make_buffers(fields, max(min(STRETCH, left), 1))
    reader = header.points.reader(targets)
    while left > 0 and (got := int(reader.read())) > 0:
        points = np.stack([buffers[name][:got] for name in names], axis=1).astype(np.float64)
        dropped = np.logical_not(np.isfinite(points).all(axis=1))
        if state in buffers:
            dropped = np.logical_or(dropped, buffers[state][:got] != 0)
        if system == "spherical":
            points = _from_spherical(points)
        yield points @ rotation.T + translation, np.asarray(dropped, bool)
        left -= got
    reader.close()


def _from_spherical(points: Floats) -> Floats:
    """(range, azimuth, elevation) [N, 3], in radians, as x, y and z; ASTM E2807-11, 8.3.2."""
    distance, azimuth, elevation = points.T
    flat = distance * np.cos(elevation)
    return np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), distance * np.sin(elevation)], axis=1)


def _pose(node: Any) -> tuple[Floats, Floats]:
    """The rotation [3, 3] and translation [3] of a scan; none where it has no pose."""
    turn, shift = [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    if node.isDefined("pose"):
        pose = node["pose"]
        if pose.isDefined("rotation"):
            turn = [float(pose["rotation"][part].value()) for part in "wxyz"]  # by name: files order them freely
        if pose.isDefined("translation"):
            shift = [float(pose["translation"][part].value()) for part in "xyz"]
    w, *v = np.array(turn) / np.linalg.norm(turn)
    axis = np.array(v)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return (w * w - axis @ axis) * np.eye(3) + 2 * np.outer(axis, axis) + 2 * w * cross, np.array(shift)


def _import(package: str, path: Path) -> Any:
    """The package that reads a scan.

    Raises:
        InputError: it is not installed.
    """
    import importlib

    try:
        module = importlib.import_module(package)
        if path.suffix.lower() == ".laz":
            importlib.import_module("lazrs")
    except ImportError as error:
        raise InputError(
            f"{path.suffix} is read with {error.name or package}, which is not installed; "
            "pip install 'pointvae[scans]'"
        ) from error
    return module
