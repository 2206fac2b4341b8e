"""This machine as an engine: the process itself, or processes of joblib's."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pointvae.engines.base import Backlog, Engine, Result
from pointvae.errors import InputError

DEATHS = 3
"""So often in a row processes may die before any of their calls is done."""


class Serial:
    """The process itself, one call after another."""

    workers = 1

    def run(self, calls: Iterable[Callable[[], Result]]) -> Iterator[tuple[int, Result]]:
        """The place and the result of each call."""
        for place, call in enumerate(calls):
            yield place, call()


class Processes:
    """Processes of joblib's; where some die, others take up their calls.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, calls: Iterable[Callable[[], Result]]) -> Iterator[tuple[int, Result]]:
        """The place and the result of each call, as they finish."""
        from joblib.externals.loky.process_executor import BrokenProcessPool

        backlog, deaths = Backlog(calls), 0
        while deaths <= DEATHS:
            try:
                for place, result in self._results(backlog):
                    backlog.done(place)
                    deaths = 0
                    yield place, result
                return
            except BrokenProcessPool:  # the system ended a process: all that was handed out is made again
                deaths += 1
        raise InputError(
            f"processes were ended by the system {deaths} times in a row before one shard was done, most likely for "
            "want of memory; use fewer --jobs, or free memory, and run the same command again: it goes on"
        )

    def _results(self, backlog: Backlog) -> Iterator[tuple[int, Any]]:
        from joblib import Parallel, delayed

        again = list(backlog.waiting.items())

        def handed_out() -> Iterator[Any]:
            yield from (delayed(_tagged)(place, call) for place, call in again)
            while some := backlog.take(1):
                yield from (delayed(_tagged)(place, call) for place, call in some)

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
            with Parallel(n_jobs=self.workers, return_as="generator_unordered", batch_size=1) as pool:
                yield from pool(handed_out())


def _tagged(place: int, call: Callable[[], Any]) -> tuple[int, Any]:
    return place, call()


@contextlib.contextmanager
def local(jobs: int) -> Iterator[Engine]:
    """This process if ``jobs`` is 1, otherwise so many processes; -1 for one on each core."""
    if jobs == 1:
        yield Serial()
        return
    from joblib import effective_n_jobs
    from joblib.externals.loky import get_reusable_executor

    finished = False
    try:
        yield Processes(int(effective_n_jobs(jobs)))
        finished = True
    finally:  # processes that idle on would hold memory, and the environment of when they began
        get_reusable_executor().shutdown(wait=True, kill_workers=not finished)
