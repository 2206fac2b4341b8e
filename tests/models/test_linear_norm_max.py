"""The fused layer against the plain layers it replaces."""

import pytest
import torch
from torch import nn

from pointvae.geometry import chunks
from pointvae.models.layers import max_pool, pack, unpack
from pointvae.models.linear_norm_max import LinearNormMax, winning_points


def plain(layer: LinearNormMax, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    rows = layer.norm(layer.linear(pack(x, mask)))
    return max_pool(unpack(rows, x, mask), mask)


def make(seed: int = 0) -> tuple[LinearNormMax, LinearNormMax, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    layers = [LinearNormMax(5, 7).double() for _ in range(2)]
    with torch.no_grad():
        layers[0].norm.weight.copy_(torch.randn(7, generator=generator))  # both signs: a maximum or a minimum
        layers[0].norm.bias.copy_(torch.randn(7, generator=generator))
    layers[1].load_state_dict(layers[0].state_dict())
    return layers[0], layers[1], torch.randn(4, 9, 5, generator=generator, dtype=torch.float64) + 3.0


MASK = torch.arange(9).expand(4, 9) < torch.tensor([[9], [5], [1], [7]])


@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_values_gradients_and_running_statistics_equal_the_plain_layers(mask, training):
    fused, reference, x = make()
    fused.train(training), reference.train(training)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [fused(inputs[0], mask), plain(reference, inputs[1], mask)]
    weights = torch.randn(4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for out in outputs:
        (out * weights).sum().backward()
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    for (name, a), b in zip(fused.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)
    for name, value in fused.state_dict().items():
        torch.testing.assert_close(value, reference.state_dict()[name], msg=name)


def test_gradient_equals_finite_differences():
    fused, _, x = make(2)
    weight = fused.linear.weight.detach().clone().requires_grad_()

    def function(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(fused, {"linear.weight": weight}, (x,))

    assert torch.autograd.gradcheck(function, (x.requires_grad_(), weight))


def test_float32_keeps_its_digits_far_from_the_origin():
    fused, reference, x = make(3)
    far = (x + 1000.0).float()
    fused.float()
    torch.testing.assert_close(fused(far), plain(reference, far.double(), None).float(), atol=2e-3, rtol=2e-3)


def test_the_norm_is_batch_norm_so_weights_move_between_the_forms():
    assert isinstance(LinearNormMax(2, 3).norm, nn.BatchNorm1d)


@pytest.mark.parametrize("bytes_", [1, 300, 2**30])
@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
def test_evaluation_without_gradient_equals_the_plain_layers_in_chunks_of_any_size(mask, bytes_, monkeypatch):
    monkeypatch.setattr(chunks, "CPU_BYTES", bytes_)
    fused, reference, x = make(4)
    with torch.no_grad():
        fused.norm.running_mean.copy_(torch.linspace(-1.0, 1.0, 7))
        fused.norm.running_var.copy_(torch.linspace(0.5, 2.0, 7))
        reference.load_state_dict(fused.state_dict())
        torch.testing.assert_close(fused.eval()(x, mask), plain(reference.eval(), x, mask), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bytes_", [1, 300, 2**30])
@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
def test_winners_are_those_of_the_whole_table_and_the_first_among_equals(mask, bytes_, monkeypatch):
    monkeypatch.setattr(chunks, "CPU_BYTES", bytes_)
    fused, _, x = make(5)
    x = torch.cat([x, x], dim=1).round()  # every winner has its equal
    weight = (8 * fused.linear.weight.detach()).round() / 8  # exact in binary, so that equals are equal
    both = None if mask is None else torch.cat([mask, mask], dim=1)
    scores = x @ weight.T
    if both is not None:
        scores = scores.masked_fill(~both.unsqueeze(2), -torch.inf)
    made = winning_points(x, weight, both)
    best = scores.amax(dim=1)
    torch.testing.assert_close(scores.gather(1, made.unsqueeze(1)).squeeze(1), best)
    assert (made < 9).all()


def test_a_cloud_without_points_has_a_finite_value_that_is_the_same_with_and_without_gradient():
    fused, _, x = make(6)
    mask = MASK.clone()
    mask[2] = False
    fused.eval()
    with torch.no_grad():
        quick = fused(x, mask)
    torch.testing.assert_close(quick, fused(x, mask))
    assert quick.isfinite().all()


def test_gradients_in_chunks_equal_those_of_the_plain_layers(monkeypatch):
    monkeypatch.setattr(chunks, "CPU_BYTES", 1)
    test_values_gradients_and_running_statistics_equal_the_plain_layers(MASK, True)


def test_values_and_statistics_stay_in_single_precision_under_autocast():
    fused, reference, x = make(7)
    fused.float(), reference.float()
    with torch.autocast("cpu", torch.bfloat16):
        made = fused(x.float())
    assert made.dtype == torch.float32
    exact = plain(reference, x.float(), None)
    # the winner may be another where bf16 sees no difference; its value is exact
    torch.testing.assert_close(made, exact, rtol=0.02, atol=0.02)
    torch.testing.assert_close(fused.norm.running_var, reference.norm.running_var)
    fused(x.bfloat16().float()), made.sum().backward()
    assert fused.linear.weight.grad.dtype == torch.float32
