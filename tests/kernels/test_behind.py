"""The kernels behind the functions that everybody calls, which give the same with them and without."""

import pytest
import torch

pytest.importorskip("triton")

from pointvae.geometry.distances import chamfer_distance, nearest
from pointvae.kernels import dispatch, mixture, winners
from pointvae.kernels import nearest as nearest_kernel
from pointvae.models.likelihoods import Mixture
from pointvae.models.linear_norm_max import LinearNormMax


def draw(device, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


def with_and_without(monkeypatch, function, *inputs: torch.Tensor) -> list[list[torch.Tensor]]:
    """Values and gradients of a function of tensors, by kernels and by plain torch."""
    results = []
    for served in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(dispatch, "serves", lambda *tensors, served=served: served)
            given = [tensor.clone().requires_grad_() for tensor in inputs]
            values = function(*given)
            results.append([values, *torch.autograd.grad(values.sum(), given, allow_unused=True)])
    return results


def count_calls(monkeypatch, module, name: str) -> list[str]:
    calls, right = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args: (calls.append(name), right(*args))[1])
    return calls


def test_chamfer_takes_both_directions_from_the_kernel(device, monkeypatch):
    calls = count_calls(monkeypatch, nearest_kernel, "nearest_indices")
    x, y = draw(device, 2, 70, 3), draw(device, 2, 90, 3, seed=1)
    x_mask, y_mask = (torch.arange(n, device=device).expand(2, n) < n - 20 for n in (70, 90))
    ours, plain = with_and_without(monkeypatch, lambda a, b: chamfer_distance(a, b, x_mask, y_mask), x, y)
    torch.testing.assert_close(ours, plain)
    assert len(calls) == 2


def test_half_precision_clouds_are_compared_as_the_plain_form_does(device, monkeypatch):
    x, y = draw(device, 1, 70, 3).bfloat16(), draw(device, 1, 90, 3, seed=1).bfloat16()
    ours, plain = with_and_without(monkeypatch, lambda a, b: nearest(a, b)[0], x, y)
    torch.testing.assert_close(ours, plain)


def test_the_mixture_takes_density_and_gradient_from_the_kernels(device, monkeypatch):
    calls = count_calls(monkeypatch, mixture, "mixture_log_density")
    rows, target = draw(device, 2, 70, 5), draw(device, 2, 90, 3, seed=1)
    mask = torch.arange(90, device=device).expand(2, 90) < 80
    likelihood = Mixture(sigma=0.2).to(device)
    ours, plain = with_and_without(monkeypatch, lambda a, b: likelihood.log_prob(a, b, mask), rows, target)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-3)
    assert len(calls) == 1


def test_the_fused_layer_takes_its_winners_from_the_kernel(device, monkeypatch):
    calls = count_calls(monkeypatch, winners, "winning_points")
    layer = LinearNormMax(5, 70).to(device)
    with torch.no_grad():
        layer.norm.weight.copy_(draw(device, 70, seed=2))  # both signs: a maximum or a minimum
    x = draw(device, 3, 90, 5)
    mask = torch.arange(90, device=device).expand(3, 90) < torch.tensor([[90], [40], [1]], device=device)
    ours, plain = with_and_without(monkeypatch, lambda a: layer(a, mask), x)
    torch.testing.assert_close(ours, plain)
    assert calls
