"""Two processes that share a batch, against one that has all of it: norms, means, gathers, draws and gradients.

The processes start once and work through everything; the tests compare what they found with what one process finds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from pointvae.global_batch import all_rows, global_batch, mean_over_batch, own_rows, sharers
from pointvae.models.batch_norm import BatchNorm1d
from pointvae.models.build import build_model
from pointvae.models.encoders.dgcnn import EdgeConv
from pointvae.models.linear_norm_max import LinearNormMax
from pointvae.models.linear_norm_pool import linear_norm_pool
from pointvae.models.modes import evaluation_mode
from pointvae.models.posteriors import Posterior
from pointvae.objectives.consistency import Consistency
from pointvae.objectives.elbo import ELBO, group_coefficients
from pointvae.objectives.triplet import others
from pointvae.randomness import generator_for, normal, uniform
from pointvae.transforms import Compose, DropPoints, Jitter, RotateSO3, RotateUp, Scale, Translate
from tests.ranks import in_processes

MASK = torch.arange(7).expand(6, 7) < torch.tensor([[7], [2], [5], [1], [6], [3]])  # 18 points on rank 0, 6 on rank 1
X = torch.randn(6, 7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 2.0


class Rows(nn.Module):
    """A batch norm of the points that exist, under a layer's name and arguments."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.norm = BatchNorm1d(5, **settings)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        rows = torch.ones_like(x[..., 0], dtype=torch.bool) if mask is None else mask
        return torch.zeros_like(x).index_put((rows,), self.norm(x[rows]))


class Pooled(nn.Module):
    """A linear layer, batch norm and both pools, under a layer's name and arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(5, 4, bias=False), BatchNorm1d(4)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return linear_norm_pool(x, self.linear, self.norm, 0.2, mask)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "norm": Rows,
    "norm-without-weights": lambda: Rows(affine=False),
    "fused": lambda: LinearNormMax(5, 4),
    "edges": lambda: EdgeConv(5, 4, 3),
    "pooled": Pooled,
}


@dataclass
class Found:
    """What a process found: of its own rows, and of what should be the same everywhere."""

    rows: dict[str, Tensor] = field(default_factory=dict)
    same: dict[str, Tensor] = field(default_factory=dict)


def layer_of(name: str) -> nn.Module:
    """The layer, with weights of both signs."""
    layer = LAYERS[name]().double()
    with torch.no_grad():
        for weight in layer.parameters():
            weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    return layer


def loss(layer: nn.Module, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """A layer's output for own rows of the global batch ``x`` and the own part of a loss that is a sum over rows."""
    with global_batch():
        rows, there = own_rows(x), None if mask is None else own_rows(mask)
        out = layer(rows, there)
        shares = torch.linspace(-1.0, 2.0, 6 * out[0].numel(), dtype=out.dtype).view(6, *out.shape[1:])
        return out, (out.square() * own_rows(shares)).sum()


def over_processes(value: Tensor) -> Tensor:
    if dist.is_initialized():
        dist.all_reduce(value)
    return value


def work() -> Found:
    """Everything that the tests look at; in every process, in the same order."""
    found = Found()
    for name in LAYERS:
        for kind, mask in (("full", None), ("masked", MASK)):
            layers(found, f"{name}/{kind}", name, mask)
    slopes(found)
    with global_batch():
        draws(found)
        comparisons(found)
        pairs(found)
        found.same["sharers"] = torch.tensor(sharers())
    means(found)
    return found


def layers(found: Found, key: str, name: str, mask: Tensor | None) -> None:
    layer, x = layer_of(name).train(), X.clone().requires_grad_()
    out, total = loss(layer, x, mask)
    total.backward()  # outside the block, as in training
    assert x.grad is not None
    found.rows[f"{key}/out"] = out.detach()
    found.same[f"{key}/gradient/x"] = over_processes(x.grad)
    for part, weight in layer.named_parameters():
        assert weight.grad is not None
        found.same[f"{key}/gradient/{part}"] = over_processes(weight.grad)
    for part, value in layer.named_buffers():
        found.same[f"{key}/statistics/{part}"] = value.clone()
    with evaluation_mode(layer):
        out, _ = loss(layer, X, mask)
    found.rows[f"{key}/evaluation"] = out.detach()
    for part, value in layer.named_buffers():
        found.same[f"{key}/untouched/{part}"] = value.clone()


