"""The mixture's kernels against a table of log densities in double precision."""

import pytest
import torch

pytest.importorskip("triton")

from pointvae.kernels.mixture import OTHER, OWN, mixture_log_density

SHAPES = [(1, 1, 1), (2, OWN + 1, OTHER - 1), (3, OWN, 2 * OTHER), (1, 2 * OTHER + 3, OWN + 7)]


def plain(x: torch.Tensor, y: torch.Tensor, precision: torch.Tensor, constant: torch.Tensor) -> torch.Tensor:
    squared = (x.unsqueeze(2) - y.unsqueeze(1)).square().sum(-1)
    return torch.logsumexp(constant.unsqueeze(1) - 0.5 * precision.unsqueeze(1) * squared, dim=2)


def draw(device, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


def inputs_of(device, shape, sigma: float = 0.3, middle: float = 0.0) -> list[torch.Tensor]:
    batch, n, m = shape
    x, y = draw(device, batch, n, 3) + middle, draw(device, batch, m, 3, seed=1) + middle
    return [x, y, (0.3 * draw(device, batch, m, seed=2)).exp() / sigma**2, draw(device, batch, m, seed=3)]


def both(inputs: list[torch.Tensor], push: torch.Tensor) -> list[list[torch.Tensor]]:
    results = []
    for function, kind in ((mixture_log_density, torch.float32), (plain, torch.float64)):
        given = [tensor.to(kind, copy=True).requires_grad_() for tensor in inputs]
        values = function(*given)
        results.append([values, *torch.autograd.grad((values * push).sum(), given)])
    return results


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_equal_the_table_in_double_precision(device, shape):
    ours, expected = both(inputs_of(device, shape), draw(device, *shape[:2], seed=4))
    for name, a, b in zip(["value", "x", "y", "precision", "constant"], ours, expected, strict=True):
        torch.testing.assert_close(
            a.double(), b, rtol=2e-5, atol=2e-5 * float(b.detach().abs().max()), msg=lambda t, n=name: n + t
        )


def test_small_scales_neither_overflow_nor_vanish(device):
    ours, expected = both(inputs_of(device, (2, 70, 90), sigma=0.005), draw(device, 2, 70, seed=4))
    assert float(expected[0].detach().min()) < -1000  # far below the exponent's range
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4 * float(b.detach().abs().max()))
    x, y, precision, constant = inputs_of(device, (2, 70, 90), sigma=0.005)
    constant.requires_grad_()
    mixture_log_density(x, y, precision, constant).sum().backward()
    shares = constant.grad.double().sum(dim=1)  # each point's add up to one
    torch.testing.assert_close(shares, torch.full_like(shares, 70.0), rtol=1e-5, atol=0.0)


def test_large_constants_do_not_overflow(device):
    inputs = inputs_of(device, (1, 70, 90))
    inputs[3] += 300.0  # above the exponent's range, also at the origin, where tiles are filled up
    ours, expected = both(inputs, draw(device, 1, 70, seed=4))
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4 * float(b.detach().abs().max()))


def test_digits_are_kept_far_from_the_origin(device):
    ours, expected = both(inputs_of(device, (1, 70, 90), middle=1000.0), draw(device, 1, 70, seed=4))
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4 * float(b.detach().abs().max()))


def test_a_component_without_weight_has_no_share_even_where_it_comes_first(device):
    inputs = inputs_of(device, (2, 40, OTHER + 20))
    inputs[3][:, : OTHER + 5] = -torch.inf  # the whole first tile, and part of the second
    ours, expected = both(inputs, draw(device, 2, 40, seed=4))
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)


def test_without_any_weight_the_density_is_zero_and_so_are_the_gradients(device):
    inputs = [tensor.requires_grad_() for tensor in inputs_of(device, (1, 5, OTHER + 6))]
    inputs[3] = torch.full_like(inputs[3], -torch.inf).requires_grad_()
    values = mixture_log_density(*inputs)
    values.sum().backward()
    assert (values == -torch.inf).all() and all((tensor.grad == 0).all() for tensor in inputs)


def test_gradients_are_made_only_for_what_wants_them_and_have_its_type(device):
    x, y, precision, constant = inputs_of(device, (1, 5, 6))
    y = y.bfloat16().requires_grad_()
    mixture_log_density(x, y, precision, constant).sum().backward()
    assert y.grad is not None and y.grad.dtype == torch.bfloat16
    given = [tensor.double().requires_grad_() for tensor in (x, y.detach(), precision, constant)]
    plain(*given).sum().backward()
    torch.testing.assert_close(
        y.grad.double(), given[1].grad, rtol=1e-2, atol=1e-2 * float(given[1].grad.abs().max())
    )
    x.requires_grad_()
    mixture_log_density(x, y.detach(), precision, constant).sum().backward()
    torch.testing.assert_close(x.grad.double(), given[0].grad, rtol=1e-4, atol=1e-4)


def test_two_runs_give_the_same_digits(device):
    inputs, push = inputs_of(device, (2, 100, 130)), draw(device, 2, 100, seed=4)
    first, again = both(inputs, push)[0], both(inputs, push)[0]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_values_without_a_way_back_are_the_same(device):
    inputs = inputs_of(device, (1, 9, 70))
    with torch.no_grad():
        values = mixture_log_density(*inputs)
    torch.testing.assert_close(values.double(), plain(*(t.double() for t in inputs)), rtol=1e-5, atol=1e-5)
