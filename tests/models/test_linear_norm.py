"""Layers whose norms are folded into their weights, against the plain layers they hold."""

import pytest
import torch
from torch import nn

from pointvae.geometry import chunks
from pointvae.models import precision
from pointvae.models.layers import PointwiseMLP
from pointvae.models.linear_norm import batch_statistics
from pointvae.models.precision import product


def make(slope: float = 0.0, last: bool = True, seed: int = 0) -> tuple[PointwiseMLP, PointwiseMLP, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mlps = [PointwiseMLP((3, 6, 5, 4), slope, last).double() for _ in range(2)]
    with torch.no_grad():
        for value in [*mlps[0].parameters(), *mlps[0].buffers()]:
            if value.is_floating_point():  # scales of both signs; variances stay above 0
                value.copy_(torch.randn(value.shape, generator=generator, dtype=value.dtype))
        for name, value in mlps[0].named_buffers():
            if "running_var" in name:
                value.abs_()
    mlps[1].load_state_dict(mlps[0].state_dict())
    return mlps[0], mlps[1], torch.randn(40, 3, generator=generator, dtype=torch.float64) + 1.0


def plain(mlp: PointwiseMLP, rows: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = mlp.layers(rows)
    return out


def compare(fused: PointwiseMLP, reference: PointwiseMLP, rows: torch.Tensor) -> None:
    inputs = [rows.clone().requires_grad_() for _ in range(2)]
    outputs = [fused(inputs[0]), plain(reference, inputs[1])]
    weights = torch.randn(outputs[0].shape, dtype=rows.dtype, generator=torch.Generator().manual_seed(1))
    for out in outputs:
        (out * weights).sum().backward()
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-9, atol=1e-9)
    for (name, a), b in zip(fused.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-9, msg=name)
    for name, value in fused.state_dict().items():
        torch.testing.assert_close(value, reference.state_dict()[name], rtol=1e-10, atol=1e-10, msg=name)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_values_gradients_and_running_statistics_equal_the_plain_layers(slope, last, training):
    fused, reference, rows = make(slope, last)
    fused.train(training), reference.train(training)
    compare(fused, reference, rows)


@pytest.mark.parametrize("bytes_", [1, 500, 2**30])
def test_the_size_of_chunks_does_not_matter(bytes_, monkeypatch):
    monkeypatch.setattr(chunks, "CPU_BYTES", bytes_)
    compare(*make(seed=1))


def test_a_scale_of_zero_passes_gradient_to_itself():
    fused, reference, rows = make(seed=2)
    for mlp in (fused, reference):
        with torch.no_grad():
            mlp.layers[1].weight[2], mlp.layers[1].bias[2] = 0.0, 1.0
    compare(fused, reference, rows)
    assert fused.layers[1].weight.grad[2] != 0


def test_evaluation_without_gradient_equals_the_plain_layers():
    fused, reference, rows = make(0.2, seed=3)
    with torch.no_grad():
        made = fused.eval()(rows)
        torch.testing.assert_close(made, plain(reference.eval(), rows), rtol=1e-12, atol=1e-12)
    assert not made.requires_grad


def test_gradient_equals_finite_differences():
    fused, _, rows = make(seed=4)
    names = [name for name, _ in fused.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in fused.parameters()]

    def function(rows: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(fused, dict(zip(names, values, strict=True)), (rows,))

    assert torch.autograd.gradcheck(function, (rows[:7].requires_grad_(), *values))


def test_frozen_weights_let_the_rows_have_their_gradient():
    fused, reference, rows = make(seed=5)
    fused.requires_grad_(False)
    inputs = [rows.clone().requires_grad_() for _ in range(2)]
    fused(inputs[0]).square().sum().backward()
    plain(reference, inputs[1]).square().sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    assert all(p.grad is None for p in fused.parameters())


def test_float32_keeps_its_digits_far_from_the_origin():
    fused, reference, rows = make(seed=6)
    far = (rows + 1000.0).float()
    torch.testing.assert_close(fused.float()(far), plain(reference, far.double()).float(), atol=2e-3, rtol=2e-3)


def test_statistics_stay_in_single_precision_under_autocast():
    mlp = PointwiseMLP((3, 6))
    rows = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) + 100.0
    linear, norm = mlp.layers[0], mlp.layers[1]
    with torch.autocast("cpu", torch.bfloat16):
        mean, variance = batch_statistics(rows, linear.weight, norm)
        out = mlp(rows)
    assert mean.dtype == variance.dtype == torch.float32 and out.dtype == torch.bfloat16
    torch.testing.assert_close(mean, rows.mean(dim=0))
    torch.testing.assert_close(variance, linear(rows.double().float()).var(dim=0, correction=0), rtol=1e-3, atol=0)
    torch.testing.assert_close(out.float(), mlp(rows), rtol=0.02, atol=0.05)  # bf16 has 8 binary digits


def test_gradients_under_autocast_are_those_of_single_precision_but_for_rounding():
    first, second, rows = make(seed=7)
    first.float(), second.float()
    rows = rows.float()
    with torch.autocast("cpu", torch.bfloat16):
        out = first(rows)
    out.float().square().sum().backward()
    second(rows).square().sum().backward()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert a.grad.dtype == torch.float32
        assert (a.grad - b.grad).norm() < 0.05 * b.grad.norm() + 0.05


@pytest.mark.parametrize("has", [True, False], ids=["oneDNN", "plain"])
@pytest.mark.parametrize("relu", [True, False])
def test_the_product_is_the_same_with_and_without_onednn(has, relu, monkeypatch):
    if has and not precision._has_onednn():
        pytest.skip("this torch offers no oneDNN product")
    monkeypatch.setattr(precision, "_has_onednn", lambda: has)
    x, weight, bias = torch.randn(9, 5), torch.randn(4, 5), torch.randn(4)
    made = nn.functional.linear(x.double(), weight.double(), bias.double())
    made = made.relu() if relu else made
    torch.testing.assert_close(product(x, weight, bias, relu).double(), made, rtol=1e-5, atol=1e-5)
