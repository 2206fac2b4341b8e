"""Where work runs: processes of this machine, or a Dask or Ray cluster that is there already."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from pointvae.engines.base import Engine, in_order
from pointvae.engines.local import Serial, local
from pointvae.errors import InputError

__all__ = ["Engine", "Serial", "in_order", "open_engine"]


@contextlib.contextmanager
def open_engine(name: str = "local", jobs: int = 1) -> Iterator[Engine]:
    """The engine of a name, valid inside the ``with`` block.

    Args:
        name: ``local``: processes of this machine; ``dask://HOST:PORT`` or ``ray://HOST:PORT``: a cluster's
            scheduler or head; ``ray://auto``: the Ray cluster that this machine belongs to; ``dask://local`` and
            ``ray://local``: ``jobs`` workers started here for as long as the work lasts.
        jobs: processes, where they are started here; -1 for one on each core.

    Raises:
        InputError: there is no such engine or cluster, its package is not installed, or ``jobs`` was asked of a
            cluster that has workers of its own.
    """
    if jobs < 1 and jobs != -1:
        raise InputError(f"--jobs {jobs}: must be 1 or more, or -1 for every core")
    scheme, separator, address = name.partition("://")
    if scheme == "local" and not address:
        with local(jobs) as engine:
            yield engine
        return
    opener = _openers().get(scheme)
    if opener is None or not separator or not address:
        raise InputError(
            f"--engine {name}: not an engine; use local, dask://HOST:PORT, ray://HOST:PORT or ray://auto"
        )
    if address != "local" and jobs != 1:
        raise InputError(
            f"--jobs {jobs}: counts processes of this machine; {name} has workers of its own, leave it out"
        )
    with opener(address, jobs) as engine:
        yield engine


def _openers() -> dict[str, Callable[[str, int], contextlib.AbstractContextManager[Engine]]]:
    from pointvae.engines.dask_cluster import dask_cluster
    from pointvae.engines.ray_cluster import ray_cluster

    return {"dask": dask_cluster, "ray": ray_cluster}
