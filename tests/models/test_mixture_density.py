"""The mixture's log density against the formula written out, with autograd's gradients."""

import pytest
import torch

from pointvae.geometry import chunks
from pointvae.models.mixture_density import mixture_log_density
from tests.geometry.memory import largest_tensor


def parts(batch=2, n=7, m=5, seed=0, shift=0.0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, n, 3, dtype=torch.float64, generator=g) + shift
    y = torch.randn(batch, m, 3, dtype=torch.float64, generator=g) + shift
    precision = torch.rand(batch, m, dtype=torch.float64, generator=g) * 20 + 0.5
    constant = torch.randn(batch, m, dtype=torch.float64, generator=g)
    return [part.requires_grad_() for part in (x, y, precision, constant)]


def plainly(x, y, precision, constant):
    squares = (x.unsqueeze(2) - y.unsqueeze(1)).square().sum(-1)
    return torch.logsumexp(constant.unsqueeze(1) - 0.5 * precision.unsqueeze(1) * squares, dim=2)


def test_values_and_gradients_are_those_of_the_plain_formula():
    inputs = parts()
    torch.testing.assert_close(mixture_log_density(*inputs), plainly(*inputs))
    upstream = torch.randn(2, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours = torch.autograd.grad(mixture_log_density(*inputs), inputs, upstream)
    theirs = torch.autograd.grad(plainly(*inputs), inputs, upstream)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_the_gradient_equals_finite_differences():
    assert torch.autograd.gradcheck(mixture_log_density, parts(1, 3, 2))


def test_chunks_change_nothing():
    inputs = parts(batch=40, n=200, m=150)
    whole = mixture_log_density(*inputs)
    singly = torch.cat([mixture_log_density(*(p[i : i + 1] for p in inputs)) for i in range(40)])
    torch.testing.assert_close(whole, singly)


def test_far_from_the_origin_no_digits_are_lost():
    near, far = parts(shift=0.0), parts(shift=1000.0)
    singles = [part.detach().float() for part in far]
    torch.testing.assert_close(mixture_log_density(*singles), plainly(*near).float(), atol=0.05, rtol=1e-2)


def test_points_without_gradient_cost_none():
    x, y, precision, constant = parts()
    x = x.detach()
    mixture_log_density(x, y, precision, constant).sum().backward()
    assert x.grad is None and y.grad is not None


def gradients(function, inputs, upstream):
    inputs = [part.detach().requires_grad_() for part in inputs]
    return torch.autograd.grad(function(*inputs), inputs, upstream.to(inputs[0]))


@pytest.mark.parametrize("budget", [1, 3000, 10**9])
def test_the_chunk_size_changes_nothing_but_the_order_of_sums(monkeypatch, budget):
    inputs, upstream = parts(batch=3, n=21, m=13), torch.randn(3, 21, generator=torch.Generator().manual_seed(1))
    values, expected = mixture_log_density(*inputs), gradients(mixture_log_density, inputs, upstream)
    monkeypatch.setattr(chunks, "CPU_BYTES", budget)
    assert torch.equal(mixture_log_density(*inputs), values)
    torch.testing.assert_close(gradients(mixture_log_density, inputs, upstream), expected)


@pytest.mark.parametrize("sigma", [1e-4, 5e-3, 0.3, 1e3])
@pytest.mark.parametrize("shift", [0.0, 3.0, 300.0])
def test_single_precision_keeps_its_digits_for_narrow_and_wide_components(sigma, shift):
    x, y, _, constant = parts(n=60, m=50, seed=3, shift=shift)
    with torch.no_grad():
        y = x[:, :50] + sigma * y.sub(shift)  # each point has a component about it
    # what is asked is the arithmetic, so that both start from numbers that single precision has
    singles = [part.detach().float() for part in (x, y, torch.full_like(constant, sigma**-2), constant)]
    doubles = [part.double() for part in singles]
    upstream = torch.rand(2, 60, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        mixture_log_density(*singles).double(), plainly(*doubles), rtol=1e-5, atol=1e-5 * (1 + abs(shift))
    )
    ours, theirs = gradients(mixture_log_density, singles, upstream), gradients(plainly, doubles, upstream)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.double(), other, rtol=1e-3, atol=2e-5 * float(other.abs().max()))


def test_components_of_weight_zero_add_nothing_and_receive_nothing():
    x, y, precision, constant = (part.detach() for part in parts())
    without = [x, y[:, 1:], precision[:, 1:], constant[:, 1:]]
    inputs = [x, y, precision, constant.clone()]
    inputs[3][:, 0] = -torch.inf
    upstream = torch.randn(2, 7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(mixture_log_density(*inputs), plainly(*without))
    ours, theirs = (gradients(mixture_log_density, which, upstream) for which in (inputs, without))
    torch.testing.assert_close(ours[0], theirs[0])
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        assert (mine[:, 0] == 0).all()
        torch.testing.assert_close(mine[:, 1:], other)


def test_a_point_far_from_every_component_has_its_exact_value_and_one_out_of_reach_no_nan():
    inputs = [part.detach().float() for part in parts()]
    inputs[0][0, 0] = 1e4
    torch.testing.assert_close(mixture_log_density(*inputs), plainly(*inputs))
    inputs[3][1] = -torch.inf
    assert (mixture_log_density(*inputs)[1] == -torch.inf).all()
    for grad in gradients(mixture_log_density, inputs, torch.ones(2, 7)):
        assert torch.isfinite(grad).all()


def test_autocast_leaves_it_in_single_precision():
    inputs, upstream = [part.detach().float() for part in parts()], torch.ones(2, 7)
    values, expected = mixture_log_density(*inputs), gradients(mixture_log_density, inputs, upstream)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mixture_log_density(*inputs), values)
        torch.testing.assert_close(gradients(mixture_log_density, inputs, upstream), expected, rtol=0, atol=0)
        assert mixture_log_density(*(part.bfloat16() for part in inputs)).dtype == torch.float32


def test_no_table_of_all_pairs_is_ever_held(monkeypatch):
    monkeypatch.setattr(chunks, "CPU_BYTES", 2**14)
    inputs = parts(batch=2, n=300, m=200)
    largest = largest_tensor(lambda: mixture_log_density(*inputs).sum().backward())
    assert largest < 2 * 300 * 200 / 10
    assert largest_tensor(lambda: plainly(*inputs)) >= 2 * 300 * 200  # what the measure sees
