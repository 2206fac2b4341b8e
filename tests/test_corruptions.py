"""The fifteen corruptions of clouds."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from pointvae.corruptions import CORRUPTIONS, FAMILIES, SEVERITIES, corrupt, density, noise, transformation
from pointvae.corruptions.frames import Frame, fit_box
from pointvae.errors import InputError

NAMES = list(CORRUPTIONS)
SIDES = {"occlusion", "lidar"}  # whose severity is first of all a side
WITHIN = {"density_inc", "density", "cutout", "occlusion"}  # which only ever take points away


def rng(*key: int) -> np.random.Generator:
    return np.random.default_rng(key)


def box(n: int = 1024, seed: int = 0, half=(0.7, 0.5, 0.3)) -> np.ndarray:
    """Points on the surface of a box about the origin."""
    draw, sides = rng(seed), np.array(half)
    areas = np.array([sides[1] * sides[2], sides[0] * sides[2], sides[0] * sides[1]])
    points = draw.uniform(-1, 1, (n, 3))
    points[np.arange(n), draw.choice(3, n, p=areas / areas.sum())] = draw.choice([-1, 1], n)
    return points * sides


def ball(n: int = 1024, seed: int = 0) -> np.ndarray:
    points = rng(seed).standard_normal((n, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def table(n: int = 1024, seed: int = 0) -> np.ndarray:
    """A flat top on a stick."""
    top, stick = box(3 * n // 4, seed, (0.7, 0.5, 0.03)), box(n - 3 * n // 4, seed + 1, (0.05, 0.05, 0.4))
    return np.concatenate([np.add(top, [0, 0, 0.4]), stick])


SHAPES = [shape(seed=seed) for seed in range(3) for shape in (box, ball, table)]


def chamfer(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean(cKDTree(a).query(b)[0] ** 2) + np.mean(cKDTree(b).query(a)[0] ** 2))


def in_sphere(cloud: np.ndarray) -> np.ndarray:
    return Frame.of(cloud).into(cloud)


CLEAN = [in_sphere(cloud) for cloud in SHAPES]


def test_there_are_five_of_each_family():
    assert [sum(c.family == f for c in CORRUPTIONS.values()) for f in FAMILIES] == [5, 5, 5]
    assert all(name == corruption.name for name, corruption in CORRUPTIONS.items())


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_the_same_digits_and_another_gives_others(name):
    cloud = box()
    before = cloud.copy()
    first, again, other = (corrupt(cloud, name, 3, rng(seed)) for seed in (0, 0, 1))
    assert first.dtype == np.float32 and first.shape[1] == 3
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)
    np.testing.assert_array_equal(cloud, before)


@pytest.mark.parametrize("name", NAMES)
def test_many_threads_find_what_one_finds(name):
    cloud = box(200)
    one = [corrupt(cloud, name, 2, rng(i)) for i in range(40)]
    with ThreadPoolExecutor(4) as pool:
        many = list(pool.map(lambda i: corrupt(cloud, name, 2, rng(i)), range(40)))
    for first, second in zip(one, many, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SIDES])
def test_damage_grows_with_severity(name):
    damage = [
        np.mean([chamfer(clean, CORRUPTIONS[name].function(clean, s, rng(i, s))) for i, clean in enumerate(CLEAN)])
        for s in SEVERITIES
    ]
    assert damage[0] > 0 and (np.diff(damage) > 0).all()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12, deadline=None)
@given(st.floats(0.01, 100), st.tuples(*[st.floats(-5, 5)] * 3), st.sampled_from(SEVERITIES))
def test_a_moved_and_scaled_cloud_is_corrupted_alike(name, scale, shift, severity):
    cloud = box(200, seed=4)
    found = corrupt(cloud * scale + shift, name, severity, rng(3))
    expected = corrupt(cloud, name, severity, rng(3)) * scale + shift
    if name not in SIDES:  # where rounding can tip what is just seen
        np.testing.assert_allclose(found, expected, atol=1e-4 * (scale + 5))
    assert len(found) == pytest.approx(len(expected), abs=2 + 0.02 * len(expected))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("severity", [1, 5])
@pytest.mark.parametrize(
    "cloud",
    [
        np.array([[0.3, -2.0, 5.0]]),
        np.array([[0.0, 0, 0], [1, 0, 0]]),
        np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]),
        np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        np.zeros((50, 3)),
        np.repeat(ball(5), 20, axis=0),
        ball(100) * [1, 1, 0],
        ball(100) * [1, 0, 0],
        ball(100) * [0, 0, 1],
        ball(100) * [0, 0, 1e-12] + 1000,
    ],
    ids=["one", "two", "three", "four", "one place", "duplicates", "flat", "line", "upright", "far and tiny"],
)
def test_odd_clouds_come_back_finite_and_never_empty(name, severity, cloud):
    found = corrupt(cloud, name, severity, rng(0))
    assert len(found) and np.isfinite(found).all()
    np.testing.assert_array_equal(found, corrupt(cloud, name, severity, rng(0)))


@pytest.mark.parametrize("name", sorted(WITHIN))
def test_what_only_removes_points_keeps_the_others_as_they_are(name):
    clean = in_sphere(box())
    left = CORRUPTIONS[name].function(clean, 4, rng(0))
    rows = {tuple(row) for row in clean}
    assert len(left) < len(clean) and {tuple(row) for row in left} <= rows
    assert len({tuple(row) for row in left}) == len(left)


COUNTS = {  # of 1,024 points, by severity; those of the release
    "density_inc": [512] * 5,
    "density": [949, 874, 799, 724, 649],
    "cutout": [964, 934, 874, 814, 724],
    "upsampling": [1228, 1280, 1365, 1536, 2048],
    "background": [1046, 1049, 1053, 1058, 1075],
}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SIDES])
def test_as_many_points_are_left_as_in_the_release(name):
    assert [len(corrupt(ball(), name, s, rng(s))) for s in SEVERITIES] == COUNTS.get(name, [1024] * 5)


def gone_and_patches(name: str, clean: np.ndarray, severity: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Which points a corruption removed (n,), and how many of the ``size`` nearest to each point it removed (n,)."""
    left = CORRUPTIONS[name].function(clean, severity, rng(2))
    gone = cKDTree(left).query(clean)[0] > 0
    return gone, gone[cKDTree(clean).query(clean, k=size)[1]].sum(axis=1)


