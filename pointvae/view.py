"""`view`: shapes in open3d's window, beside their reconstructions if a run is named; or a line on what is missing."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointvae.data.card import is_dataset
from pointvae.data.inputs import read_input
from pointvae.data.objects import from_objects
from pointvae.data.readers import READERS, read_file
from pointvae.data.sampling import Geometry, Up, normalize_points, turn_z_up
from pointvae.data.thirdparty import geometry_of, import_open3d, is_shape
from pointvae.errors import InputError
from pointvae.places import here, place

Floats = npt.NDArray[np.floating[Any]]

MOST = 32
"""Shapes that are shown; a window with more says little of each."""

APART = 2.3
"""Between the middles of two neighbours, unit-sphere lengths."""

INPUT, RECONSTRUCTION = (0.25, 0.35, 0.55), (0.90, 0.45, 0.10)


@dataclass(frozen=True, eq=False)
class Shown:
    """Something to draw: a mesh or a cloud, z up, where it stands, and its colour."""

    geometry: Geometry
    colour: tuple[float, float, float]


def view(
    shapes: Any,
    run: str | Path | None = None,
    *,
    points: int | None = None,
    up: Up | None = None,
    split: str | None = None,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Open a window with shapes, each beside its reconstruction if a run is given; come back once it is closed.

    Args:
        shapes: a mesh or a cloud, a folder of them, a dataset folder, an URL; or what `geometry_of` takes, or a list.
        run: the run folder, or a name that `run_folder` takes.
        points: points of each shape; those of the training with a run, else 2,048 of meshes in folders; a single
            mesh is shown as it is, with its faces.
        up: the up axis of raw shapes; that of the run's own source when absent, else z.
        split: only this split of a dataset folder.
        seed: of the sampling of points.
        progress: show a bar on stderr.

    Returns:
        ``shapes``: how many were shown, and their ``names``.

    Raises:
        InputError: open3d, a system library or a screen is missing, or the input is at fault.
    """
    open3d = import_open3d()
    check_screen()
    names, shown = _scene(shapes, run, points, up, split, seed, progress)
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    window = open_window(open3d, shown, title=f"pointvae: {names[0]}{others}")
    window.run()
    window.destroy_window()
    return {"shapes": len(names), "names": names}


INSTEAD = "`pointvae reconstruct RUN INPUT out.html` draws into a page for any browser, and out.png a picture"


def check_screen() -> None:
    """Refuse a machine without a screen; open3d would draw for nobody, and wait for ever.

    Raises:
        InputError: neither X nor Wayland is there, or nobody answers.
    """
    if not sys.platform.startswith("linux"):
        return
    display, wayland = os.environ.get("DISPLAY"), os.environ.get("WAYLAND_DISPLAY")
    if not (display or wayland):
        raise InputError(f"no screen: neither DISPLAY nor WAYLAND_DISPLAY is set; {INSTEAD}")
    if wayland and (Path(os.environ.get("XDG_RUNTIME_DIR", "/")) / wayland).is_socket():
        return
    if not (display and _answers(display)):
        told = f"DISPLAY={display}" if display else f"WAYLAND_DISPLAY={wayland}"
        raise InputError(f"no screen: nobody answers at {told}; {INSTEAD}")


def _answers(display: str) -> bool:
    """Whether an X server takes calls at ``[HOST]:NUMBER[.SCREEN]``, by its socket here or its port elsewhere."""
    host, _, rest = display.rpartition(":")
    number = rest.partition(".")[0]
    if not number.isdigit():
        return False
    path = f"/tmp/.X11-unix/X{number}"
    try:
        if host not in ("", "unix"):
            with socket.create_connection((host, 6000 + int(number)), timeout=5):
                return True
        for address in (path, f"\0{path}"):  # a file, or a name of Linux's own
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
                connection.connect(address)
                return True
    except (OSError, OverflowError):
        pass
    return False


