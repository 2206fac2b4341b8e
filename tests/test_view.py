import os
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import trimesh

from pointvae import view as viewing
from pointvae.data.thirdparty import import_open3d, to_open3d, to_trimesh
from pointvae.errors import InputError

CLOUD = np.random.default_rng(0).normal(size=(50, 3))


@pytest.fixture
def no_open3d_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", types.ModuleType("open3d"))


@pytest.fixture
def a_box(tmp_path):
    trimesh.creation.box(extents=(1, 2, 3)).export(tmp_path / "box.off")
    return tmp_path / "box.off"


def test_without_open3d_the_refusal_has_the_command(monkeypatch, a_box):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(InputError, match=r"^open3d is not installed; pip install 'pointvae\[open3d\]'$"):
        viewing.view(a_box)
    with pytest.raises(InputError, match="pip install"):
        to_open3d(CLOUD)


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("libusb-1.0.so.0", "libusb-1.0-0"),
        ("libGL.so.1", "libgl1"),
        ("libEGL.so.1", "libegl1"),
        ("libodd.so.3", "libgl1"),
    ],
)
def test_a_missing_system_library_is_named_with_its_package(monkeypatch, library, package):
    def fails(name):
        raise OSError(f"{library}: cannot open shared object file: No such file or directory")

    monkeypatch.setattr("pointvae.data.thirdparty.importlib.import_module", fails)
    with pytest.raises(InputError, match=rf"the system lacks {library}; .*apt-get install .*{package}"):
        import_open3d()


def test_a_package_that_open3d_lacks_is_named(monkeypatch):
    def fails(name):
        raise ModuleNotFoundError("No module named 'dash'", name="dash")

    monkeypatch.setattr("pointvae.data.thirdparty.importlib.import_module", fails)
    with pytest.raises(InputError, match="open3d needs dash, which is not installed"):
        import_open3d()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a screen")
@pytest.mark.parametrize(
    ("display", "wayland", "words"),
    [
        (None, None, "neither DISPLAY nor WAYLAND_DISPLAY is set"),
        (":4242", None, "nobody answers at DISPLAY=:4242"),
        ("here", None, "nobody answers at DISPLAY=here"),
        (None, "wayland-4242", "nobody answers at WAYLAND_DISPLAY=wayland-4242"),
    ],
)
def test_without_a_screen_the_refusal_names_another_way(
    no_open3d_needed, monkeypatch, a_box, display, wayland, words
):
    for name, value in (("DISPLAY", display), ("WAYLAND_DISPLAY", wayland)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match=rf"{words}; `pointvae reconstruct RUN INPUT out\.html`") as caught:
        viewing.view(a_box)
    assert "\n" not in str(caught.value)


def scene(shapes, run=None, points=None, up=None):
    return viewing._scene(shapes, run, points, up, None, 0, False)


def test_a_single_mesh_is_shown_as_it_is(a_box):
    names, (shown,) = scene(a_box)
    assert names == ["box.off"]
    assert shown.geometry.faces.shape == (12, 3)
    assert np.ptp(shown.geometry.vertices[:, 2]) == 2.0
    _, (turned,) = scene(trimesh.load(a_box), up="y")
    assert np.ptp(turned.geometry.vertices[:, 1]) == 2.0


def test_many_shapes_stand_apart_and_no_more_than_fit():
    names, shown = scene([CLOUD + row for row in range(viewing.MOST + 9)], points=20)
    assert len(shown) == len(names) == viewing.MOST
    assert (names[0], names[-1]) == ("shape_000000", f"shape_{viewing.MOST + 8:06d}")
    middles = np.array([one.geometry.vertices.mean(axis=0) for one in shown])
    gaps = np.linalg.norm(middles[:, None] - middles[None], axis=2) + 9 * np.eye(len(middles))
    assert gaps.min() > 2


def test_with_a_run_each_shape_stands_to_the_left_of_its_reconstruction(tmp_path):
    from pointvae.hub import save_pretrained
    from pointvae.models.build import build_model

    model = build_model({"latent_dim": 4, "points": 12}, 0)
    save_pretrained(model, tmp_path / "run", {"points": 20})
    names, shown = scene([CLOUD, CLOUD + 1], tmp_path / "run")
    assert len(names) == 2
    assert [len(one.geometry.vertices) for one in shown] == [20, 12, 20, 12]
    assert [one.colour for one in shown] == [viewing.INPUT, viewing.RECONSTRUCTION] * 2
    middles = [one.geometry.vertices.mean(axis=0) for one in shown]
    np.testing.assert_allclose((middles[1] - middles[0]), [viewing.APART, 0, 0], atol=0.5)


def test_a_cloud_becomes_one_of_trimesh():
    np.testing.assert_array_equal(to_trimesh(CLOUD).vertices, CLOUD)
    with pytest.raises(InputError, match="holds no points"):
        to_trimesh(np.zeros((0, 3)))


PROGRAM = """
import sys
import numpy as np
from pointvae import view as viewing
from pointvae.data.thirdparty import geometry_of, import_open3d, to_open3d
open3d = import_open3d()
cloud = np.random.default_rng(0).normal(size=(50, 3))
for made in (to_open3d(cloud), open3d.t.geometry.PointCloud.from_legacy(to_open3d(cloud))):
    np.testing.assert_allclose(geometry_of(made).vertices, cloud, rtol=1e-6)
box = open3d.geometry.TriangleMesh.create_box()
for made in (box, open3d.t.geometry.TriangleMesh.from_legacy(box)):
    assert geometry_of(made).faces.shape == (12, 3)
for empty in (open3d.geometry.TriangleMesh(), open3d.t.geometry.PointCloud(), open3d.geometry.LineSet()):
    try:
        geometry_of(empty)
    except ValueError as error:
        print(error)
viewing.check_screen()
window = viewing.open_window(open3d, viewing._scene(sys.argv[1], None, None, None, None, 0, False)[1])
for _ in range(3):
    window.poll_events()
    window.update_renderer()
window.capture_screen_image(sys.argv[2], do_render=True)
window.destroy_window()
"""


@pytest.mark.slow
def test_open3d_takes_and_gives_objects_and_its_window_shows_the_shape(tmp_path, a_box):
    try:
        import_open3d()
    except InputError as error:
        pytest.skip(str(error))
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb for a screen: apt-get install xvfb")
    reader, writer = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x900x24"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    with os.fdopen(reader) as told:
        number = told.readline().strip()
    try:
        environment = {**os.environ, "DISPLAY": f":{number}", "LIBGL_ALWAYS_SOFTWARE": "1"}
        environment.pop("WAYLAND_DISPLAY", None)
        command = [sys.executable, "-c", PROGRAM, a_box, tmp_path / "shot.png"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    finally:
        screen.kill()
        screen.wait()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["the TriangleMesh holds no points", "the PointCloud holds no points"]
    assert lines[2].startswith("LineSet is no shape")
    from matplotlib.image import imread

    picture = imread(tmp_path / "shot.png")[..., :3]
    inked = (picture < 0.9).any(axis=2)
    assert 0.02 < inked.mean() < 0.6  # a box in the middle, and white about it
    assert inked[inked.shape[0] // 2, inked.shape[1] // 2] and not inked[5, 5]
