"""Small files of shapes, written by the tests that need them."""

import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

TRIANGLE = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


def write_box(path: Path, size: tuple[float, float, float] = (1.0, 2.0, 3.0), kind: str | None = None) -> Path:
    """A box, centred, in the format of the file's suffix."""
    import trimesh

    path.parent.mkdir(parents=True, exist_ok=True)
    data = trimesh.creation.box(extents=size).export(file_type=kind or path.suffix[1:])
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def write_classes(root: Path, layout: dict[str, int], suffix: str = ".off") -> Path:
    """For each folder so many boxes, each a little longer than the last."""
    for folder, count in layout.items():
        for index in range(count):
            write_box(root / folder / f"shape_{index:02d}{suffix}", (1.0, 2.0, 3.0 + index))
    return root


def write_npz(path: Path, train: int = 6, test: int = 4, points: int = 16, **changes: Any) -> Path:
    """Arrays in the layout of ModelNet40's, with some replaced or, if None, left out."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {"classes": np.array(["bed", "chair"])}
    for split, count in (("train", train), ("test", test)):
        arrays[f"{split}_points"] = rng.normal(size=(count, points, 3)).astype(np.float16)
        arrays[f"{split}_labels"] = (np.arange(count) % 2).astype(np.uint8)
        arrays[f"{split}_names"] = np.array([f"{split}_{index}" for index in range(count)])
    arrays.update(changes)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def folder_bytes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder, hidden ones too."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def heavy_modules() -> list[str]:
    """Which large packages this process has imported."""
    return sorted({"torch", "lightning", "sklearn", "matplotlib"} & set(sys.modules))


def unit(points: npt.NDArray[Any]) -> float:
    """The largest norm of a cloud [N, 3]."""
    return float(np.linalg.norm(points, axis=1).max())


def child(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code in a Python of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
