"""The parts that all engines share."""

from hypothesis import given
from hypothesis import strategies as st

from pointvae.engines.base import Backlog, in_order


@given(st.permutations(list(range(12))))
def test_results_come_in_the_order_of_their_calls_whatever_order_they_finish_in(order):
    assert list(in_order((place, place * 10) for place in order)) == [place * 10 for place in range(12)]


def test_a_result_is_given_as_soon_as_those_before_it_are_there():
    given_out = in_order(iter([(1, "b"), (0, "a"), (2, "c")]))
    assert [next(given_out), next(given_out)] == ["a", "b"]


def test_a_backlog_remembers_what_was_handed_out_until_it_is_done():
    backlog = Backlog([str, int, float])
    assert backlog.take(2) == [(0, str), (1, int)]
    backlog.done(0)
    assert backlog.waiting == {1: int}
    assert backlog.take(5) == [(2, float)]
    assert backlog.take(5) == []