def slopes(found: Found) -> None:
    """Finite differences of the summed loss, every process moving the same coordinate at the same time."""
    for name in ("norm", "fused"):
        layer, step = layer_of(name).train(), 1e-5
        slope = torch.zeros_like(X)
        for i in range(X.numel()):
            ends = []
            for sign in (1.0, -1.0):
                moved = X.clone()
                moved.view(-1)[i] += sign * step
                ends.append(over_processes(loss(layer, moved, MASK)[1].detach()))
            slope.view(-1)[i] = (ends[0] - ends[1]) / (2.0 * step)
        found.same[f"{name}/slopes"] = slope


def draws(found: Found) -> None:
    device, count = torch.device("cpu"), len(own_rows(X))
    generator = generator_for(1)
    found.rows["uniform"] = uniform((count, 3), generator, device)
    found.rows["normal"] = normal((2, 1, count, 3), generator, device, torch.float64, batch_dim=2).movedim(2, 0)
    pairs = normal((2 * count, 3), generator, device)  # a batch and its transformed copy, one after the other
    found.rows["first of pairs"], found.rows["second of pairs"] = pairs[:count], pairs[count:]
    parts = [RotateUp(), RotateSO3(), Scale(anisotropic=True), Jitter(), Translate(), DropPoints()]
    found.rows["transforms"] = Compose(parts)(own_rows(X)[..., :3], None, generator)
    found.rows["last"] = uniform((count,), generator, device)  # the generators are still in step


def comparisons(found: Found) -> None:
    rows = own_rows(X)[:, 0].clone().requires_grad_()
    everyone = all_rows(rows)
    found.same["everyone"] = everyone.detach()
    negative = everyone[own_rows(others(len(everyone), generator_for(2)))]
    found.rows["negative"] = negative.detach()
    (negative * rows.detach()).sum().backward()
    assert rows.grad is not None
    found.rows["negative/gradient"] = rows.grad
    # each process has costs of its own: only together do they tell which dimensions are free
    each = own_rows(torch.arange(12.0).view(6, 2).flip(1) % 5.0)
    found.same["free"] = ELBO(free_bits=1.7)._paid(each)[0]
    found.same["balance"] = group_coefficients(each, [1, 1])


def pairs(found: Found) -> None:
    """What the encoder sees of a batch whose copies are all moved, each by a vector of its own."""
    model = build_model({"latent_dim": 2, "points": 7, "encoder_args": {"widths": [4, 4]}}, 0).double()
    seen: list[Tensor] = []
    encode = model.posterior

    def watched(points: Tensor, mask: Tensor | None = None) -> Posterior:
        seen.append(points)
        return encode(points, mask)

    model.posterior = watched
    Consistency(ELBO(), transforms=[Translate(0.5)])(model, own_rows(X)[..., :3], generator=generator_for(4))
    found.rows["original"], found.rows["copy"] = seen[0].chunk(2)


def means(found: Found) -> None:
    """A mean over 4 rows on rank 0 and 2 on rank 1, and its gradient."""
    split = X[:, 0] if not dist.is_initialized() else (X[:4, 0], X[4:, 0])[dist.get_rank()]
    own = split.clone().requires_grad_()
    with global_batch():
        mean, count = mean_over_batch(own.mean(dim=0), len(own))
    found.same["mean"], found.same["count"] = mean.detach(), torch.as_tensor(count, dtype=torch.float64)
    (mean.pow(3).sum() * len(own)).backward()
    assert own.grad is not None
    found.same["mean/gradient"] = own.grad[0]


