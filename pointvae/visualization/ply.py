"""Clouds as .ply files, the format that MeshLab, CloudCompare and Blender open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.errors import InputError
from pointvae.writing import whole_file


def write_ply(
    path: str | Path,
    points: npt.NDArray[np.floating[Any]],
    colours: npt.NDArray[np.uint8] | None = None,
    *,
    binary: bool = True,
) -> None:
    """Write one cloud, float32, as little-endian binary or as text.

    Args:
        path: the file; written whole or not at all.
        points: the cloud (N, 3).
        colours: red, green, blue of each point (N, 3), if any.
        binary: text when false.

    Raises:
        InputError: the arrays are not (N, 3), or a coordinate is not finite.
    """
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"{path}: a cloud must be (N, 3), got {points.shape}")
    if colours is not None and colours.shape != points.shape:
        raise InputError(f"{path}: colours must be {points.shape}, got {colours.shape}")
    if not np.isfinite(points).all():
        raise InputError(f"{path}: the cloud holds NaN or infinity")
    fields: list[Any] = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    names = ["float x", "float y", "float z"]
    if colours is not None:
        fields += [("red", "u1"), ("green", "u1"), ("blue", "u1")]
        names += ["uchar red", "uchar green", "uchar blue"]
    rows = np.empty(len(points), dtype=fields)
    for axis, name in enumerate("xyz"):
        rows[name] = points[:, axis]
    if colours is not None:
        for channel, name in enumerate(("red", "green", "blue")):
            rows[name] = colours[:, channel]
    layout = "binary_little_endian" if binary else "ascii"
    head = ["ply", f"format {layout} 1.0", f"element vertex {len(rows)}"]
    header = "\n".join([*head, *(f"property {name}" for name in names), "end_header", ""])
    with whole_file(path) as temporary:
        if binary:
            temporary.write_bytes(header.encode() + rows.tobytes())
        else:
            lines = (" ".join(str(value) for value in row) for row in rows)
            temporary.write_text(header + "".join(f"{line}\n" for line in lines), encoding="ascii")
