import contextlib
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pointvae.data import scans
from pointvae.data.clouds import count_points
from pointvae.data.dataset import load_dataset
from pointvae.data.prepare import prepare
from pointvae.data.readers import read_file
from pointvae.errors import InputError
from tests.data.files import folder_bytes

laspy = pytest.importorskip("laspy")
pye57 = pytest.importorskip("pye57")

EAST = np.array([10.0, 0.0, 0.0])
FAR = np.array([500_000.0, 5_300_000.0, 400.0])  # metres east, north and above the sea


def box_middle(points):
    return (points.min(axis=0) + points.max(axis=0)) / 2


def write_las(path, points, withheld=None, point_format=6):
    header = laspy.LasHeader(point_format=point_format, version="1.4" if point_format > 5 else "1.2")
    header.scales, header.offsets = np.full(3, 0.001), np.floor(points.min(axis=0))
    scan = laspy.LasData(header)
    scan.x, scan.y, scan.z = points.T
    if withheld is not None:
        scan.withheld = withheld
    scan.write(path)
    return path


def write_e57(path, parts):
    """Each part: points [N, 3], rotation (w, x, y, z), translation, invalid state or None."""
    path.unlink(missing_ok=True)
    with pye57.E57(str(path), mode="w") as file:
        for points, rotation, translation, state in parts:
            data = {
                f"cartesian{axis}": np.ascontiguousarray(column) for axis, column in zip("XYZ", points.T, strict=True)
            }
            if state is not None:
                data["cartesianInvalidState"] = state.astype(np.int8)
            file.write_scan_raw(data, rotation=np.array(rotation), translation=np.array(translation))
    return path


def write_spherical(path, rae, pose_order=None):
    from pye57 import libe57

    file = pye57.E57(str(path), mode="w")
    image = file.image_file
    scan = libe57.StructureNode(image)
    scan.set("guid", libe57.StringNode(image, "{1}"))
    if pose_order:
        pose, turn = libe57.StructureNode(image), libe57.StructureNode(image)
        scan.set("pose", pose)
        pose.set("rotation", turn)
        for part in pose_order:
            turn.set(part, libe57.FloatNode(image, {"w": 0.0, "z": 1.0}.get(part, 0.0)))
    names = ["sphericalRange", "sphericalAzimuth", "sphericalElevation"]
    prototype = libe57.StructureNode(image)
    for name in names:
        prototype.set(name, libe57.FloatNode(image, 0.0, libe57.E57_DOUBLE))
    arrays, buffers = file.make_buffers(names, len(rae))
    points = libe57.CompressedVectorNode(image, prototype, libe57.VectorNode(image, True))
    scan.set("points", points)
    file.data3d.append(scan)
    writer = points.writer(buffers)
    for name, column in zip(names, rae.T, strict=True):
        arrays[name][:] = column
    writer.write(len(rae))
    writer.close()
    file.close()
    return path


@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize("point_format", [1, 6])
def test_a_scan_far_from_the_origin_keeps_its_millimetres(tmp_path, suffix, point_format):
    points = FAR + np.round(np.random.default_rng(0).random((300, 3)) * 4, 3)
    path = write_las(tmp_path / f"a{suffix}", points, point_format=point_format)
    found = read_file(path).vertices
    np.testing.assert_allclose(found, points - box_middle(points), atol=1e-6)
    assert not np.allclose(points.astype(np.float32) - box_middle(points), found, atol=1e-3)
    assert count_points(path) == 300


def test_withheld_points_are_left_out(tmp_path):
    points = FAR + np.round(np.random.default_rng(0).random((50, 3)), 3)
    withheld = np.arange(50) % 3 == 0
    found = read_file(write_las(tmp_path / "a.laz", points, withheld)).vertices
    np.testing.assert_allclose(found, points[~withheld] - box_middle(points[~withheld]), atol=1e-6)
    with pytest.raises(InputError, match="none of the scan's 50 points is valid"):
        read_file(write_las(tmp_path / "b.las", points, np.ones(50, bool)))


@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_a_huge_scan_is_thinned_evenly_however_it_is_cut_up(tmp_path, monkeypatch, suffix):
    points = np.round(np.cumsum(np.ones((1000, 3)), axis=0), 3)
    path = write_las(tmp_path / f"a{suffix}", points)
    monkeypatch.setattr(scans, "MOST", 96)
    found = []
    for stretch in (7, 96, 1000, 5000):
        monkeypatch.setattr(scans, "STRETCH", stretch)
        found.append(read_file(path).vertices)
    assert all((one == found[0]).all() for one in found)
    assert len(found[0]) == 96 == count_points(path)
    steps = np.diff(found[0][:, 0])
    assert steps.min() > 0.5
    assert steps.max() < 2 * 1000 / 96 + 1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(1, 50), st.integers(1, 60))
def test_gathering_takes_each_point_once_and_at_most_so_many(count, most, stretch):
    old = scans.MOST
    scans.MOST = most
    try:
        every = np.repeat(np.arange(count, dtype=np.float64)[:, None], 3, axis=1)
        cuts = [every[start : start + stretch] for start in range(0, count, stretch)]
        found = scans._gather(count, lambda: iter([(part, np.zeros(len(part), bool)) for part in cuts]))
    finally:
        scans.MOST = old
    numbers = np.round(found[:, 0] - found[0, 0]).astype(int)
    assert len(found) == min(count, most)
    assert (np.diff(numbers) > 0).all()


