"""The mixture's log density against the formula written out, with autograd's gradients."""

import torch

from pointvae.models.mixture_density import mixture_log_density


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
