import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pointvae.data.sampling import (
    BLOCK,
    Geometry,
    face_areas,
    face_normals,
    normalize_points,
    sample_surface,
    shape_rng,
    thin,
    to_cloud,
    turn_z_up,
)
from pointvae.errors import InputError

SQUARES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [5, 0, 0], [8, 0, 0], [5, 3, 0], [9, 9, 9]], float)
FACES = np.array([[0, 1, 2], [6, 6, 6], [3, 4, 5]])
clouds = hnp.arrays(np.float64, st.tuples(st.integers(2, 20), st.just(3)), elements=st.floats(-100, 100, width=32))


def random_mesh(seed: int, faces: int = 12):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(3 * faces, 3)), np.arange(3 * faces).reshape(faces, 3)


def slow_sample(vertices, faces, count, rng):
    """The same draws, one point at a time."""
    picks, first, second = rng.random(count), rng.random((count, 1))[:, 0], rng.random((count, 1))[:, 0]
    areas = [
        0.5 * np.linalg.norm(np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])) for a, b, c in faces
    ]
    points, chosen = [], []
    for pick, r, s in zip(picks, first, second, strict=True):
        left = pick * sum(areas)
        face = 0
        while left >= areas[face]:
            left -= areas[face]
            face += 1
        a, b, c = vertices[faces[face]]
        points.append((1 - r**0.5) * a + r**0.5 * (1 - s) * b + r**0.5 * s * c)
        chosen.append(face)
    return np.array(points), np.array(chosen)


def test_the_sampler_draws_what_a_loop_over_points_draws():
    vertices, faces = random_mesh(1)
    fast, fast_faces = sample_surface(vertices, faces, 300, np.random.default_rng(5))
    slow, slow_faces = slow_sample(vertices, faces, 300, np.random.default_rng(5))
    np.testing.assert_array_equal(fast_faces, slow_faces)
    np.testing.assert_allclose(fast, slow, atol=1e-12)


def plain_areas(corners):
    """Areas as numpy's own functions give them, whose bits the datasets of earlier versions hold."""
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2


def plain_sample(vertices, faces, count, rng):
    corners = vertices[faces]
    areas = plain_areas(corners / np.ptp(corners.reshape(-1, 3), axis=0).max())
    total = np.cumsum(areas)
    drawn = np.searchsorted(total, rng.random(count) * total[-1], side="right")
    chosen = np.minimum(drawn, np.flatnonzero(areas)[-1])
    root, along = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    a, b, c = np.moveaxis(corners[chosen], 1, 0)
    return (1 - root) * a + root * (1 - along) * b + root * along * c, chosen


@given(st.integers(0, 10_000), st.integers(1, 300), st.sampled_from([1e-5, 1.0, 1e6]))
def test_samples_are_bit_for_bit_those_of_the_plain_formulas(seed, faces, scale):
    vertices, triangles = random_mesh(seed, faces)
    vertices = vertices * scale + seed
    corners = vertices[triangles]
    assert face_areas(corners).tobytes() == plain_areas(corners).tobytes()
    fast, slow = (
        sample(vertices, triangles, 100, np.random.default_rng(seed)) for sample in (sample_surface, plain_sample)
    )
    assert fast[0].tobytes() == slow[0].tobytes()
    np.testing.assert_array_equal(fast[1], slow[1])


def test_blocks_of_triangles_and_vertices_that_no_face_uses_change_no_bit():
    vertices, faces = random_mesh(3, 2 * BLOCK + 7)
    samples = [plain_sample(vertices, faces, 500, np.random.default_rng(0))]
    for corners in (vertices, np.append(vertices, [[1e9, 0, -1e9]], axis=0)):
        samples.append(sample_surface(corners, faces, 500, np.random.default_rng(0)))
    for points, chosen in samples[1:]:
        assert points.tobytes() == samples[0][0].tobytes()
        np.testing.assert_array_equal(chosen, samples[0][1])


@given(st.integers(0, 10_000), st.integers(1, 50))
def test_digests_are_of_the_rounded_corners_of_all_triangles_in_order(seed, faces):
    vertices, triangles = random_mesh(seed, faces)
    for mesh, soup in ((Geometry(vertices, triangles), vertices[triangles]), (Geometry(vertices), vertices)):
        assert mesh.digest() == hashlib.sha256(soup.astype(np.float32).tobytes()).hexdigest()[:16]


def test_faces_are_hit_in_proportion_to_their_area_and_flat_ones_never():
    _, chosen = sample_surface(SQUARES, FACES, 20_000, np.random.default_rng(0))
    share = np.bincount(chosen, minlength=3) / 20_000
    assert share[1] == 0
    assert share[0] == pytest.approx(0.1, abs=4 * (0.09 / 20_000) ** 0.5)


def test_points_within_a_triangle_are_uniform():
    points, _ = sample_surface(SQUARES[:3], FACES[:1], 40_000, np.random.default_rng(0))
    x, y = points[:, 0], points[:, 1]
    # of a uniform density on x, y >= 0, x + y <= 1: means 1/3, variances 1/18, covariance -1/36
    np.testing.assert_allclose([x.mean(), y.mean()], 1 / 3, atol=0.005)
    np.testing.assert_allclose(np.cov(x, y), [[1 / 18, -1 / 36], [-1 / 36, 1 / 18]], atol=0.001)


