"""The parts of the procedural shapes, against volumes known in closed form."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointvae.data.procedural import parts
from pointvae.data.procedural.parts import assemble

SIZES = st.floats(0.05, 3.0)


def polygon(sections: int) -> float:
    """Area of the regular polygon inscribed in the unit circle."""
    return sections / 2 * np.sin(2 * np.pi / sections)


def volume(part: Any) -> float:
    """Divergence theorem over the triangles, one by one."""
    vertices, faces = part
    return sum(float(np.dot(vertices[a], np.cross(vertices[b], vertices[c]))) / 6 for a, b, c in faces)


@given(width=SIZES, depth=SIZES, height=SIZES)
def test_a_box_has_its_volume_and_stands_on_its_place(width: float, depth: float, height: float) -> None:
    part = parts.box(width, depth, height, x=1.0, y=-2.0, z=0.5)
    assert volume(part) == pytest.approx(width * depth * height)
    assert part[0].min(axis=0) == pytest.approx([1 - width / 2, -2 - depth / 2, 0.5])
    assert part[0].max(axis=0) == pytest.approx([1 + width / 2, -2 + depth / 2, 0.5 + height])


@given(radius=SIZES, height=SIZES)
def test_columns_lathes_rods_and_wheels_are_one_cylinder(radius: float, height: float) -> None:
    column = parts.column([0.0, height], radius, radius)
    assert volume(column) == pytest.approx(polygon(16) * radius**2 * height)
    lathe = parts.lathe([[0, 0], [radius, 0], [radius, height], [0, height]])
    assert volume(lathe) == pytest.approx(polygon(24) * radius**2 * height)
    rod = parts.rod([1.0, 2.0, 3.0], [1.0, 2.0 + 0.6 * height, 3.0 + 0.8 * height], radius)
    assert volume(rod) == pytest.approx(polygon(8) * radius**2 * height)
    wheel = parts.wheel(radius, height, x=4.0, y=1.0)
    assert volume(wheel) == pytest.approx(polygon(14) * radius**2 * height)
    assert wheel[0][:, 2].min() >= -1e-9


@pytest.mark.parametrize(("power", "area"), [(2.0, np.pi), (np.inf, 4.0), (1.0, 2.0)])
def test_a_section_runs_from_circle_to_square(power: float, area: float) -> None:
    x, y = parts.section(power, 400).T
    assert 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) == pytest.approx(area, rel=1e-3)


def test_a_hollow_vessel_holds_what_its_wall_leaves() -> None:
    radius, height = np.full(5, 0.5), np.linspace(0.0, 2.0, 5)
    part = parts.hollow(radius, height, 0.1, floor=0.05)
    assert volume(part) == pytest.approx(polygon(24) * (0.25 * 2.0 - 0.16 * 1.9), rel=0.01)


def test_a_band_is_a_ring_of_known_volume() -> None:
    part = parts.band([[1.0, 0.0], [2.0, 0.0], [2.0, 3.0], [1.0, 3.0]], sections=32)
    assert volume(part) == pytest.approx(polygon(32) * (4.0 - 1.0) * 3.0)


def test_a_bent_tube_has_the_volume_of_its_length() -> None:
    angle = np.linspace(0.0, np.pi, 200)
    path = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=-1)
    assert volume(parts.tube(path, 0.1, sides=64)) == pytest.approx(np.pi * 0.01 * np.pi, rel=0.01)
    assert volume(parts.tube(path, 0.1, flat=2.0, sides=64)) == pytest.approx(2 * np.pi * 0.01 * np.pi, rel=0.01)


def test_a_flat_tube_is_wide_across_the_plane_it_bends_in() -> None:
    angle = np.linspace(0.0, np.pi, 20)
    part = parts.tube(np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=-1), 0.1, flat=3.0, sides=64)
    assert part[0][:, 1].max() == pytest.approx(0.3, rel=0.01)
    assert part[0][:, 2].max() == pytest.approx(1.1, rel=0.01)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_turning_agrees_with_the_rotation_matrices_of_trimesh(axis: str) -> None:
    from trimesh.transformations import rotation_matrix

    part = parts.box(1.0, 2.0, 3.0, x=0.3)
    direction = [float(axis == name) for name in "xyz"]
    expected = part[0] @ rotation_matrix(np.radians(33.0), direction)[:3, :3].T
    assert parts.turn(part, axis, 33.0)[0] == pytest.approx(expected)


def test_a_mirror_image_keeps_its_normals_outside() -> None:
    part, image = parts.both_sides(parts.blade((0, 0, 0), (2, 1, 0.3), (1.0, 0.5), 0.1, (0, 1, 0)))
    assert volume(image) == pytest.approx(volume(part))
    assert volume(part) > 0
    assert image[0][:, 0].min() == pytest.approx(-part[0][:, 0].max())


@given(size=SIZES, upper=st.booleans())
def test_a_ball_is_nearly_a_sphere_and_its_upper_half_nearly_half(size: float, upper: bool) -> None:
    whole = 4 / 3 * np.pi * size**3
    assert volume(parts.ball(size, z=1.0, upper=upper)) == pytest.approx(whole / (2 if upper else 1), rel=0.15)


def test_a_hull_runs_along_y_between_its_low_and_high() -> None:
    part = parts.hull([-1.0, 2.0], 0.5, 0.25, [1.25, 0.75], power=np.inf)
    assert part[0].min(axis=0) == pytest.approx([-0.5, -1.0, 0.25])
    assert part[0].max(axis=0) == pytest.approx([0.5, 2.0, 1.25])
    assert volume(part) == pytest.approx(3.0 * 0.5 * (1.0 + 0.5))


def test_an_easing_passes_its_knots_and_stays_between_them() -> None:
    curve = parts.ease(np.linspace(0.0, 1.0, 101), (0.0, 0.3, 1.0), (1.0, 2.0, 0.5))
    assert curve[[0, 30, 100]] == pytest.approx([1.0, 2.0, 0.5])
    assert (np.diff(curve[:31]) >= 0).all()
    assert (np.diff(curve[30:]) <= 0).all()


def test_assembling_keeps_every_part_whole() -> None:
    mesh = assemble([parts.box(1, 1, 1), parts.box(2, 1, 1, x=0.5), parts.ball(0.5, z=3.0)])
    assert mesh.body_count == 3
    assert mesh.volume == pytest.approx(1 + 2 + volume(parts.ball(0.5)))