@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize("keep", [0, 3, 100, 230, 300, 0.5, 0.99])
def test_a_scan_cut_short_is_told_in_one_line(tmp_path, suffix, keep):
    whole = write_las(tmp_path / f"whole{suffix}", FAR + np.random.default_rng(0).random((2000, 3)))
    data = whole.read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(InputError) as error:
        read_file(path)
    assert "\n" not in str(error.value)
    assert path.exists()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([".las", ".laz"]), st.data())
def test_a_scrambled_header_is_refused_or_read_without_asking_for_the_world(tmp_path, suffix, data):
    path = tmp_path / f"whole{suffix}"
    if not path.exists():
        write_las(path, np.random.default_rng(0).random((100, 3)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(4, 374))] = data.draw(st.integers(0, 255))
    (tmp_path / f"bad{suffix}").write_bytes(content)
    with contextlib.suppress(InputError):  # anything else, such as a MemoryError, is a fault
        read_file(tmp_path / f"bad{suffix}")


def test_a_header_that_promises_more_points_than_the_file_holds_is_refused(tmp_path):
    path = write_las(tmp_path / "a.las", np.random.default_rng(0).random((100, 3)))
    content = bytearray(path.read_bytes())
    content[247:255] = (10**15).to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="cut short: 100 points of 1000000000000000"):
        read_file(path)


def test_the_scans_of_an_e57_stand_where_their_poses_put_them(tmp_path):
    rng = np.random.default_rng(0)
    one, two = rng.random((40, 3)), rng.random((30, 3))
    w, x, y, z = np.array([0.5, 0.1, -0.7, 0.3]) / np.linalg.norm([0.5, 0.1, -0.7, 0.3])
    path = write_e57(tmp_path / "a.e57", [(one, [1, 0, 0, 0], FAR, None), (two, [w, x, y, z], FAR + EAST, None)])
    turned = Rotation.from_quat([x, y, z, w]).apply(two)
    expected = np.concatenate([one, turned + EAST])
    np.testing.assert_allclose(read_file(path).vertices, expected - box_middle(expected), atol=1e-6)
    assert count_points(path) == 70


def test_invalid_points_and_missing_returns_of_an_e57_are_dropped(tmp_path, monkeypatch):
    points = np.random.default_rng(0).random((20, 3))
    state = np.zeros(20, int)
    state[3], state[4] = 1, 2
    path = write_e57(tmp_path / "a.e57", [(points, [1, 0, 0, 0], [0, 0, 0], state)])
    assert count_points(path) is None
    left = points[state == 0]
    for stretch in (1 << 20, 7):
        monkeypatch.setattr(scans, "STRETCH", stretch)
        np.testing.assert_allclose(read_file(path).vertices, left - box_middle(left), atol=1e-6)


@pytest.mark.parametrize("order", [None, "wxyz", "zyxw"])
def test_spherical_coordinates_are_turned_into_cartesian_ones(tmp_path, order):
    rng = np.random.default_rng(0)
    rae = np.stack([1 + rng.random(25), rng.uniform(-3, 3, 25), rng.uniform(-1.5, 1.5, 25)], axis=1)
    expected = []
    for distance, azimuth, elevation in rae:
        flat = distance * np.cos(elevation)
        expected.append([flat * np.cos(azimuth), flat * np.sin(azimuth), distance * np.sin(elevation)])
    expected = np.array(expected) * ([-1, -1, 1] if order else [1, 1, 1])  # half a turn about z
    found = read_file(write_spherical(tmp_path / "a.e57", rae, order)).vertices
    np.testing.assert_allclose(found, expected - box_middle(expected), atol=1e-12)


@pytest.mark.parametrize("keep", [0, 20, 0.3, 0.9])
def test_an_e57_cut_short_is_told_in_one_line_and_stays_where_it_is(tmp_path, keep):
    path = write_e57(
        tmp_path / "a.e57", [(np.random.default_rng(0).random((4000, 3)), [1, 0, 0, 0], [0, 0, 0], None)]
    )
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(InputError) as error:
        read_file(path)
    assert "\n" not in str(error.value)
    assert path.exists()


@pytest.mark.parametrize(("suffix", "package"), [(".las", "laspy"), (".laz", "lazrs"), (".e57", "pye57")])
def test_a_package_that_is_not_installed_is_named_with_its_extra(tmp_path, monkeypatch, suffix, package):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"LASF")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{package}.*not installed; pip install 'pointvae\[scans\]'"):
        read_file(path)


def test_a_folder_of_scans_gives_the_same_bytes_with_any_number_of_processes(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("tree", "pole"):
        (tmp_path / "set" / kind).mkdir(parents=True)
        for index in range(2):
            write_las(tmp_path / "set" / kind / f"{index}.laz", FAR + rng.random((200, 3)))
        part = (rng.random((150, 3)), [1, 0, 0, 0], FAR, None)
        write_e57(tmp_path / "set" / kind / "2.e57", [part])
    prepare(tmp_path / "set", tmp_path / "a", points=64)
    prepare(tmp_path / "set", tmp_path / "b", points=64, jobs=2)
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b")
    train = load_dataset(tmp_path / "a")["train"]
    assert train.classes == ["pole", "tree"]
    assert len({tuple(cloud[0]) for cloud in train.points}) == len(train)
    with pytest.raises(InputError, match=r"mixed point counts: 2 of 6 shapes .*2\.e57 only 150"):
        prepare(tmp_path / "set", tmp_path / "c", points=200)