def test_cutouts_are_whole_patches():
    gone, patches = gone_and_patches("cutout", in_sphere(ball()), 1, 30)
    assert gone.sum() == 60 and patches.max() == 30


def test_a_local_decrease_takes_three_quarters_of_a_patch():
    gone, patches = gone_and_patches("density", in_sphere(ball(2048)), 1, 200)
    assert gone.sum() == patches.max() == 150


def test_a_local_increase_keeps_whole_patches_and_thins_the_rest():
    gone, patches = gone_and_patches("density_inc", in_sphere(ball(2048)), 2, 100)
    assert gone.sum() == 1024 and patches.min() == 0
    far = patches > 45
    assert patches[far].mean() == pytest.approx(100 * 1024 / 1848, rel=0.1)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_has_the_size_that_it_should(severity):
    clean = in_sphere(box(4000)) * 0.9
    step = noise.uniform(clean, severity, rng(0)) - clean
    reach = 0.01 * severity
    assert np.abs(step).max() <= reach and step.std() == pytest.approx(reach / math.sqrt(3), rel=0.03)
    assert (noise.gaussian(clean, severity, rng(0)) - clean).std() == pytest.approx(0.005 * (severity + 1), rel=0.03)
    step = noise.impulse(clean, severity, rng(0)) - clean
    moved = np.abs(step).max(axis=1) > 0
    assert moved.sum() == 4000 // [30, 25, 20, 15, 10][severity - 1]
    np.testing.assert_allclose(np.abs(step[moved]), 0.1)


