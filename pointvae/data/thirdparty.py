"""One shape of any library as our `Geometry`, and clouds as objects of trimesh and open3d.

A library is imported only to make an object of it: what is given is asked for by the name of its class's module.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.sampling import Floats, Geometry
from pointvae.errors import InputError

TAKEN = (
    "a numpy array or a torch tensor [n, 3], trimesh's Trimesh, PointCloud or Scene, open3d's TriangleMesh or "
    "PointCloud, or PyG's Data with pos [n, 3]"
)
"""What `geometry_of` takes, for messages."""


def geometry_of(shape: Any, *, finite: bool = True) -> Geometry:
    """The mesh or the cloud in an object of another library.

    A library is asked only about objects that are its own, so nothing is imported. The coordinates are kept in
    float64, in the object's own frame and unit; nothing is sampled or normalised yet.

    Args:
        shape: a numpy array or a torch tensor [n, 3]; trimesh's ``Trimesh``, ``PointCloud`` or ``Scene``, whose parts
            are put where the scene has them; open3d's ``TriangleMesh`` or ``PointCloud``, of ``geometry`` or
            ``t.geometry``; PyG's ``Data`` with ``pos`` [n, 3] and, for meshes, ``face`` [3, F].
        finite: whether to refuse NaN and infinite coordinates; `to_cloud` refuses them otherwise.

    Returns:
        A `Geometry`: a mesh where the object has faces, else a cloud.

    Raises:
        InputError: it is something else, holds no points, has faces that name no vertex, or holds NaN.

    Example:
        >>> geometry_of(np.zeros((5, 3))).vertices.shape
        (5, 3)
    """
    geometry = _read(shape)
    if len(geometry.vertices) == 0:
        raise InputError(f"{_what(shape)} holds no points")
    if finite and not np.isfinite(geometry.vertices).all():
        bad = int((~np.isfinite(geometry.vertices).all(axis=1)).sum())
        raise InputError(f"{bad} of the {len(geometry.vertices)} points are NaN or infinite; drop them first")
    return geometry


def is_shape(value: Any) -> bool:
    """Whether an object is one shape, not several: a cloud [n, 3], a mesh, a scene, a graph."""
    if getattr(value, "ndim", None) == 2 or {"trimesh", "open3d"} & _libraries(value):
        return True
    several = hasattr(value, "to_data_list") and hasattr(value, "num_graphs")  # a PyG Batch
    several = several or any(kind.__name__ == "Dataset" for kind in type(value).__mro__)
    return not several and getattr(value, "pos", None) is not None


def to_trimesh(points: Any) -> Any:
    """A cloud [n, 3], such as a reconstruction, as trimesh's ``PointCloud``; one of `from_objects` gives it back.

    Raises:
        InputError: it is no cloud.

    Example:
        >>> to_trimesh(np.eye(3)).vertices.shape
        (3, 3)
    """
    trimesh: Any = importlib.import_module("trimesh")
    return trimesh.PointCloud(geometry_of(points).vertices)


def to_open3d(points: Any) -> Any:
    """A cloud [n, 3], such as a reconstruction, as open3d's ``PointCloud``.

    Raises:
        InputError: it is no cloud, or open3d cannot be used; it says what is missing.
    """
    open3d = import_open3d()
    return open3d.geometry.PointCloud(open3d.utility.Vector3dVector(geometry_of(points).vertices))


LIBRARIES = {
    "libusb-1.0.so": "libusb-1.0-0",
    "libGL.so": "libgl1",
    "libEGL.so": "libegl1",
    "libX11.so": "libx11-6",
    "libgomp.so": "libgomp1",
    "libtbb": "libtbb12",
    "libudev.so": "libudev1",
}
"""System libraries that open3d's wheels load, and the packages of Debian and Ubuntu that hold them."""


def import_open3d() -> Any:
    """The package open3d.

    Raises:
        InputError: it is not installed, or the system lacks a library that it loads; with the command to install it.
    """
    try:
        return importlib.import_module("open3d")
    except ModuleNotFoundError as error:
        missing = "open3d" if error.name in (None, "open3d") else f"open3d needs {error.name}, which"
        raise InputError(f"{missing} is not installed; pip install 'pointvae[open3d]'") from error
    except (ImportError, OSError) as error:
        found = re.search(r"lib[\w.+-]*\.so[.\d]*", str(error))
        if found is None:
            raise InputError(
                f"open3d cannot be loaded ({' '.join(str(error).split())[:160]}); reinstall it"
            ) from error
        package = next((name for library, name in LIBRARIES.items() if found[0].startswith(library)), None)
        packages = package or " ".join(sorted({"libgl1", "libgomp1", "libusb-1.0-0"}))
        raise InputError(
            f"open3d cannot be loaded: the system lacks {found[0]}; on Debian or Ubuntu: apt-get install {packages}"
        ) from error