@given(st.integers(0, 10_000))
def test_every_point_lies_on_its_face(seed):
    vertices, faces = random_mesh(seed, 5)
    points, chosen = sample_surface(vertices, faces, 50, np.random.default_rng(seed))
    a, b, c = np.moveaxis(vertices[faces[chosen]], 1, 0)
    parts = sum(face_areas(np.stack(corners, 1)) for corners in ((points, a, b), (points, b, c), (points, c, a)))
    np.testing.assert_allclose(parts, face_areas(np.stack((a, b, c), 1)), rtol=1e-6, atol=1e-9)


def test_moments_of_a_sphere_are_those_of_its_surface():
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=4)
    points, chosen = sample_surface(ball.vertices, ball.faces, 30_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.cov(points.T), np.eye(3) / 3, atol=0.01)
    normals = face_normals(ball.vertices, ball.faces)[chosen]
    assert (np.einsum("ni,ni->n", normals, points) > 0.99).all()


def test_normals_of_degenerate_faces_are_zero_not_nan():
    np.testing.assert_array_equal(face_normals(SQUARES, FACES)[1], 0)


@pytest.mark.parametrize(
    ("vertices", "faces", "why"),
    [
        (SQUARES, np.empty((0, 3), int), "no faces"),
        (SQUARES, FACES[1:2], "zero area"),
        (np.array([[0, 0, 0], [0.1, 0.2, 0.3], [0.3, 0.6, 0.9]]), FACES[:1], "zero area"),
    ],
)
def test_a_mesh_without_surface_is_refused(vertices, faces, why):
    with pytest.raises(InputError, match=why):
        sample_surface(vertices, faces, 8, np.random.default_rng(0))


def test_a_shape_has_its_own_generator_from_seed_and_name():
    draws = {shape_rng(seed, name).random() for seed in (0, 1) for name in ("a", "b", "chair/a")}
    assert len(draws) == 6
    assert shape_rng(0, "a").random() == shape_rng(0, "a").random()


def test_y_up_shapes_are_turned_by_90_degrees_about_x():
    np.testing.assert_array_equal(turn_z_up(np.array([[1.0, 2.0, 3.0]]), "y"), [[1, -3, 2]])
    assert np.linalg.det(turn_z_up(np.eye(3), "y")) == pytest.approx(1)
    np.testing.assert_array_equal(turn_z_up(np.eye(3), "z"), np.eye(3))


@given(clouds)
def test_sphere_and_cube_put_and_size_a_cloud_as_they_say(points):
    if np.ptp(points, axis=0).max() < 1e-3:
        return
    ball, cube = normalize_points(points, "sphere"), normalize_points(points, "cube")
    np.testing.assert_allclose(ball.mean(axis=0), 0, atol=1e-9)
    assert np.linalg.norm(ball, axis=1).max() == pytest.approx(1)
    np.testing.assert_allclose(cube.max(axis=0), -cube.min(axis=0), atol=1e-6)
    assert np.abs(cube).max() == pytest.approx(1)
    np.testing.assert_array_equal(normalize_points(points, "none"), points)


@pytest.mark.parametrize("unit", [1e-200, 1e-30, 1e30, 1e150])
def test_the_unit_of_a_mesh_does_not_matter(unit):
    vertices, faces = random_mesh(3)
    rngs = [np.random.default_rng(0), np.random.default_rng(0)]
    options = {"points": 50, "up": "z", "normalize": "sphere"}
    usual, _ = to_cloud(Geometry(vertices, faces), rng=rngs[0], **options)
    scaled, _ = to_cloud(Geometry(vertices * unit, faces), rng=rngs[1], **options)
    np.testing.assert_allclose(scaled, usual, atol=1e-5)


def test_coinciding_points_have_no_size():
    for how in ("sphere", "cube"):
        with pytest.raises(InputError, match="coincide"):
            normalize_points(np.ones((5, 3)), how)


@given(clouds, st.integers(1, 20), st.integers(0, 99))
def test_thinning_keeps_distinct_points_of_the_cloud(points, count, seed):
    points = np.concatenate([points, np.arange(len(points))[:, None]], axis=1)
    if count > len(points):
        with pytest.raises(InputError, match=f"--points {len(points)}"):
            thin(points, count, np.random.default_rng(seed))
        return
    kept = thin(points, count, np.random.default_rng(seed))[:, 3]
    assert len(set(kept)) == count
    assert set(kept) <= set(points[:, 3])


def test_a_cloud_of_just_so_many_points_keeps_their_order():
    points = np.random.default_rng(0).normal(size=(7, 3))
    cloud, _ = to_cloud(Geometry(points), points=7, up="z", normalize="none", rng=np.random.default_rng(0))
    np.testing.assert_allclose(cloud, points, rtol=1e-6)
    assert cloud.dtype == np.float32


def test_normals_turn_with_the_shape():
    floor = Geometry(np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0]], float), np.array([[0, 1, 2]]))
    points, normals = to_cloud(
        floor, points=8, up="y", normalize="sphere", rng=np.random.default_rng(0), normals=True
    )
    np.testing.assert_allclose(normals, [[0, 0, 1]] * 8, atol=1e-6)
    np.testing.assert_allclose(points[:, 2], 0, atol=1e-6)


def test_nan_vertices_a_single_point_and_normals_of_a_cloud_are_named():
    rng = np.random.default_rng(0)
    options = {"points": 2, "up": "z", "normalize": "none", "rng": rng}
    with pytest.raises(InputError, match="1 of 2 vertices are NaN"):
        to_cloud(Geometry(np.array([[0, 0, 0], [0, np.nan, 0]])), **options)
    with pytest.raises(InputError, match="no faces to take normals"):
        to_cloud(Geometry(np.eye(3)), normals=True, **options)
    with pytest.raises(InputError, match="single point"):
        to_cloud(Geometry(np.zeros((1, 3))), **options | {"points": 1})
