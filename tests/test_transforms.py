"""Each transform keeps its law, is the identity at zero strength, and draws from the generator it is given."""

import math

import pytest
import torch
from scipy import stats

from pointvae import InputError
from pointvae.transforms import (
    Compose,
    DropPoints,
    Jitter,
    RotateSO3,
    RotateUp,
    Scale,
    Transform,
    Translate,
    default_transforms,
)

STRONG: list[Transform] = [
    RotateUp(),
    RotateUp(15),
    RotateSO3(),
    RotateSO3(30),
    Scale(),
    Scale(0.5, 2.0, anisotropic=True),
    Jitter(0.02),
    Translate(0.2),
    DropPoints(0.7),
    Compose(default_transforms()),
]
NONE: list[Transform] = [
    RotateUp(0),
    RotateSO3(0),
    Scale(1, 1),
    Scale(1, 1, True),
    Jitter(0),
    Translate(0),
    DropPoints(0),
    Compose([]),
]


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clouds(batch: int = 4, n: int = 50) -> torch.Tensor:
    return torch.randn(batch, n, 3, dtype=torch.float64, generator=gen(9))


def label(transform: Transform) -> str:
    return type(transform).__name__ + str([v for v in vars(transform).values() if not isinstance(v, list)])


@pytest.mark.parametrize("transform", STRONG, ids=label)
def test_the_same_generator_gives_the_same_clouds_and_another_gives_others(transform):
    x = clouds()
    first = transform(x, generator=gen(1))
    assert first.shape == x.shape and first.dtype == x.dtype
    assert torch.equal(first, transform(x, generator=gen(1)))
    assert not torch.equal(first, transform(x, generator=gen(2)))
    assert torch.equal(x, clouds())  # the input is left as it was


@pytest.mark.parametrize("transform", STRONG, ids=label)
def test_the_global_generator_is_neither_used_nor_moved(transform):
    before = torch.get_rng_state()
    transform(clouds(), generator=gen(1))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("transform", NONE, ids=label)
def test_zero_strength_is_the_identity(transform):
    torch.testing.assert_close(transform(clouds(), generator=gen()), clouds(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("transform", [t for t in STRONG if not isinstance(t, Compose)], ids=label)
def test_each_cloud_gets_its_own_draw(transform):
    x = clouds(1).expand(3, -1, -1)
    moved = transform(x, generator=gen())
    assert not torch.allclose(moved[0], moved[1]) and not torch.allclose(moved[1], moved[2])


@pytest.mark.parametrize("transform", [RotateUp(), RotateUp(20), RotateSO3(), RotateSO3(45)], ids=label)
def test_a_rotation_preserves_distances_and_handedness(transform):
    x = clouds()
    matrices = transform.matrices(x, gen())
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(4, dtype=torch.float64))
    moved = transform(x, generator=gen())
    torch.testing.assert_close(torch.cdist(moved, moved), torch.cdist(x, x), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(moved, x @ matrices.transpose(1, 2))


def test_a_rotation_about_the_up_axis_leaves_height_alone():
    x = clouds()
    assert torch.equal(RotateUp()(x, generator=gen())[..., 2], x[..., 2])


def test_the_angle_about_the_up_axis_is_uniform_within_its_bound():
    matrices = RotateUp(90).matrices(torch.zeros(20000, 1, 3, dtype=torch.float64), gen())
    angle = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0])
    low, width = -math.pi / 2, math.pi
    assert stats.kstest(angle.numpy(), stats.uniform(low, width).cdf).pvalue > 0.01


def turn(matrices: torch.Tensor) -> torch.Tensor:
    trace = matrices.diagonal(dim1=1, dim2=2).sum(1)
    return torch.arccos(((trace - 1) / 2).clamp(-1, 1))


