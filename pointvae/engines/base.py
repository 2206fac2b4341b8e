"""What an engine is: it runs calls anywhere, and gives their results as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")

AHEAD = 2
"""Calls handed out for each worker, so that none waits for the next; the rest are not even made yet."""


class Engine(Protocol):
    """Runs calls that can be pickled, as long as there are any, with few of them handed out at a time.

    A worker that dies loses nothing: its calls are made again, so a call must be safe to make twice.
    """

    @property
    def workers(self) -> int:
        """How many calls run at once."""

    def run(self, calls: Iterable[Callable[[], Result]]) -> Iterator[tuple[int, Result]]:
        """The place of each call and its result, in the order in which they finish.

        Raises:
            InputError: workers die again and again.
            Exception: what a call raised.
        """


def in_order(results: Iterable[tuple[int, Result]]) -> Iterator[Result]:
    """Results in the order of their calls, those that come early held back."""
    early: dict[int, Result] = {}
    following = 0
    for place, result in results:
        early[place] = result
        while following in early:
            yield early.pop(following)
            following += 1


class Backlog:
    """Calls numbered as they are handed out, and remembered until their results are there."""

    def __init__(self, calls: Iterable[Callable[[], Any]]) -> None:
        self._rest = enumerate(calls)
        self.waiting: dict[int, Callable[[], Any]] = {}

    def take(self, most: int) -> list[tuple[int, Callable[[], Any]]]:
        """Up to ``most`` further calls."""
        taken: list[tuple[int, Callable[[], Any]]] = []
        while len(taken) < most and (following := next(self._rest, None)) is not None:
            taken.append(following)
        self.waiting.update(taken)
        return taken

    def done(self, place: int) -> None:
        """Forget a call whose result is there."""
        del self.waiting[place]