def test_gaussian_noise_stays_within_the_cube():
    assert np.abs(noise.gaussian(in_sphere(ball(3000)), 5, rng(0))).max() == 1


def test_upsampling_and_background_leave_the_shape_and_add_what_they_say():
    clean = in_sphere(table())
    for function in (noise.upsampling, noise.background):
        np.testing.assert_array_equal(function(clean, 5, rng(0))[: len(clean)], clean)
    added = noise.upsampling(clean, 5, rng(0))[len(clean) :]
    assert cKDTree(clean).query(added, p=np.inf)[0].max() <= 0.05
    added = noise.background(in_sphere(ball(100_000)), 5, rng(0))[100_000:]
    np.testing.assert_allclose(added.std(axis=0), 1 / math.sqrt(3), rtol=0.03)
    assert np.abs(added).max() <= 1


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_rotation_turns_rigidly_and_within_its_angles(severity):
    clean, draws = in_sphere(box()), range(40)
    angles = []
    for seed in draws:
        turned = transformation.rotation(clean, severity, rng(seed))
        turn = np.linalg.lstsq(clean, turned, rcond=None)[0].T
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(turn) == pytest.approx(1)
        angles += [math.degrees(math.asin(-turn[2, 0])), math.degrees(math.atan2(turn[2, 1], turn[2, 2]))]
    middle = [2.5, 5, 7.5, 10, 15][severity - 1]
    assert min(angles) < 0 < max(angles)
    assert np.abs(angles).max() <= middle + 2.5 + 1e-6 and np.abs(angles).min() >= middle - 2.5 - 1e-6


def test_a_shear_leaves_heights_and_is_linear():
    clean = in_sphere(box())
    gain = np.linalg.lstsq(clean, transformation.shear(clean, 5, rng(0)), rcond=None)[0].T
    np.testing.assert_allclose(np.diag(gain), 1, atol=1e-9)
    np.testing.assert_allclose(gain[2], [0, 0, 1], atol=1e-9)
    others = np.abs(gain[[0, 0, 1, 1], [1, 2, 0, 2]])
    assert (others >= 0.2).all() and (others <= 0.3).all()


def test_free_form_distortion_is_the_sum_over_control_points_written_out():
    clean = in_sphere(box(20))
    found = transformation.distortion(clean, 4, rng(7)) - clean
    displaced = 2 * rng(7).uniform(-0.4, 0.4, (125, 3)).reshape(5, 5, 5, 3)
    for point, step in zip(clean, found, strict=True):
        u, total = (point + 1) / 2, np.zeros(3)
        for i, j, k in np.ndindex(5, 5, 5):
            weight = math.prod(
                math.comb(4, n) * u[axis] ** n * (1 - u[axis]) ** (4 - n) for axis, n in enumerate((i, j, k))
            )
            total += weight * displaced[i, j, k]
        np.testing.assert_allclose(step, total, atol=1e-12)


@pytest.mark.parametrize("kernel", ["multiquadric", "inverse_multiquadric"])
def test_rbf_distortion_moves_control_points_as_far_as_said_and_interpolates_between(kernel):
    function = transformation.distortion_rbf if kernel == "multiquadric" else transformation.distortion_rbf_inv
    grid, clean = transformation.controls(), in_sphere(box(50))
    step = function(np.concatenate([grid, clean]), 4, rng(5)) - np.concatenate([grid, clean])
    np.testing.assert_allclose(np.linalg.norm(step[:125], axis=1), 0.1, atol=1e-9)
    expected = RBFInterpolator(grid, step[:125], kernel=kernel, epsilon=1 / 0.5, degree=1)(clean)
    np.testing.assert_allclose(step[125:], expected, atol=1e-8)