def open_window(open3d: Any, shown: list[Shown], title: str = "pointvae") -> Any:
    """Open3d's window with the shapes, looked at from the front and a little above.

    Raises:
        InputError: the screen gives no window with OpenGL.
    """
    window = open3d.visualization.Visualizer()
    level = open3d.utility.get_verbosity_level()
    open3d.utility.set_verbosity_level(open3d.utility.VerbosityLevel.Error)  # it would tell of GLFW what we tell
    try:
        opened = window.create_window(window_name=title, width=1280, height=800)
    finally:
        open3d.utility.set_verbosity_level(level)
    if not opened:
        raise InputError(
            f"the screen {os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY') or ''} gives no window with "
            "OpenGL (through ssh, or in a container, that is usual; on Debian or Ubuntu: apt-get install libgl1 "
            f"libgl1-mesa-dri); {INSTEAD}"
        )
    for one in shown:
        window.add_geometry(_drawable(open3d, one))
    options = window.get_render_option()
    options.point_size, options.mesh_show_back_face = 3.0, True
    camera = window.get_view_control()
    camera.set_up([0.0, 0.0, 1.0])
    camera.set_front([0.25, -1.0, 0.35])
    camera.set_zoom(0.55)
    return window


def _drawable(open3d: Any, one: Shown) -> Any:
    corners = open3d.utility.Vector3dVector(one.geometry.vertices)
    if one.geometry.faces is None:
        made = open3d.geometry.PointCloud(corners)
    else:
        made = open3d.geometry.TriangleMesh(corners, open3d.utility.Vector3iVector(one.geometry.faces))
        made.compute_vertex_normals()
    made.paint_uniform_color(one.colour)
    return made


def _scene(
    shapes: Any, run: Any, points: int | None, up: Up | None, split: str | None, seed: int, progress: bool
) -> tuple[list[str], list[Shown]]:
    """Names, and what to draw: rows of shapes, with a run of pairs."""
    if run is not None:
        names, pairs = _pairs(shapes, run, points, up, split, seed, progress)
        columns = max(1, round(len(pairs) ** 0.5)) * 2
        return names, [
            Shown(Geometry(_at(cloud, 2 * place_ + right, columns)), RECONSTRUCTION if right else INPUT)
            for place_, pair in enumerate(pairs)
            for right, cloud in enumerate(pair)
        ]
    single = _single(shapes)
    if single is not None and points is None:
        name, geometry = single
        vertices = normalize_points(turn_z_up(geometry.vertices, up or "z"), "cube")
        return [name], [Shown(Geometry(vertices, geometry.faces), INPUT)]
    if isinstance(shapes, str | Path):
        found = read_input(shapes, points=points, seed=seed, up=up or "z", split=split, progress=progress)
    else:
        found = from_objects([shapes] if is_shape(shapes) else shapes, points, up=up or "z", seed=seed)
    found = found[_some(len(found))]
    clouds = found.points
    columns = max(1, round((1.6 * len(clouds)) ** 0.5))
    return found.names, [Shown(Geometry(_at(c, i, columns)), INPUT) for i, c in enumerate(clouds)]


def _pairs(
    shapes: Any, run: Any, points: int | None, up: Up | None, split: str | None, seed: int, progress: bool
) -> tuple[list[str], list[tuple[Floats, Floats]]]:
    """Each cloud and its reconstruction."""
    from pointvae.evaluation.features import to_best_device
    from pointvae.evaluation.in_memory import clouds_for_run
    from pointvae.evaluation.reconstruction import reconstruct
    from pointvae.hub import from_pretrained, read_run_config, run_folder

    folder = run_folder(run)
    model, config = to_best_device(from_pretrained(folder)), read_run_config(folder)
    found = clouds_for_run(config, shapes, points=points, up=up, split=split, seed=seed, progress=progress)
    found = found[_some(len(found))]
    made = reconstruct(model, found.points)
    return found.names, list(zip(found.points, made.points, strict=True))


def _single(shapes: Any) -> tuple[str, Geometry] | None:
    """The one shape that a path or an object is, as it is; None where there may be several."""
    if not isinstance(shapes, str | Path):
        return (type(shapes).__name__, geometry_of(shapes)) if is_shape(shapes) else None
    where = place(shapes)
    if where.suffix.lower() not in READERS or not where.is_file() or is_dataset(where):
        return None
    with here(where) as file:
        try:
            return where.name, read_file(file)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error


def _some(count: int) -> npt.NDArray[np.int64]:
    """Places of the shapes that are shown: all, or so many that lie evenly among them."""
    return np.linspace(0, count - 1, min(count, MOST)).round().astype(np.int64)


def _at(cloud: Floats, number: int, columns: int) -> npt.NDArray[np.float64]:
    """A cloud moved to its place in a grid that stands upright, read as a page is."""
    row, column = divmod(number, columns)
    moved: npt.NDArray[np.float64] = cloud + np.array([APART * column, 0.0, -APART * row])
    return moved
