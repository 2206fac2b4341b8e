"""One file of a mesh or a cloud, read into a `Geometry`; a fault of the file is named in one line."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pointvae.data.clouds import read_npy, read_pcd, read_xyz
from pointvae.data.meshes import read_plain
from pointvae.data.sampling import Geometry
from pointvae.data.scans import SCANS, read_e57, read_las
from pointvae.data.thirdparty import scene_geometry
from pointvae.errors import InputError


def read_mesh(path: Path) -> Geometry:
    """A mesh file, read from its bytes alone, by trimesh if not plain: no material, texture or other file is opened.

    The parts of a scene are put where the scene has them. A .ply without faces is a cloud.
    """
    data, suffix = path.read_bytes(), path.suffix.lower()
    plain = read_plain(data, suffix)
    if plain is not None:
        return Geometry(*plain)
    geometry = scene_geometry(_load_scene(data, suffix))
    if geometry.faces is not None:
        return geometry
    if len(geometry.vertices) == 0:
        raise InputError(f"the file holds no shape: it is empty, cut short or not {path.suffix}")
    if suffix != ".ply":
        raise InputError("the mesh has no faces; give it faces, or save its points as .xyz or .ply")
    return geometry


READERS: dict[str, Callable[[Path], Geometry]] = {
    ".off": read_mesh,
    ".obj": read_mesh,
    ".ply": read_mesh,
    ".stl": read_mesh,
    ".glb": read_mesh,
    ".pcd": read_pcd,
    ".xyz": read_xyz,
    ".txt": read_xyz,
    ".npy": read_npy,
    ".las": read_las,
    ".laz": read_las,
    ".e57": read_e57,
}
"""Which function reads which suffix: the place to touch to add a format."""

CLOUDS = (".pcd", ".xyz", ".txt", ".npy", ".ply", *SCANS)
"""Suffixes of files that hold clouds, or may."""


def read_file(path: Path) -> Geometry:
    """The mesh or the cloud in a file; a fault is told without the file's name, which the caller knows.

    Raises:
        InputError: the file is empty, damaged, of an unknown kind, or holds no shape.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"the suffix {path.suffix or '(none)'} is not read; use one of {', '.join(READERS)}")
    try:
        if path.stat().st_size == 0:
            raise InputError("the file is empty")
        return reader(path)
    except (InputError, MemoryError):  # how much memory there may be is for the caller to say
        raise
    except OSError as error:
        raise InputError(f"cannot be opened ({error.strerror or error})") from error
    except Exception as error:  # parsers of foreign formats fail in every way there is
        text = " ".join(str(error).split()) or type(error).__name__
        if text.startswith("cannot reshape array"):  # numpy's way to say so
            text = "it ends before all that its head promises, or promises something else than it holds"
        raise InputError(f"damaged or not {path.suffix} ({text[:120]})") from error


def _load_scene(data: bytes, suffix: str) -> Any:
    import trimesh

    stream = io.BytesIO(data)  # bytes carry no path, so nothing beside the file can be resolved
    options: dict[str, Any] = {"process": False, "skip_materials": True}
    return trimesh.load_scene(stream, file_type=suffix[1:], **options)
