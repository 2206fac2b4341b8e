"""The edge convolution against its definition, which makes every edge."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from pointvae.geometry import chunks
from pointvae.geometry.neighbours import knn
from pointvae.models.edge_conv import EdgeConv, flat_neighbours, largest_neighbours, sums_over_followers
from pointvae.models.encoders import DGCNN
from pointvae.models.layers import max_pool, mean_pool, pack, unpack

MASK = torch.arange(12).expand(4, 12) < torch.tensor([[12], [5], [1], [2]])  # fewer than k points repeat themselves


def by_edges(layer: EdgeConv, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Graph features [x_j - x_i, x_i], the linear layer on each, batch norm over all of them, activation, maximum."""
    rows, index = x.flatten(0, 1), flat_neighbours(knn(x, layer.k, mask), mask)
    centres = pack(x, mask).unsqueeze(1).expand(-1, layer.k, -1)
    edges = (
        torch.cat([rows[index] - centres, centres], dim=2) @ torch.cat([layer.edge.weight, layer.centre.weight], 1).T
    )
    normed = nn.BatchNorm1d.forward(layer.norm, edges.flatten(0, 1)).view_as(edges)
    return unpack(leaky_relu(normed, 0.2).amax(dim=1), x, mask)


def make(k: int = 3, seed: int = 0, channels: int = 7) -> tuple[EdgeConv, EdgeConv, Tensor]:
    """A layer whose norm has weights of both signs, twice, and features for it."""
    generator = torch.Generator().manual_seed(seed)
    layer = EdgeConv(5, channels, k).double()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64))
        layer.norm.running_mean.copy_(torch.randn(channels, generator=generator))
        layer.norm.running_var.copy_(torch.rand(channels, generator=generator) + 0.5)
    x = torch.randn(4, 12, 5, generator=generator, dtype=torch.float64) + 1.0
    return layer, copy.deepcopy(layer), x


def compare(layer: nn.Module, other: nn.Module, x: Tensor, outputs: list[Tensor], inputs: list[Tensor]) -> None:
    """Values, gradients of a random product, and running statistics."""
    shares = torch.randn(outputs[0].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for out in outputs:
        (out * shares).sum().backward()
    close = {"atol": 1e-10, "rtol": 1e-10}
    torch.testing.assert_close(outputs[0], outputs[1], **close)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, **close)
    for (name, a), b in zip(layer.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, **close, msg=lambda m, n=name: f"{n}: {m}")
    for name, value in layer.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], **close, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("k", [1, 3, 20])
@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_values_gradients_and_running_statistics_equal_the_definition(k, mask, training, monkeypatch):
    monkeypatch.setattr(chunks, "CPU_BYTES", 5 * 2 * k * 7 * 8)  # five rows at a time, three in the last
    layer, reference, x = make(k)
    layer.train(training), reference.train(training)
    if mask is not None:
        x = x.masked_fill(~mask.unsqueeze(2), 0.0)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    compare(layer, reference, x, [layer(inputs[0], mask), by_edges(reference, inputs[1], mask)], inputs)


