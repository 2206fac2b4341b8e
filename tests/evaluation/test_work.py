"""Work spread over threads: the same digits however it is spread."""

import threading
import time

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from pointvae.errors import InputError
from pointvae.evaluation.drift import self_consistency_drift
from pointvae.evaluation.features import encode
from pointvae.evaluation.latents import consistency_gaps
from pointvae.evaluation.likelihood import bound_and_nll
from pointvae.evaluation.reconstruction import reconstruct
from pointvae.evaluation.views import View
from pointvae.evaluation.work import TILE, Work, one_thread
from pointvae.models.build import build_model
from pointvae.transforms import RotateUp
from tests.evaluation.shapes import make_shapes

SHAPES = make_shapes(2 * TILE + 5)
VIEW = View(30, "z", 1)
MODEL = {"latent_dim": 8, "points": 24, "likelihood": "mixture"}
MEASURES = {
    "codes": lambda m, w: encode(m, SHAPES, VIEW, work=w).posterior_mean,
    "features": lambda m, w: encode(m, SHAPES, VIEW, work=w).encoder,
    "reconstructions": lambda m, w: reconstruct(m, SHAPES.points, work=w).points,
    "errors": lambda m, w: reconstruct(m, SHAPES.points, work=w).cd_l2_mean,
    "gaps": lambda m, w: consistency_gaps(m, SHAPES, RotateUp(), VIEW, work=w),
    "drift": lambda m, w: self_consistency_drift(m, SHAPES, VIEW, rounds=2, work=w).codes,
    "nll": lambda m, w: np.array(bound_and_nll(m, SHAPES, VIEW, samples=3, work=w).nll),
}


@pytest.fixture(scope="module")
def model():
    return build_model(MODEL, 0).eval()


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("work", [Work(1, 1), Work(17, 3), Work(500, 2)], ids=str)
def test_no_digit_depends_on_threads_or_batch_size(model, measure, work):
    expected = MEASURES[measure](model, Work(64, 2))
    np.testing.assert_array_equal(MEASURES[measure](model, work), expected)


def test_no_digit_depends_on_the_threads_that_torch_has(model):
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(encode(model, SHAPES, VIEW).encoder)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_come_in_the_order_of_the_items(jobs):
    def late(x):
        time.sleep(0.01 * (x % 3 == 0))
        return x

    assert Work(jobs=jobs).each(late, list(range(12)), "waiting") == list(range(12))


def test_tiles_cover_every_place_once():
    tiles = Work().tiles(list, 2 * TILE + 3, "counting")
    assert [len(tile) for tile in tiles] == [TILE, TILE, 3]
    assert [place for tile in tiles for place in tile] == list(range(2 * TILE + 3))
    assert Work().tiles(list, 0, "counting") == []


@pytest.mark.parametrize(
    ("work", "most"), [(Work(1, 4), 1), (Work(2 * TILE, 4), 2), (Work(100 * TILE, 3), 3)], ids=str
)
def test_no_more_tiles_than_fit_are_in_the_works(work, most):
    lock, running, seen = threading.Lock(), set(), []

    def task(places):
        with lock:
            running.add(places.start)
            seen.append(len(running))
        time.sleep(0.005)
        with lock:
            running.remove(places.start)

    work.tiles(task, 8 * TILE, "counting")
    assert max(seen) <= most


def test_every_unit_runs_on_one_thread_and_builds_no_graph():
    def look(_):
        pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        return torch.get_num_threads(), max(pools, default=1), torch.is_grad_enabled()

    before = torch.get_num_threads()
    for jobs in (1, 2):
        assert set(Work(jobs=jobs).each(look, [0, 1, 2, 3], "looking")) == {(1, 1, False)}
    assert torch.get_num_threads() == before
    assert torch.is_grad_enabled()


def test_the_number_of_threads_comes_back_after_a_failure():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), one_thread():
        _ = 1 / 0
    assert torch.get_num_threads() == before


def test_a_failure_stops_what_has_not_begun():
    begun = []

    def task(x):
        begun.append(x)
        time.sleep(0.02)  # all of them would take ten seconds
        raise ValueError(x)

    with pytest.raises(ValueError, match="0"):
        Work(jobs=2).each(task, list(range(1000)), "failing")
    assert len(begun) < 500


@pytest.mark.parametrize(("settings", "message"), [({"batch_size": 0}, "--batch_size 0"), ({"jobs": 0}, "--jobs 0")])
def test_nonsense_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Work(**settings)
