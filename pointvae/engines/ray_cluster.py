"""A Ray cluster as an engine; Ray makes the calls of a worker that died anew."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pointvae.engines.base import AHEAD, Backlog, Engine, Result
from pointvae.errors import InputError

DEATHS = 3
"""So many workers may die over one call."""


class RayCluster:
    """The cluster that this process is joined to.

    Args:
        ray: the package, initialised.
        name: what to call the cluster in messages.
    """

    def __init__(self, ray: Any, name: str) -> None:
        self.ray, self.name = ray, name

    @property
    def workers(self) -> int:
        """Cores of all nodes, which may come and go."""
        return max(1, int(self.ray.cluster_resources().get("CPU", 1)))

    def run(self, calls: Iterable[Callable[[], Result]]) -> Iterator[tuple[int, Result]]:
        """The place and the result of each call, as they finish."""
        backlog = Backlog(calls)
        places: dict[Any, int] = {}
        made = self.ray.remote(num_cpus=1, max_retries=DEATHS)(_make)

        def more() -> None:
            for place, call in backlog.take(AHEAD * self.workers - len(backlog.waiting)):
                places[made.remote(call)] = place

        more()
        try:
            while places:
                finished, _ = self.ray.wait(list(places), num_returns=1)
                place = places.pop(finished[0])
                result = self._result(finished[0])
                backlog.done(place)
                more()
                yield place, result
        finally:
            for reference in places:
                self.ray.cancel(reference, force=False)

    def _result(self, reference: Any) -> Any:
        from ray.exceptions import RayTaskError, WorkerCrashedError

        try:
            return self.ray.get(reference)
        except WorkerCrashedError:
            raise InputError(
                f"{self.name}: one call ended {DEATHS + 1} workers, most likely for want of memory; give them more, "
                "and run the same command again: it goes on"
            ) from None
        except RayTaskError as error:
            if isinstance(error.cause, InputError):
                raise InputError(str(error.cause)) from None
            raise


def _make(call: Callable[[], Any]) -> Any:
    return call()


@contextlib.contextmanager
def ray_cluster(address: str, jobs: int) -> Iterator[Engine]:
    """The cluster at an address, ``auto`` for the one this machine belongs to, ``local`` for one started here.

    A process that has joined a cluster already keeps it.

    Raises:
        InputError: ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ImportError:
        raise InputError("--engine ray: needs a package; pip install 'pointvae[ray]'") from None
    if ray.is_initialized():
        if address not in ("auto", "local"):
            raise InputError(
                f"--engine ray://{address}: this process has joined a Ray cluster already; use ray://auto"
            )
        yield RayCluster(ray, "ray")
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "include_dashboard": False}
    if address == "local":
        from joblib import cpu_count

        options |= {"address": "local", "num_cpus": cpu_count() if jobs == -1 else jobs}
    else:
        del options["include_dashboard"]
        options["address"] = "auto" if address == "auto" else f"ray://{address}"
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"--engine ray://{address}: no cluster answers ({reason}); start one with `ray start`"
        ) from None
    try:
        yield RayCluster(ray, f"ray://{address}")
    finally:
        ray.shutdown()
