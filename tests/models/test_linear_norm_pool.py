"""The linear layer with both pools against the plain layers it replaces."""

import copy

import pytest
import torch
from torch import Tensor

from pointvae.geometry import chunks
from pointvae.models.layers import PointwiseMLP, max_pool, mean_pool, pack, unpack
from pointvae.models.linear_norm_pool import linear_norm_pool

MASK = torch.arange(9).expand(4, 9) < torch.tensor([[9], [5], [1], [7]])


def pooled(mlp: PointwiseMLP, x: Tensor, mask: Tensor | None = None) -> Tensor:
    return linear_norm_pool(x, mlp.layers[0], mlp.layers[1], 0.2, mask)


def plain(mlp: PointwiseMLP, x: Tensor, mask: Tensor | None = None) -> Tensor:
    values = unpack(mlp(pack(x, mask)), x, mask)
    return torch.cat([max_pool(values, mask), mean_pool(values, mask)], dim=1)


def make(seed: int = 0) -> tuple[PointwiseMLP, PointwiseMLP, Tensor]:
    """Layers whose norm has weights of both signs, twice, and features for them."""
    generator = torch.Generator().manual_seed(seed)
    mlp = PointwiseMLP((5, 7), slope=0.2).double()
    with torch.no_grad():
        for value in (*mlp.parameters(), mlp.layers[1].running_mean):
            value.copy_(torch.randn(value.shape, generator=generator, dtype=torch.float64))
        mlp.layers[1].running_var.copy_(torch.rand(7, generator=generator) + 0.5)
    return mlp, copy.deepcopy(mlp), torch.randn(4, 9, 5, generator=generator, dtype=torch.float64) + 3.0


@pytest.mark.parametrize("numbers", [20, 200, 10_000], ids=["a few channels", "some clouds", "all at once"])
@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_values_gradients_and_running_statistics_equal_the_plain_layers(numbers, mask, training, monkeypatch):
    monkeypatch.setattr(chunks, "CPU_BYTES", 2 * 8 * numbers)
    mlp, reference, x = make()
    mlp.train(training), reference.train(training)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [pooled(mlp, inputs[0], mask), plain(reference, inputs[1], mask)]
    shares = torch.randn(4, 14, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for out in outputs:
        (out * shares).sum().backward()
    close = {"atol": 1e-10, "rtol": 1e-10}
    torch.testing.assert_close(outputs[0], outputs[1], **close)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, **close)
    for (name, a), b in zip(mlp.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, **close, msg=lambda m, n=name: f"{n}: {m}")
    for name, value in mlp.state_dict().items():
        torch.testing.assert_close(value, reference.state_dict()[name], **close, msg=lambda m, n=name: f"{n}: {m}")


def test_gradient_equals_finite_differences():
    mlp, _, x = make(2)
    linear, norm = mlp.layers[0], mlp.layers[1]
    values = [value.detach().clone().requires_grad_() for value in mlp.parameters()]

    def function(x: Tensor, *values: Tensor) -> Tensor:
        linear.weight, norm.weight, norm.bias = (torch.nn.Parameter(value) for value in values)
        return linear_norm_pool(x, linear, norm, 0.2, MASK)

    assert torch.autograd.gradcheck(lambda x: function(x, *values), (x.requires_grad_(),))


def test_a_weight_of_zero_gives_the_bias_and_learns():
    mlp, reference, x = make()
    for layers in (mlp, reference):
        layers.layers[1].weight.data.zero_()
    out = pooled(mlp, x)
    torch.testing.assert_close(out, plain(reference, x))
    out[:, 7:].sum().backward()  # of a maximum over equals there are many gradients
    plain(reference, x)[:, 7:].sum().backward()
    torch.testing.assert_close(mlp.layers[1].weight.grad, reference.layers[1].weight.grad)


def test_float32_keeps_its_digits_far_from_the_origin():
    mlp, reference, x = make(3)
    far = (x + 1000.0).float()
    torch.testing.assert_close(pooled(mlp.float(), far), plain(reference, far.double()).float(), atol=2e-3, rtol=2e-3)


def test_going_back_twice_gives_the_same_twice():
    mlp, _, x = make()
    out = pooled(mlp, x.requires_grad_(), MASK)
    first, second = (torch.autograd.grad(out.square().sum(), x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_without_gradients_values_are_the_same_and_no_table_of_all_is_made():
    mlp, other, x = make()
    mlp.eval(), other.eval()
    with torch.no_grad():
        assert torch.equal(pooled(mlp, x, MASK), pooled(other, x.requires_grad_(), MASK))


def test_a_training_step_does_not_disturb_an_evaluation_on_its_way_back():
    mlp, reference, x = make()
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    out = pooled(mlp.eval(), inputs[0])
    pooled(mlp.train(), x)
    out.sum().backward()
    plain(reference.eval(), inputs[1]).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)


def test_bfloat16_multiplies_but_statistics_and_pools_stay_in_float32():
    mlp, other, x = make()
    mlp, other, x = mlp.float(), other.float(), x.float().requires_grad_()
    expected = pooled(mlp, x)
    with torch.autocast("cpu", torch.bfloat16):
        out = pooled(other, x)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, expected, atol=0.1, rtol=0.1)
    torch.testing.assert_close(other.layers[1].running_var, mlp.layers[1].running_var, rtol=0.02, atol=0.0)
    grads = [torch.autograd.grad(o.sum(), x)[0] for o in (out, expected)]
    assert torch.nn.functional.cosine_similarity(*(g.flatten() for g in grads), dim=0) > 0.99
