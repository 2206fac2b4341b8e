"""The procedural shapes: closed, level, reproducible, and shaped by every factor they record."""

import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointvae.data.procedural import CATEGORIES, FACTORS, STYLES, build, draw_factors, mesh_from_factors
from pointvae.data.procedural.category import TILT
from pointvae.errors import InputError

LEVEL = [name for name in CATEGORIES if not TILT.keys() & FACTORS[name].keys()]


def normalised(mesh: Any) -> np.ndarray:
    points = np.asarray(mesh.vertices) - mesh.vertices.mean(axis=0)
    return points / np.linalg.norm(points, axis=1).max()


def differ(one: Any, other: Any) -> bool:
    """Whether two meshes differ in shape, not merely in size and place."""
    if len(one.vertices) != len(other.vertices):
        return True
    return bool(np.abs(normalised(one) - normalised(other)).max() > 1e-3)


def extremes(category: str, seed: int) -> dict[str, float]:
    """Random styles, and every factor at one end of its range."""
    rng = np.random.default_rng(seed)
    ends = {name: float(rng.choice(limits)) for name, limits in FACTORS[category].items()}
    return {**draw_factors(category, rng), **ends}


def test_there_are_at_least_a_dozen_categories_in_alphabetical_order() -> None:
    assert len(CATEGORIES) >= 12
    assert list(CATEGORIES) == sorted(set(CATEGORIES))
    assert {"chair", "stool", "mug", "vase", "airplane", "hammer"} <= set(CATEGORIES)


@pytest.mark.parametrize("category", CATEGORIES)
def test_one_seed_gives_one_mesh_and_another_seed_another(category: str) -> None:
    first, factors = build(category, np.random.default_rng(3))
    again, same = build(category, np.random.default_rng(3))
    other, _ = build(category, np.random.default_rng(4))
    assert factors == same
    assert np.array_equal(first.vertices, again.vertices)
    assert np.array_equal(first.faces, again.faces)
    assert differ(first, other)


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_recorded_factors_lie_in_their_ranges_and_rebuild_the_mesh(category: str) -> None:
    mesh, factors = build(category, np.random.default_rng(5))
    assert list(factors) == [*FACTORS[category], *STYLES[category]]
    assert all(type(value) is float for value in factors.values())
    assert all(low <= factors[name] <= high for name, (low, high) in FACTORS[category].items())
    assert all(factors[name] in range(len(names)) for name, names in STYLES[category].items())
    assert np.array_equal(mesh.vertices, mesh_from_factors(category, factors).vertices)


def test_draws_cover_the_range_and_every_choice() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_factors("chair", rng) for _ in range(300)]
    for name, (low, high) in FACTORS["chair"].items():
        values = [factors[name] for factors in drawn]
        assert min(values) < low + 0.05 * (high - low)
        assert max(values) > high - 0.05 * (high - low)
    for name, names in STYLES["chair"].items():
        assert {factors[name] for factors in drawn} == set(range(len(names)))


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_factor_alone_changes_the_shape_whatever_the_styles(category: str) -> None:
    for numbers in itertools.product(*(range(len(names)) for names in STYLES[category].values())):
        styles = dict(zip(STYLES[category], map(float, numbers), strict=True))
        factors = {**draw_factors(category, np.random.default_rng(7)), **styles}
        mesh = mesh_from_factors(category, factors)
        for name, (low, high) in FACTORS[category].items():
            moved = low + (factors[name] - low + 0.4 * (high - low)) % (high - low)
            assert differ(mesh, mesh_from_factors(category, {**factors, name: moved})), (name, styles)


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_choice_of_a_style_is_another_shape(category: str) -> None:
    factors = draw_factors(category, np.random.default_rng(8))
    for name, names in STYLES[category].items():
        meshes = [mesh_from_factors(category, {**factors, name: float(k)}) for k in range(len(names))]
        assert all(differ(one, other) for one, other in itertools.combinations(meshes, 2)), name