def test_so3_rotations_are_haar_uniform():
    matrices = RotateSO3().matrices(torch.zeros(20000, 1, 3, dtype=torch.float64), gen())
    # the turn of a Haar rotation has the distribution function (θ - sin θ)/π
    assert (
        stats.kstest(turn(matrices).numpy(), lambda t: (t - torch.sin(torch.as_tensor(t)).numpy()) / math.pi).pvalue
        > 0.01
    )
    # a fixed vector goes to a uniform point of the sphere, whose every coordinate is uniform (Archimedes)
    for column in range(3):
        for row in range(3):
            assert stats.kstest(matrices[:, row, column].numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-3
    # Haar measure is the same from the left and the right: no entry, nor product of entries, has a mean
    assert matrices.mean(0).abs().max() < 0.02


def test_bounded_so3_turns_stay_within_the_bound_and_fill_it():
    angles = turn(RotateSO3(30).matrices(torch.zeros(5000, 1, 3, dtype=torch.float64), gen()))
    limit = math.radians(30)
    assert angles.max() <= limit + 1e-9
    cdf = lambda t: (t - torch.sin(torch.as_tensor(t)).numpy()) / (limit - math.sin(limit))  # noqa: E731
    assert stats.kstest(angles.numpy(), cdf).pvalue > 0.01


def test_isotropic_scaling_scales_all_distances_by_one_log_uniform_factor():
    x = clouds(5000, 2)
    moved = Scale(0.5, 2.0)(x, generator=gen())
    factor = moved / x
    assert (factor.amax(dim=(1, 2)) - factor.amin(dim=(1, 2))).max() < 1e-9
    logs = factor[:, 0, 0].log().numpy()
    assert stats.kstest(logs, stats.uniform(math.log(0.5), math.log(4.0)).cdf).pvalue > 0.01


def test_anisotropic_scaling_draws_a_factor_for_each_axis():
    factor = Scale(0.5, 2.0, anisotropic=True)(clouds(), generator=gen()) / clouds()
    assert (factor - factor[:, :1]).abs().max() < 1e-9
    assert (factor[:, 0, 0] - factor[:, 0, 1]).abs().min() > 1e-6


def test_jitter_has_its_standard_deviation_and_its_cut():
    x = torch.zeros(10, 5000, 3)
    moved = Jitter(0.02)(x, generator=gen())
    assert moved.std() == pytest.approx(0.02, rel=0.02)
    assert Jitter(0.02, clip=0.01)(x, generator=gen()).abs().max() == pytest.approx(0.01)


def test_translation_moves_a_cloud_as_one_within_its_cube():
    moved = Translate(0.2)(clouds(500), generator=gen()) - clouds(500)
    assert (moved - moved[:, :1]).abs().max() < 1e-12
    assert 0.19 < moved.abs().max() <= 0.2


def test_dropped_points_become_copies_of_kept_ones_and_the_share_is_as_asked():
    x = clouds(400, 100)
    moved = DropPoints(0.6)(x, generator=gen())
    left = torch.tensor([len(torch.unique(c, dim=0)) for c in moved]) / 100
    assert torch.isin(moved, x).all()
    assert left.min() >= 0.25 and left.mean() == pytest.approx(0.7, abs=0.02)


def test_dropping_never_copies_an_absent_point():
    x = clouds(6, 20)
    mask = torch.arange(20).expand(6, 20) < 5
    x[~mask] = 1e6
    moved = DropPoints(0.9)(x, mask, gen())
    assert moved[mask].abs().max() < 1e3


@pytest.mark.parametrize(
    "make",
    [
        lambda: RotateUp(-1),
        lambda: RotateSO3(181),
        lambda: RotateSO3(float("nan")),
        lambda: Scale(0, 1),
        lambda: Scale(2, 1),
        lambda: Jitter(-0.1),
        lambda: Jitter(0.1, -1),
        lambda: Translate(float("inf")),
        lambda: DropPoints(1.0),
    ],
)
def test_impossible_strengths_are_refused_in_one_line(make):
    with pytest.raises(InputError) as caught:
        make()
    assert "\n" not in str(caught.value)
