"""A Dask cluster as an engine; its scheduler gives the calls of a worker that died to another one."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pointvae.engines.base import AHEAD, Backlog, Engine, Result
from pointvae.errors import InputError

CONNECT = 30.0
"""Seconds for a scheduler to answer."""


class DaskCluster:
    """The workers of a client's scheduler.

    Args:
        client: a `distributed.Client`.
        name: what to call the cluster in messages.
    """

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name

    @property
    def workers(self) -> int:
        """Threads of all workers, which may come and go."""
        return max(1, int(sum(self.client.nthreads().values())))

    def run(self, calls: Iterable[Callable[[], Result]]) -> Iterator[tuple[int, Result]]:
        """The place and the result of each call, as they finish."""
        from distributed import KilledWorker, as_completed
        from distributed.client import FutureCancelledError

        backlog = Backlog(calls)
        places: dict[str, int] = {}

        def more() -> list[Any]:
            some = backlog.take(AHEAD * self.workers - len(backlog.waiting))
            futures = [self.client.submit(call, pure=False) for _, call in some]
            places.update((future.key, place) for future, (place, _) in zip(futures, some, strict=True))
            return futures

        running = as_completed(more(), loop=self.client.loop)
        try:
            for future in running:
                place = places.pop(future.key)
                try:
                    result = future.result()
                except KilledWorker as error:
                    raise InputError(
                        f"{self.name}: one call ended several workers ({error.last_worker.address} was the last), "
                        "most likely for want of memory; give them more, and run the same command again: it goes on"
                    ) from None
                except FutureCancelledError as error:
                    raise InputError(f"{self.name}: the scheduler is gone ({error}); run the command again") from None
                backlog.done(place)
                for following in more():
                    running.add(following)
                yield place, result
        finally:
            self.client.cancel(list(running.futures))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the coming and going of workers from drowning our own words; what matters is raised."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def dask_cluster(address: str, jobs: int) -> Iterator[Engine]:
    """The cluster whose scheduler is at an address, or ``local``: one of ``jobs`` processes started here.

    Raises:
        InputError: distributed is not installed, or no scheduler with workers answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError("--engine dask: needs a package; pip install 'pointvae[dask]'") from None
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        if address == "local":
            from joblib import cpu_count

            count = cpu_count() if jobs == -1 else jobs
            options: dict[str, Any] = {"n_workers": count, "threads_per_worker": 1, "dashboard_address": None}
            client = stack.enter_context(Client(stack.enter_context(LocalCluster(**options))))
        else:
            try:
                client = stack.enter_context(Client(f"tcp://{address}", timeout=CONNECT, set_as_default=False))
            except (OSError, TimeoutError, ValueError) as error:
                raise InputError(
                    f"--engine dask://{address}: no scheduler answers ({error}); start one with `dask scheduler`"
                ) from None
            if not client.nthreads():
                raise InputError(
                    f"--engine dask://{address}: has no workers; start some with `dask worker {address}`"
                )
        yield DaskCluster(client, f"dask://{address}")
