"""Other packages' ways of what the package does, called as their users call them: `benchmarks/speed.py`'s opponents.

They are installed with ``pip install 'pointvae[bench]'``, but for cellshape-cloud, which asks for torchvision and
more that its model has no use for: ``pip install --no-deps cellshape-cloud==0.1.3``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def cellshape_autoencoder(latent_dim: int) -> tuple[Any, Any]:
    """cellshape-cloud's auto-encoder of DGCNN, k 20, and FoldingNet, 2,025 points; and its Chamfer loss."""
    if "cellshape_cloud" not in sys.modules:
        spec = importlib.util.find_spec("cellshape_cloud")
        assert spec is not None and spec.submodule_search_locations is not None
        bare = types.ModuleType("cellshape_cloud")  # its own beginning imports what its model does not need
        bare.__spec__ = spec
        bare.__path__ = list(spec.submodule_search_locations)
        sys.modules["cellshape_cloud"] = bare
    model = importlib.import_module("cellshape_cloud.cloud_autoencoder").CloudAutoEncoder(latent_dim, k=20)
    return model, importlib.import_module("cellshape_cloud.vendor.chamfer_distance").ChamferLoss()


def trimesh_sampler(vertices: Floats, faces: npt.NDArray[np.int64], count: int) -> Callable[[], Any]:
    """Points on a mesh by trimesh, as for a mesh that is met for the first time."""
    import trimesh

    mesh = trimesh.Trimesh(vertices, faces, process=False)

    def once() -> Any:
        mesh._cache.clear()
        return trimesh.sample.sample_surface(mesh, count, seed=0)[0]

    return once


def open3d_sampler(vertices: Floats, faces: npt.NDArray[np.int64], count: int) -> Callable[[], Any]:
    """Points on a mesh by Open3D, which holds it already."""
    from open3d import geometry, utility

    mesh = geometry.TriangleMesh(utility.Vector3dVector(vertices), utility.Vector3iVector(faces))
    return lambda: np.asarray(mesh.sample_points_uniformly(count).points)


def trimesh_read(path: Path, count: int) -> Floats:
    """Points on the mesh of a file by trimesh."""
    import trimesh

    return np.asarray(trimesh.sample.sample_surface(trimesh.load(path), count, seed=0)[0])


def open3d_read(path: Path, count: int) -> Floats:
    """Points on the mesh of a file by Open3D."""
    from open3d import io

    return np.asarray(io.read_triangle_mesh(str(path)).sample_points_uniformly(count).points)


def fpsample_brute(clouds: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.uint64]:
    """Farthest points [B, count] by fpsample's loop in C++."""
    import fpsample

    return np.stack([fpsample.fps_sampling(cloud, count, start_idx=0) for cloud in clouds])


def fpsample_tree(clouds: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.uint64]:
    """Farthest points [B, count] by fpsample's k-d tree in C++."""
    import fpsample

    return np.stack([fpsample.bucket_fps_kdline_sampling(cloud, count, h=5, start_idx=0) for cloud in clouds])


def scipy_neighbours(clouds: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    """The k nearest of every point [B, N, k] by scipy's k-d tree."""
    from scipy.spatial import cKDTree

    return np.stack([cKDTree(cloud).query(cloud, k)[1] for cloud in clouds])