def test_a_whole_encoder_equals_its_definition():
    torch.manual_seed(0)
    model = DGCNN((6, 8), 10, k=4).double()
    other = copy.deepcopy(model)
    inputs = [torch.randn(3, 20, 3, dtype=torch.float64).requires_grad_()]
    inputs.append(inputs[0].detach().clone().requires_grad_())
    first = by_edges(other.convs[0], inputs[1])
    second = by_edges(other.convs[1], first)
    rows = other.mlp(torch.cat([first, second], dim=2).flatten(0, 1)).view(3, 20, 10)
    plain = torch.cat([max_pool(rows, None), mean_pool(rows, None)], dim=1)
    compare(model, other, inputs[0], [model(inputs[0]), plain], inputs)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_gradient_equals_finite_differences(training):
    layer, _, x = make(seed=2)
    layer.train(training)
    names = list(dict(layer.named_parameters()))
    values = [value.detach().clone().requires_grad_() for value in layer.parameters()]

    def function(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(function, (x[:2, :6].requires_grad_(), *values))


@given(st.integers(1, 4), st.integers(0, 2**31))
def test_of_equal_neighbours_the_first_wins(channels, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(-2, 3, (6, channels), generator=generator).double()
    index = torch.randint(0, 6, (5, 4), generator=generator)
    largest, place = largest_neighbours(values, index, torch.arange(4, 0, -1).double().unsqueeze(1))
    alone, nothing = largest_neighbours(values, index)
    assert torch.equal(alone, largest) and nothing is None
    for i in range(5):
        for c in range(channels):
            near = [float(values[j, c]) for j in index[i]]
            assert largest[i, c] == max(near) and place[i, c] == near.index(max(near))


def test_followers_are_counted_as_often_as_they_follow():
    index, values = torch.tensor([[1, 1], [1, 3], [3, 0]]), torch.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    sums, degree = sums_over_followers(values, index, 5)
    assert sums.tolist() == [[100, 200], [12, 24], [0, 0], [110, 220], [0, 0]]
    assert degree.flatten().tolist() == [1, 3, 0, 2, 0]


def test_a_weight_of_zero_gives_the_bias_everywhere_and_learns_from_the_largest():
    layer, reference, x = make()
    with torch.no_grad():
        layer.norm.weight.zero_()
        reference.norm.weight.fill_(1e-9)
    out = layer(x)
    torch.testing.assert_close(out, leaky_relu(layer.norm.bias, 0.2).expand_as(out))
    out.sum().backward()
    by_edges(reference, x).sum().backward()
    torch.testing.assert_close(layer.norm.weight.grad, reference.norm.weight.grad)


def test_equal_points_share_a_gradient_that_sums_to_the_definitions():
    layer, reference, x = make()
    x = x[:, :4].repeat(1, 3, 1)  # every point thrice
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    layer(inputs[0]).square().sum().backward()
    by_edges(reference, inputs[1]).square().sum().backward()
    torch.testing.assert_close(*(part.grad.view(4, 3, 4, 5).sum(1) for part in inputs))


def test_float32_keeps_its_digits_far_from_the_origin():
    layer, reference, x = make(seed=3)
    far = (x + 1000.0).float()
    torch.testing.assert_close(layer.float()(far), by_edges(reference, far.double()).float(), atol=5e-3, rtol=5e-3)


def test_float32_keeps_its_digits_where_neighbours_are_close():
    layer, reference, x = make()
    close = torch.cat([x + 1e-3 * torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator()) for _ in "abc"], 1)
    layer.centre.weight.data *= 1e-2  # what is left of an edge is the difference of its points
    reference.centre.weight.data *= 1e-2
    by_edges(reference, close.float().double()), layer.float()(close.float())
    torch.testing.assert_close(layer.norm.running_var.double(), reference.norm.running_var, atol=0.0, rtol=1e-5)


def test_what_is_kept_for_the_way_back_does_not_grow_with_the_neighbours():
    kept = []
    for k in (4, 20):
        layer, sizes = EdgeConv(3, 64, k), []
        hooks = torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: s.append(t.nbytes) or t, lambda t: t)
        with hooks:
            layer(torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0)))
        kept.append(sum(sizes) - 2 * 40 * k * 8)  # the index itself
    assert kept[0] == kept[1] < 5 * 2 * 40 * 64 * 4


def test_going_back_twice_gives_the_same_twice():
    layer, _, x = make()
    out = layer(x.requires_grad_())
    first, second = (torch.autograd.grad(out.square().sum(), x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_a_training_step_does_not_disturb_an_evaluation_on_its_way_back():
    layer, reference, x = make()
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    out = layer.eval()(inputs[0])
    layer.train()(x)
    out.sum().backward()
    by_edges(reference.eval(), inputs[1]).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)


def test_without_gradients_the_values_are_the_same_to_the_digit():
    layer, other, x = make()
    with torch.no_grad():
        assert torch.equal(layer(x), other(x.requires_grad_()))


def test_bfloat16_projects_but_statistics_stay_in_float32():
    layer, other, x = make(channels=16)
    layer, other, x = layer.float(), other.float(), x.float().requires_grad_()
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        out = other(x)
    torch.testing.assert_close(out.float(), expected, atol=0.1, rtol=0.1)
    torch.testing.assert_close(other.norm.running_var, layer.norm.running_var, rtol=0.02, atol=0.0)
    grads = [torch.autograd.grad(o.float().sum(), x)[0] for o in (out, expected)]
    assert torch.nn.functional.cosine_similarity(*(g.flatten() for g in grads), dim=0) > 0.9


def test_no_number_among_the_features_is_no_crash():
    layer, _, x = make()
    x[0, 0] = torch.nan
    x.requires_grad_()
    layer(x).sum().backward()
    assert x.grad.isnan().any()


def test_there_may_be_more_neighbours_than_a_byte_counts():
    layer, reference, _ = make(k=300)
    x = torch.randn(1, 300, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    compare(layer, reference, x, [layer(inputs[0]), by_edges(reference, inputs[1])], inputs)
