"""The order of an epoch: complete, without repetition, and dealt out to processes whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data.distributed import DistributedSampler

from pointvae.data.order import WINDOW, Order
from pointvae.errors import InputError


@st.composite
def orders(draw):
    rows = draw(st.lists(st.integers(0, 30), min_size=1, max_size=12))
    total = sum(rows)
    held = draw(st.sets(st.integers(0, max(0, total - 1)), max_size=total // 2)) if total else set()
    lanes = draw(st.sampled_from([1, 2, 4, 16]))
    window = draw(st.integers(1, 200))
    return Order(rows, np.array(sorted(held), np.int64), draw(st.integers(-3, 9)), window=window, lanes=lanes)


@given(orders(), st.integers(0, 5))
@settings(max_examples=200, deadline=None)
def test_every_epoch_is_a_permutation_of_the_shapes_that_are_not_held_out(order, epoch):
    rows = order.epoch(epoch).rows()
    assert sorted(rows) == sorted(set(range(int(order.rows.sum()))) - set(order.held.tolist()))
    assert len(rows) == len(order)


@given(orders(), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_windows_follow_each_other_along_a_lane_and_hold_what_lies_between_their_bounds(order, epoch):
    made = order.epoch(epoch)
    for lane in range(made.lanes):
        indices = np.arange(made.size(lane))
        numbers = made.window_of(lane, indices)
        assert (np.diff(numbers) >= 0).all() and (np.diff(numbers) <= 1).all()
        for number in np.unique(numbers):
            start, stop = made.bounds(lane, int(number))
            assert indices[numbers == number].tolist() == list(range(start, stop))
            places = np.concatenate([piece.places for piece in made.pieces(lane, int(number))])
            assert sorted(places) == list(range(stop - start))
    assert sum(made.size(lane) for lane in range(made.lanes)) == len(order)


@given(orders(), st.integers(1, 7), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_ranks_and_workers_share_an_epoch_without_overlap_or_loss(order, batch, world, workers):
    if len(order) < world:
        with pytest.raises(InputError, match="--devices"):
            order.share(batch, world)
        return
    rows, share = order.epoch(1).rows(), order.share(batch, world)
    count = len(order) // (share * world)
    seen = [
        rows[(number * share + k) * world + rank]
        for rank in range(world)
        for worker in range(workers)
        for number in range(worker, count, workers)
        for k in range(share)
    ]
    assert len(seen) == len(set(seen)) == count * share * world
    assert len(order) - len(seen) < share * world
    assert count >= 1


def test_up_to_a_window_the_order_is_that_of_torch_s_own_sampler():
    """It was so before shapes could be streamed; stored results stay repeatable."""
    for epoch in range(3):
        sampler = DistributedSampler(range(100), num_replicas=1, rank=0, shuffle=True, seed=7)
        sampler.set_epoch(epoch)
        assert Order([60, 40], seed=7).epoch(epoch).rows().tolist() == list(sampler)
    held = np.array([3, 50, 99])
    drawn = torch.randperm(97, generator=torch.Generator().manual_seed(8)).numpy()
    wanted = np.setdiff1d(np.arange(100), held)[drawn]
    np.testing.assert_array_equal(Order([60, 40], held, 7).epoch(1).rows(), wanted)


def test_how_a_small_set_lies_in_shards_has_no_say():
    rows = [Order(shards, seed=3).epoch(2).rows().tolist() for shards in ([90], [30, 60], [1] * 90)]
    assert rows[0] == rows[1] == rows[2]


def test_a_large_set_has_another_order_each_epoch_and_seed_and_mixes_shards_in_every_batch():
    shards = [512] * 100
    order = Order(shards, seed=0)
    assert len(order) > WINDOW
    rows = order.epoch(0).rows()
    assert sorted(rows) == list(range(len(order)))
    np.testing.assert_array_equal(rows, Order(shards, seed=0).epoch(0).rows())
    for other in (order.epoch(1).rows(), Order(shards, seed=1).epoch(0).rows()):
        assert (other != rows).mean() > 0.99
    of = (rows // 512)[: len(rows) // 32 * 32].reshape(-1, 32)
    assert min(len(set(batch)) for batch in of.tolist()) >= 14
    assert abs(np.corrcoef(np.arange(len(rows)), rows)[0, 1]) < 0.3


def test_lanes_do_not_come_to_the_end_of_their_windows_at_once():
    order = Order([512] * 100)
    epoch = order.epoch(0)
    ends = [epoch.bounds(lane, 0)[1] for lane in range(epoch.lanes)]
    assert ends == [64 * (lane + 1) for lane in range(16)]
    assert {epoch.bounds(lane, 1)[1] - epoch.bounds(lane, 1)[0] for lane in range(16)} == {1024}


def test_the_key_tells_orders_apart():
    held = np.array([1, 4])
    keys = [
        Order(*given).key for given in (([5, 5],), ([5, 5], held), ([5, 5], held, 1), ([10], held, 1), ([4, 6], held))
    ]
    assert len(set(keys)) == len(keys)
    assert Order([5, 5], held, 1).key == keys[2]