@pytest.fixture(scope="module")
def one() -> Found:
    return work()


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[Found]:
    return in_processes(tmp_path_factory.mktemp("two"), work)


def agree(one: Found, two: list[Found], prefix: str) -> int:
    """Compare what is named so; how many figures that were."""
    rows = [name for name in one.rows if name.startswith(prefix)]
    same = [name for name in one.same if name.startswith(prefix)]
    for rank, found in enumerate(two):
        for name in rows:
            torch.testing.assert_close(found.rows[name], one.rows[name][rank::2], msg=lambda m, n=name: f"{n}: {m}")
        for name in same:
            torch.testing.assert_close(found.same[name], one.same[name], msg=lambda m, n=name: f"{n}: {m}")
    return len(rows) + len(same)


@pytest.mark.parametrize("mask", ["full", "masked"])
@pytest.mark.parametrize("name", list(LAYERS))
def test_a_layer_gives_what_it_gives_of_the_whole_batch_and_so_do_its_gradients(one, two, name, mask):
    assert agree(one, two, f"{name}/{mask}/") >= 8


@pytest.mark.parametrize("name", ["norm", "fused"])
def test_gradients_over_two_processes_equal_finite_differences(two, name):
    for found in two:
        torch.testing.assert_close(
            found.same[f"{name}/masked/gradient/x"], found.same[f"{name}/slopes"], atol=1e-7, rtol=1e-6
        )


def test_running_statistics_are_the_same_on_every_process_to_the_digit(two):
    names = [name for name in two[0].same if "/statistics/" in name]
    assert len(names) == 3 * 2 * len(LAYERS)
    assert all(torch.equal(two[0].same[name], two[1].same[name]) for name in names)


def test_evaluation_leaves_them_alone(two):
    for name in [name for name in two[0].same if "/statistics/" in name]:
        assert torch.equal(two[0].same[name], two[0].same[name.replace("statistics", "untouched")])


def test_a_process_draws_its_rows_of_what_one_process_draws_to_the_digit(one, two):
    names = ["uniform", "normal", "first of pairs", "second of pairs", "transforms", "last"]
    for rank, found in enumerate(two):
        assert all(torch.equal(found.rows[name], one.rows[name][rank::2]) for name in names)


def test_a_cloud_and_its_transformed_copy_are_on_one_process(one, two):
    assert agree(one, two, "original") == agree(one, two, "copy") == 1
    for rank, found in enumerate(two):
        assert torch.equal(found.rows["original"], X[rank::2, :, :3])
        moved = found.rows["copy"] - found.rows["original"]
        torch.testing.assert_close(moved, moved[:, :1].expand_as(moved))
        assert len(moved[:, 0].unique(dim=0)) == len(moved)


def test_what_compares_shapes_sees_those_of_all_processes(one, two):
    assert agree(one, two, "everyone") == 1
    assert agree(one, two, "negative") == 2
    own = [
        set(found.rows["negative"][:, 0].tolist()) <= set(X[rank::2, 0, 0].tolist()) for rank, found in enumerate(two)
    ]
    assert not all(own)  # or the test sees nothing


def test_statistics_of_an_objective_are_those_of_the_whole_batch(one, two):
    assert agree(one, two, "balance") == 1
    assert [(f.same["free"] == 1.7).tolist() for f in two] == [(one.same["free"] == 1.7).tolist()] * 2
    assert (one.same["free"] == 1.7).any() and not (one.same["free"] == 1.7).all()


def test_a_mean_weighs_every_row_alike(one, two):
    assert agree(one, two, "mean") == 2
    assert agree(one, two, "count") == 1


def test_alone_a_batch_stands_for_itself_and_a_norm_is_torchs_to_the_digit():
    with global_batch():
        assert sharers() == 1 and all_rows(X) is X and own_rows(X) is X
        ours, theirs = BatchNorm1d(5), nn.BatchNorm1d(5)
        rows = X.float().flatten(0, 1)
        assert torch.equal(ours(rows), theirs(rows))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(ours.buffers(), theirs.buffers(), strict=True))
