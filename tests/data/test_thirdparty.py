import subprocess
import sys

import numpy as np
import pytest
import trimesh

from pointvae.data.thirdparty import geometry_of, is_shape
from pointvae.errors import InputError

torch = pytest.importorskip("torch")

CLOUD = np.random.default_rng(0).normal(size=(7, 3))


def a_box(move=0.0):
    return trimesh.creation.box(extents=(1, 2, 3)).apply_translation([move, 0, 0])


@pytest.mark.parametrize(
    "cloud",
    [
        CLOUD.astype(np.float32),
        CLOUD.astype(np.float16),
        (9 * CLOUD).astype(np.int32),
        CLOUD[::-1],
        torch.tensor(CLOUD),
        torch.tensor(CLOUD, requires_grad=True),
        torch.tensor(CLOUD).bfloat16(),
        trimesh.PointCloud(CLOUD),
    ],
    ids=lambda cloud: f"{type(cloud).__module__}-{getattr(cloud, 'dtype', '')}",
)
def test_clouds_keep_every_digit_they_have(cloud):
    geometry = geometry_of(cloud)
    assert geometry.faces is None
    assert geometry.vertices.dtype == np.float64
    plain = cloud.detach().double().numpy() if isinstance(cloud, torch.Tensor) else getattr(cloud, "vertices", cloud)
    np.testing.assert_array_equal(geometry.vertices, plain)


def test_a_cloud_is_copied_not_shared():
    cloud = CLOUD.copy()
    geometry = geometry_of(cloud)
    cloud[:] = 0
    np.testing.assert_array_equal(geometry.vertices, CLOUD)


@pytest.mark.parametrize("mesh", [a_box(), trimesh.primitives.Sphere(subdivisions=1)], ids=["Trimesh", "primitive"])
def test_a_mesh_of_trimesh_keeps_its_faces(mesh):
    geometry = geometry_of(mesh)
    np.testing.assert_array_equal(geometry.vertices, mesh.vertices)
    np.testing.assert_array_equal(geometry.faces, mesh.faces)


def test_the_parts_of_a_scene_stand_where_the_scene_has_them():
    scene = trimesh.Scene()
    scene.add_geometry(a_box(), geom_name="box")
    scene.add_geometry(a_box(), transform=trimesh.transformations.translation_matrix([5, 0, 0]))
    geometry = geometry_of(scene)
    assert geometry.faces is not None and geometry.faces.shape == (24, 3)
    assert geometry.vertices[:, 0].min() == -0.5
    assert geometry.vertices[:, 0].max() == 5.5


def test_a_class_of_the_users_own_that_derives_from_trimesh_is_one_of_trimesh():
    class Part(trimesh.Trimesh):
        pass

    assert geometry_of(Part(*(a_box().vertices, a_box().faces), process=False)).faces.shape == (12, 3)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (3, "int is no shape that is known here; give a numpy array"),
        ([[0, 0, 0]], "list is no shape"),
        (None, "NoneType is no shape"),
        (np.zeros((4, 2)), r"ndarray is float64 \[4, 2\]; it must be numbers \[n, 3\]$"),
        (np.zeros((4, 6)), r"float64 \[4, 6\].*take the columns of x, y and z, such as \[:, :3\]"),
        (np.zeros((2, 4, 3)), r"float64 \[2, 4, 3\]"),
        (np.zeros((4, 3), bool), r"bool \[4, 3\]"),
        (np.array([["a", "b", "c"]]), "<U1"),
        (np.zeros((0, 3)), "the ndarray holds no points"),
        (torch.zeros(4, 3, dtype=torch.complex64), "complex64"),
        (trimesh.Trimesh(), "the Trimesh holds no points"),
        (trimesh.Scene(), "the Scene holds no points"),
        (trimesh.Trimesh(vertices=CLOUD), "the mesh has no faces; give it faces, or give its vertices as a cloud"),
        (trimesh.Trimesh(CLOUD, [[0, 1, 7]], process=False, validate=False), "names vertex 7, but there are only 7"),
        (trimesh.load_path(CLOUD[:4, :2]), "Path2D is no shape"),
    ],
)
def test_what_is_no_shape_is_refused_in_one_line(shape, words):
    with pytest.raises(InputError, match=words) as caught:
        geometry_of(shape)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite_are_refused_with_their_number(bad):
    cloud = CLOUD.copy()
    cloud[2:5, 1] = bad
    with pytest.raises(InputError, match="3 of the 7 points are NaN or infinite"):
        geometry_of(cloud)
    assert not np.isfinite(geometry_of(cloud, finite=False).vertices).all()


def test_one_shape_is_told_from_several():
    assert is_shape(a_box()) and is_shape(CLOUD) and is_shape(torch.tensor(CLOUD))
    assert not any(is_shape(value) for value in (np.zeros((2, 4, 3)), [CLOUD], "chair.off", {"train": []}))


def test_nothing_is_imported_for_arrays():
    program = (
        "import sys, numpy; from pointvae.data.thirdparty import geometry_of; geometry_of(numpy.ones((3, 3))); "
        "print([name for name in ('torch', 'trimesh', 'open3d', 'torch_geometric') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