@settings(max_examples=100, deadline=None)
@given(category=st.sampled_from(CATEGORIES), seed=st.integers(0, 10**6))
def test_meshes_stay_sound_even_where_all_factors_are_at_their_ends(category: str, seed: int) -> None:
    mesh = mesh_from_factors(category, extremes(category, seed))
    assert np.isfinite(mesh.vertices).all()
    assert mesh.area_faces.min() > 1e-12
    assert mesh.extents.max() < 25 * mesh.extents.min()
    assert mesh.is_watertight
    assert mesh.is_winding_consistent


@settings(max_examples=100, deadline=None)
@given(category=st.sampled_from(CATEGORIES), seed=st.integers(0, 10**6))
def test_normals_of_every_part_point_outwards(category: str, seed: int) -> None:
    for part in mesh_from_factors(category, extremes(category, seed)).split(only_watertight=False):
        assert part.volume > 0


@pytest.mark.parametrize("category", LEVEL)
def test_furniture_stands_level_on_feet_that_carry_it(category: str) -> None:
    for seed in range(10):
        mesh, _ = build(category, np.random.default_rng(seed))
        points = np.asarray(mesh.vertices)
        assert abs(points[:, 2].min()) < 0.05
        floor = points[points[:, 2] < 0.1 * points[:, 2].max(), :2]
        middle = mesh.centroid[:2]
        assert (floor.min(axis=0) < middle).all()
        assert (middle < floor.max(axis=0)).all()


def test_the_seat_is_above_the_legs_and_the_back_above_the_seat() -> None:
    factors = draw_factors("chair", np.random.default_rng(0))
    heights = [
        mesh_from_factors("chair", {**factors, "seat_height": 0.8, "back_height": back}).bounds[1, 2]
        for back in (0.5, 1.0, 1.5)
    ]
    assert 0.8 < heights[0] < heights[1] < heights[2]


@pytest.mark.parametrize("category", ["mug", "teapot"])
def test_handles_point_to_plus_x(category: str) -> None:
    factors = {**draw_factors(category, np.random.default_rng(1)), "pitch": 0.0, "roll": 0.0}
    near, far = (
        mesh_from_factors(
            category,
            {**factors, "handle_size": size, "saucer": 0.0}
            if category == "mug"
            else {**factors, "handle_size": size},
        )
        for size in (0.2, 0.35)
    )
    assert far.bounds[1, 0] - near.bounds[1, 0] == pytest.approx(0.15, abs=0.02)
    assert far.bounds[0, 0] == near.bounds[0, 0]


@pytest.mark.parametrize(("wrong", "near"), [("chiar", "chair"), ("hamer", "hammer"), ("plane", "airplane")])
def test_an_unknown_category_is_refused_with_the_near_names(wrong: str, near: str) -> None:
    with pytest.raises(InputError, match=f"unknown procedural category '{wrong}'.*{near}") as caught:
        build(wrong, np.random.default_rng(0))
    assert "\n" not in str(caught.value)


def test_a_name_near_to_none_is_answered_with_all_of_them() -> None:
    with pytest.raises(InputError, match=", ".join(CATEGORIES)):
        draw_factors("zzzz", np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seat_depth": None}, "'seat_depth' is missing"),
        ({"wings": 2.0}, "'wings' is not one of its factors"),
        ({"seat_depth": 99.0}, "seat_depth is 99.0; give a value from 0.55 to 1.4"),
        ({"seat_depth": float("nan")}, "seat_depth is nan; give a value"),
        ({"base": 0.5}, "base is 0.5; give a whole number from 0 to 2"),
        ({"base": 3.0}, "base is 3.0; give a whole number from 0 to 2"),
    ],
)
def test_factors_at_fault_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    factors = {**draw_factors("chair", np.random.default_rng(0)), **change}
    given_factors = {name: value for name, value in factors.items() if value is not None}
    with pytest.raises(InputError, match=message) as caught:
        mesh_from_factors("chair", given_factors)
    assert "\n" not in str(caught.value)


def test_listing_the_categories_does_not_load_trimesh() -> None:
    code = "import sys, pointvae.data.procedural; print('trimesh' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