def scene_geometry(scene: Any) -> Geometry:
    """All parts of a trimesh ``Scene``, put where the scene has them; a cloud where none has faces, maybe empty.

    Raises:
        InputError: a face names a vertex that is not there.
    """
    vertices, faces, loose, start = [], [], [], 0
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        part = scene.geometry[name]
        if not hasattr(part, "vertices"):
            continue
        placed = np.asarray(part.vertices, dtype=np.float64) @ transform[:3, :3].T + transform[:3, 3]
        triangles = np.asarray(getattr(part, "faces", np.empty((0, 3))), dtype=np.int64).reshape(-1, 3)
        if len(triangles) == 0:
            loose.append(placed)
            continue
        mirrored = np.linalg.det(transform[:3, :3]) < 0
        faces.append((triangles[:, ::-1] if mirrored else triangles) + start)
        vertices.append(placed)
        start += len(placed)
    if faces:
        return _mesh(np.concatenate(vertices), np.concatenate(faces))
    return Geometry(np.concatenate(loose) if loose else np.empty((0, 3)))


def _read(shape: Any) -> Geometry:
    libraries, kind = _libraries(shape), type(shape).__name__
    if isinstance(shape, np.ndarray) or ("torch" in libraries and hasattr(shape, "detach")):
        return Geometry(_points(shape, kind))
    if hasattr(shape, "num_graphs") and hasattr(shape, "to_data_list"):
        raise InputError(f"a {kind} of {shape.num_graphs} graphs is not one shape; give its to_data_list()")
    if getattr(shape, "pos", None) is not None:
        return _of_graph(shape)
    if "trimesh" in libraries:
        if hasattr(shape, "graph") and hasattr(shape, "geometry"):
            return scene_geometry(shape)
        if hasattr(shape, "faces"):
            return _mesh(_points(shape.vertices, "vertices"), np.asarray(shape.faces, np.int64))
        if hasattr(shape, "vertices") and not hasattr(shape, "entities"):
            return Geometry(_points(shape.vertices, "vertices"))
    if "open3d" in libraries:
        if hasattr(shape, "to_legacy") and kind in ("TriangleMesh", "PointCloud"):
            shape = _legacy(shape)
        if kind == "TriangleMesh":
            return _mesh(_points(shape.vertices, "vertices"), np.asarray(shape.triangles).astype(np.int64))
        if kind == "PointCloud":
            return Geometry(_points(shape.points, "points"))
    raise InputError(f"{kind} is no shape that is known here; give {TAKEN}")


def _libraries(value: Any) -> set[str]:
    """The packages that an object's class and the classes that it derives from come from."""
    return {cls.__module__.partition(".")[0] for cls in type(value).__mro__}


def _what(shape: Any) -> str:
    return "the cloud" if getattr(shape, "pos", None) is not None else f"the {type(shape).__name__}"


def _points(values: Any, what: str) -> Floats:
    """Numbers [n, 3] of any library, on any device, as float64."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if str(values.dtype) == "torch.bfloat16" else values  # which numpy does not know
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] > 3:
        raise InputError(
            f"{what} is {array.dtype} {list(array.shape)}; it must be numbers [n, 3]: take the columns of x, y "
            "and z, such as [:, :3]"
        )
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "fiu":
        raise InputError(f"{what} is {array.dtype} {list(array.shape)}; it must be numbers [n, 3]")
    return array.astype(np.float64)


def _mesh(vertices: Floats, faces: npt.NDArray[np.int64]) -> Geometry:
    if len(vertices) == 0:
        return Geometry(vertices)
    if len(faces) == 0:
        raise InputError("the mesh has no faces; give it faces, or give its vertices as a cloud")
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise InputError(f"faces is {list(faces.shape)}; it must be the indices of vertices [F, 3]")
    if faces.min() < 0 or faces.max() >= len(vertices):
        odd = faces.min() if faces.min() < 0 else faces.max()
        raise InputError(f"a face names vertex {odd}, but there are only {len(vertices)}")
    return Geometry(vertices, faces)


def _of_graph(graph: Any) -> Geometry:
    points, faces = _points(graph.pos, "pos"), getattr(graph, "face", None)
    if faces is None or len(points) == 0:
        return Geometry(points)
    corners = np.asarray(faces.detach().cpu() if hasattr(faces, "detach") else faces)
    if corners.size == 0:
        return Geometry(points)
    triangles: npt.NDArray[np.int64] = corners.T.astype(np.int64)
    if triangles.ndim != 2 or triangles.shape[1] != 3 or triangles.min() < 0 or triangles.max() >= len(points):
        raise InputError(f"face is {list(corners.shape)}; it must be the indices of points [3, F]")
    return Geometry(points, triangles)


def _legacy(shape: Any) -> Any:
    """A ``t.geometry`` object of open3d as one of ``geometry``; refused where it has no positions to convert."""
    if shape.is_empty():
        raise InputError(f"the {type(shape).__name__} holds no points")
    return shape.cpu().to_legacy()
