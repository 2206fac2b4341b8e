"""Features that no rigid motion changes, where a cloud has a frame of its own; finite ones where it has none."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pointvae import InputError, PointVAE
from pointvae.exporting.frames import axes_of as plain_axes
from pointvae.exporting.plain import PlainEncoder
from pointvae.models.encoders import ENCODERS
from pointvae.models.encoders.frame_averaging import axes_of, four_views, frame_of
from pointvae.objectives.consistency import consistency_gap
from pointvae.transforms import RotateSO3

INNER = [name for name in ENCODERS.names() if name != "frame-averaging"]


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def clouds(batch=3, n=20, seed=0, dtype=torch.float64):
    return torch.randn(batch, n, 3, dtype=dtype, generator=gen(seed)) * torch.tensor([1.0, 0.7, 0.4], dtype=dtype)


def tiny(inner="pointnet"):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        arguments = {"inner": inner, "inner_args": ENCODERS.entries[inner].tiny}
        return ENCODERS.build("frame-averaging", arguments).double().eval()


@given(seed=st.integers(0, 2**31), shift=st.floats(-3, 3), inner=st.sampled_from(INNER))
def test_no_rigid_motion_changes_the_features(seed, shift, inner):
    encoder, x = tiny(inner), clouds(seed=seed)
    moved = RotateSO3()(x, None, gen(seed + 1)) + shift
    torch.testing.assert_close(encoder(moved), encoder(x), atol=1e-7, rtol=1e-7)
    torch.testing.assert_close(encoder.layer_features(moved), encoder.layer_features(x), atol=1e-7, rtol=1e-7)


@given(seed=st.integers(0, 2**31))
def test_nor_in_single_precision_nor_with_absent_points(seed):
    encoder, x = tiny().float(), clouds(n=200, seed=seed, dtype=torch.float32)
    mask = torch.arange(200).expand(3, -1) < torch.tensor([[200], [150], [60]])
    moved = RotateSO3()(x, None, gen(seed + 1)).masked_fill(~mask.unsqueeze(2), 7.0)
    torch.testing.assert_close(encoder(moved, mask), encoder(x, mask), atol=2e-3, rtol=0.0)


def test_the_consistency_gap_of_a_rotation_is_zero():
    model = PointVAE(
        encoder="frame-averaging", encoder_args={"inner_args": {"widths": [8, 16]}}, latent_dim=4, points=8
    )
    gap = consistency_gap(model.double().eval(), clouds(), RotateSO3(), generator=gen())
    torch.testing.assert_close(gap, torch.zeros_like(gap))


def test_a_mirrored_cloud_is_another():
    encoder, x = tiny(), clouds()
    assert (encoder(-x) - encoder(x)).abs().max() > 1e-2


def test_the_features_are_the_mean_over_all_right_handed_frames():
    encoder, x = tiny(), clouds()
    centre = x - x.mean(dim=1, keepdim=True)
    for cloud, made in zip(centre, encoder(x), strict=True):
        _, vectors = torch.linalg.eigh(cloud.T @ cloud)
        seen = []
        for signs in torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 3):
            frame = vectors * signs
            if torch.linalg.det(frame) > 0:
                seen.append(encoder.inner((cloud @ frame).unsqueeze(0)))
        assert len(seen) == 4
        torch.testing.assert_close(made, torch.cat(seen).mean(dim=0))


@pytest.mark.parametrize("inner", INNER)
def test_gradients_go_through_the_frame_too(inner):
    encoder, x = tiny(inner), clouds(1, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: encoder(p), (x,), eps=1e-7, atol=1e-4)


def test_turning_a_cloud_changes_nothing_to_first_order_either():
    encoder, x = tiny(), clouds().requires_grad_()
    (grad,) = torch.autograd.grad(encoder(x).sum(), x)
    turned = torch.linalg.cross(x.detach(), torch.tensor([0.3, -0.5, 0.8], dtype=x.dtype).expand_as(x))
    assert grad.abs().max() > 1e-3
    assert (grad * turned).sum(dim=(1, 2)).abs().max() < 1e-9


def symmetric(kind):
    """Clouds [N, 3] whose covariance has equal eigenvalues."""
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 3)
    return {"cube": corners, "square": corners[:4] * torch.tensor([0.0, 1.0, 1.0]).double(), "point": corners[:1]}[
        kind
    ]


@pytest.mark.parametrize("kind", ["cube", "square", "point"])
def test_where_a_cloud_has_no_frame_of_its_own_values_and_gradients_are_finite(kind):
    encoder, x = tiny(), symmetric(kind).unsqueeze(0).clone().requires_grad_()
    features = encoder(x)
    features.square().sum().backward()
    assert features.isfinite().all() and x.grad.isfinite().all() and x.grad.abs().max() < 1e6
    frame = frame_of(x.detach() - x.detach().mean(dim=1, keepdim=True))
    torch.testing.assert_close(frame @ frame.transpose(1, 2), torch.eye(3, dtype=x.dtype).expand(1, 3, 3))


def test_the_axes_without_eigenvectors_are_the_same_up_to_sign():
    x = clouds(50)
    matrix = x.transpose(1, 2) @ x
    matrix = torch.cat([matrix, torch.diag_embed(torch.tensor([[3.0, 1.0, 2.0]], dtype=x.dtype))])
    made, expected = plain_axes(matrix), axes_of(matrix)
    torch.testing.assert_close((made * expected).sum(dim=1).abs(), torch.ones(51, 3, dtype=x.dtype))
    assert plain_axes(torch.zeros(2, 3, 3)).isfinite().all()


@pytest.mark.parametrize("inner", INNER)
def test_what_is_exported_gives_the_same_whatever_is_inside(inner):
    arguments = {"inner": inner, "inner_args": ENCODERS.entries[inner].tiny}
    model = PointVAE(encoder="frame-averaging", encoder_args=arguments, latent_dim=4, points=8).eval()
    x = clouds(n=30, dtype=torch.float32)
    mask = torch.arange(30).expand(3, -1) < torch.tensor([[30], [12], [1]])
    with torch.no_grad():
        torch.testing.assert_close(PlainEncoder(model)(x, mask)[2], model.features(x, mask), atol=1e-4, rtol=1e-4)


def test_the_views_are_four_half_turns_of_one():
    first, *others = four_views(clouds()).chunk(4)
    turned = [torch.sign((first * other).sum(dim=1)) for other in others]
    assert sorted(map(tuple, torch.stack(turned)[:, 0].tolist())) == [(-1, -1, 1), (-1, 1, -1), (1, -1, -1)]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [({"inner": "frame-averaging"}, "itself"), ({"inner": "pointnett"}, "pointnet"), ({"inner_args": {"k": 2}}, "k")],
    ids=["itself", "unknown", "options"],
)
def test_what_cannot_be_inside_is_refused_in_one_line(arguments, word):
    with pytest.raises(InputError, match=word) as caught:
        ENCODERS.build("frame-averaging", arguments)
    assert "\n" not in str(caught.value)
