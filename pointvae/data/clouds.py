"""Readers of point-cloud files: .npy, .xyz and .txt, .pcd; and the count of their points without reading them all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.sampling import Floats, Geometry
from pointvae.data.scans import SCANS, count_scan
from pointvae.errors import InputError

PCD_TYPES = {"F": "f", "I": "i", "U": "u"}


def read_npy(path: Path) -> Geometry:
    """A cloud saved by numpy: numbers [N, 3] or more columns, of which the first three are read."""
    try:
        array = np.load(path, allow_pickle=False)
    except ValueError as error:
        if "pickle" in str(error):  # numpy takes whatever it does not know for Python objects
            raise InputError("not an array of numbers saved by numpy (Python objects are never loaded)") from error
        raise InputError(f"not an array of numbers saved by numpy ({str(error).splitlines()[0][:120]})") from error
    return Geometry(_columns(array))


def read_xyz(path: Path) -> Geometry:
    """Text with one point a line, x y z and any further columns, parted by blanks, commas or semicolons.

    Lines that start with # or // are comments; a first line that is a count or a list of column names is passed over.
    """
    return Geometry(_parse_text(_text(path)))


def read_pcd(path: Path) -> Geometry:
    """A cloud of the Point Cloud Library, DATA ascii or binary.

    The NaN points of an organised cloud (HEIGHT above 1), which stand for missing returns, are dropped.
    Source of the format: "The PCD (Point Cloud Data) file format", Point Cloud Library documentation, version 0.7.
    """
    with path.open("rb") as stream:
        header = _pcd_header(stream)
        body = stream.read()
    names, count = header["FIELDS"], int(header["POINTS"][0])
    if not {"x", "y", "z"} <= set(names):
        raise InputError(f"the .pcd has fields {' '.join(names)}; x, y and z are needed")
    kind = header["DATA"][0].lower()
    repeats = [int(number) for number in header.get("COUNT", ["1"] * len(names))]
    if kind == "ascii":
        starts = dict(zip(names, np.cumsum([0, *repeats[:-1]]).tolist(), strict=True))
        points = _parse_text(body.decode("utf-8", "replace"), tuple(starts[axis] for axis in "xyz"), header=False)
    elif kind == "binary":
        layout = [
            (f"{index}:{name}", f"<{PCD_TYPES[sort]}{size}", (repeat,))
            for index, (name, sort, size, repeat) in enumerate(
                zip(names, header["TYPE"], header["SIZE"], repeats, strict=True)
            )
        ]
        dtype = np.dtype(layout)
        if len(body) < count * dtype.itemsize:
            raise InputError(f"the .pcd is cut short: {len(body)} bytes of {count * dtype.itemsize}")
        table = np.frombuffer(body, dtype, count)
        points = np.stack([table[f"{names.index(axis)}:{axis}"][:, 0] for axis in "xyz"], axis=1).astype(np.float64)
    else:
        raise InputError(f"the .pcd is {kind}; convert it to binary or ascii (pcl_convert_pcd_ascii_binary IN OUT 1)")
    if len(points) != count:
        raise InputError(f"the .pcd holds {len(points)} points, its header says {count}")
    if int(header.get("HEIGHT", ["1"])[0]) > 1:
        points = points[np.isfinite(points).all(axis=1)]
    return Geometry(_columns(points))


def count_points(path: Path) -> int | None:
    """How many points a file of a cloud holds, mostly from its header; None for meshes and what cannot be read."""
    suffix = path.suffix.lower()
    if suffix in SCANS:
        return count_scan(path)
    try:
        if suffix == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return int(array.shape[0]) if array.ndim == 2 else None
        if suffix == ".ply":
            with path.open("rb") as stream:
                return _count_ply(stream.read(1 << 16))
        if suffix == ".pcd":
            with path.open("rb") as stream:
                header = _pcd_header(stream)
            if int(header.get("HEIGHT", ["1"])[0]) == 1:
                return int(header["POINTS"][0])
            return len(read_pcd(path).vertices)
        return len(_data_lines(_text(path)))
    except Exception:  # the reader, which works in a process apart, says later what is wrong
        return None


def _count_ply(head: bytes) -> int | None:
    text = head.split(b"end_header", 1)[0].decode("ascii", "replace")
    counts = dict(re.findall(r"^element\s+(\w+)\s+(\d+)", text, re.MULTILINE))
    if "vertex" not in counts or int(counts.get("face", 0)) or int(counts.get("tristrips", 0)):
        return None
    return int(counts["vertex"])


def _pcd_header(stream: Any) -> dict[str, list[str]]:
    header: dict[str, list[str]] = {}
    while "DATA" not in header:
        line = stream.readline(4096)
        if not line:
            raise InputError("the .pcd has no DATA line: it is cut short or not a .pcd")
        words = line.decode("ascii", "replace").split("#")[0].split()
        if words:
            header[words[0].upper()] = words[1:]
    missing = [name for name in ("FIELDS", "SIZE", "TYPE", "POINTS") if not header.get(name)]
    if missing or not header["DATA"]:
        raise InputError(f"the .pcd header lacks {', '.join(missing) or 'the kind of its DATA'}")
    return header


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").replace(",", " ").replace(";", " ")


def _parse_text(text: str, columns: tuple[int, ...] = (0, 1, 2), header: bool = True) -> Floats:
    lines = _data_lines(text, header)
    if not lines:
        raise InputError("the file holds no points")
    comments = ["#", "//"] if "//" in text else "#"
    try:
        array = np.loadtxt(lines, usecols=columns, comments=comments, ndmin=2, dtype=np.float64)
    except ValueError as error:
        raise InputError(f"not a list of points, x y z on each line ({str(error).splitlines()[0]})") from error
    return np.asarray(array)


def _data_lines(text: str, header: bool = True) -> list[str]:
    """The lines that hold points: without blank ones, comments and, if there may be one, the header."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "//"))]
    return lines[1:] if header and lines and _is_header(lines[0].split()) else lines


def _is_header(words: list[str]) -> bool:
    """Whether a line holds the count of the points, or the names of the columns."""
    if len(words) == 1:
        return words[0].isdigit()
    return all(re.fullmatch(r"[A-Za-z_]\w*", word) and word.lower() not in ("nan", "inf") for word in words[:3])


def _columns(array: npt.NDArray[Any]) -> Floats:
    if array.ndim != 2 or array.shape[1] < 3 or array.dtype.kind not in "fiu":
        raise InputError(f"the array is {array.dtype} {list(array.shape)}; a cloud must be numbers [N, 3]")
    if len(array) == 0:
        raise InputError("the cloud holds no points")
    return np.ascontiguousarray(array[:, :3], dtype=np.float64)
