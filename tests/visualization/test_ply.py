"""Clouds written as .ply are read back as they were."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pointvae.errors import InputError
from pointvae.visualization.ply import write_ply

CLOUD = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
COLOURS = np.random.default_rng(1).integers(0, 256, (50, 3)).astype(np.uint8)


@pytest.mark.parametrize("binary", [True, False])
def test_another_program_reads_points_and_colours_back(tmp_path, binary):
    write_ply(tmp_path / "a.ply", CLOUD, COLOURS, binary=binary)
    found = trimesh.load(tmp_path / "a.ply")
    np.testing.assert_array_equal(np.asarray(found.vertices, np.float32), CLOUD)
    np.testing.assert_array_equal(np.asarray(found.colors)[:, :3], COLOURS)


@pytest.mark.parametrize("binary", [True, False])
@settings(max_examples=30, deadline=None)
@given(
    cloud=arrays.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(3)), elements=st.floats(-1e6, 1e6, width=32))
)
def test_no_digit_is_lost(tmp_path_factory, binary, cloud):
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    write_ply(path, cloud, binary=binary)
    head, body = path.read_bytes().split(b"end_header\n")
    assert f"element vertex {len(cloud)}".encode() in head
    values = np.frombuffer(body, "<f4") if binary else np.array(body.split(), np.float32)
    np.testing.assert_array_equal(values.reshape(-1, 3), cloud)


def test_it_becomes_a_file_in_a_new_folder(tmp_path):
    write_ply(tmp_path / "new" / "a.ply", CLOUD)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.ply"]


@pytest.mark.parametrize(
    ("cloud", "colours", "message"),
    [
        (CLOUD[:, :2], None, r"a.ply: a cloud must be \(N, 3\)"),
        (CLOUD, COLOURS[:3], "colours must be"),
        (np.full((2, 3), np.nan), None, "holds NaN"),
    ],
)
def test_what_is_no_cloud_is_refused_and_nothing_is_written(tmp_path, cloud, colours, message):
    with pytest.raises(InputError, match=message):
        write_ply(tmp_path / "a.ply", cloud, colours)
    assert not list(tmp_path.iterdir())