@pytest.mark.parametrize("distance", [3.0, 5.0])
def test_of_convex_bodies_the_near_side_is_seen(distance):
    for seed in range(5):
        eye = density.viewpoint(distance, 45, seed % 5 + 1, rng(seed))
        for points, normals in (
            (ball(), ball()),
            (box(), np.sign(box()) * (np.abs(box()) > [0.6999, 0.4999, 0.2999])),
        ):
            front = ((eye - points) * normals).sum(axis=1) > 0
            seen = np.isin(np.arange(len(points)), density.visible(points, eye))
            assert seen[front].mean() > 0.99 and seen[~front].mean() < 0.15


def test_a_plate_hides_another_behind_it():
    front, back = (np.add(box(600, seed, (0.02, 0.7, 0.7)), [x, 0, 0]) for seed, x in ((0, 0.5), (1, -0.5)))
    seen = density.visible(np.concatenate([front, back * [1, 0.8, 0.8]]), np.array([3.0, 0, 0]))
    assert (seen < 600).mean() > 0.9


def test_the_view_goes_round_with_severity():
    for severity in SEVERITIES:
        places = np.array([density.viewpoint(3, 30, severity, rng(i)) for i in range(50)])
        np.testing.assert_allclose(np.linalg.norm(places, axis=1), 3)
        np.testing.assert_allclose(places[:, 2], 1.5)
        angles = np.degrees(np.arctan2(places[:, 1], places[:, 0])) - 90 - 72 * severity
        assert np.abs((angles + 180) % 360 - 180).max() <= 36


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_lidar_scan_lies_on_rings_as_far_apart_as_said(severity):
    clean = in_sphere(box(2000))
    scan = density.lidar(clean, severity, rng(1))
    eye = density.viewpoint(5, 22.5, severity, rng(1))
    ray = scan - eye
    polar = np.degrees(np.arccos(ray[:, 2] / np.linalg.norm(ray, axis=1)))
    rings = np.unique(np.round(polar, 6))
    steps = np.diff(rings) / [0.5, 0.75, 1.0, 1.5, 2.0][severity - 1]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    seen = clean[density.visible(clean, eye)] - eye
    first = np.degrees(np.arccos(seen[:, 2] / np.linalg.norm(seen, axis=1))).min()
    assert ((rings[0] - first) / [0.5, 0.75, 1.0, 1.5, 2.0][severity - 1]) % 1 == pytest.approx(0.5, abs=1e-4)
    assert 4 < len(rings) < 25 * [2, 1.4, 1, 0.7, 0.5][severity - 1]
    assert cKDTree(clean).query(scan)[0].max() <= math.radians([0.5, 0.75, 1.0, 1.5, 2.0][severity - 1] / 4) * 6.1


@pytest.mark.parametrize("name", NAMES)
def test_what_is_fitted_has_the_box_of_the_clean_cloud(name):
    cloud = table() * 3 + 1
    worse = corrupt(cloud, name, 3, rng(0))
    if CORRUPTIONS[name].fits_box:
        assert np.ptp(worse, axis=0).max() == pytest.approx(np.ptp(cloud, axis=0).max(), rel=1e-5)
        middle = [(c.min(axis=0) + c.max(axis=0)) / 2 for c in (worse, cloud)]
        np.testing.assert_allclose(*middle, atol=1e-5)


def test_a_cloud_without_size_is_not_scaled():
    spot = np.ones((4, 3))
    np.testing.assert_array_equal(fit_box(spot, np.zeros((4, 3))), np.zeros((4, 3)))
    assert Frame.of(spot).radius == 1


def test_what_cannot_be_corrupted_is_refused():
    with pytest.raises(InputError, match="'fog': unknown; choose from occlusion, lidar"):
        corrupt(box(), "fog", 1, rng(0))
    for severity in (0, 6):
        with pytest.raises(InputError, match="from 1 to 5"):
            corrupt(box(), "cutout", severity, rng(0))
    for cloud in (np.zeros((0, 3)), np.zeros((5, 2)), np.full((5, 3), np.nan)):
        with pytest.raises(InputError, match="must be"):
            corrupt(cloud, "cutout", 1, rng(0))
