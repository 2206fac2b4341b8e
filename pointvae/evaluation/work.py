"""How an evaluation's work is spread out, such that no figure depends on it.

Sums of floats depend on their order, and the order on the number of threads and on the shape of a batch. So every
unit of work here runs on one thread, and shapes go through a model in tiles whose bounds depend on nothing but the
shapes' places. How many units run at a time then changes the time and the memory, and no digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pointvae.errors import InputError
from pointvae.progress import track

TILE = 16
"""Shapes that go through a model together."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Work:
    """How much is done at a time, and whether a bar shows it.

    Args:
        batch_size: shapes in a model's hands at a time, in tiles of 16: at least one tile.
        jobs: threads, each with units of its own; -1 for one on every core.
        progress: show bars on stderr.

    Raises:
        InputError: a number is out of range.

    Example:
        >>> Work(jobs=2).each(lambda x: x * x, [1, 2, 3], "squaring")
        [1, 4, 9]
        >>> Work().tiles(len, 20, "counting")
        [16, 4]
    """

    batch_size: int = 64
    jobs: int = -1
    progress: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"--batch_size {self.batch_size}: must be at least 1")
        if self.jobs < 1 and self.jobs != -1:
            raise InputError(f"--jobs {self.jobs}: must be 1 or more, or -1 for every core")

    @property
    def threads(self) -> int:
        """Units that run at a time."""
        from joblib import cpu_count

        return int(cpu_count()) if self.jobs == -1 else self.jobs

    def each(self, task: Callable[[Item], Result], items: Sequence[Item], description: str) -> list[Result]:
        """The results of a task for every item, in order; graphs are built only where the task asks for them."""
        return self._run(task, items, description, self.threads)

    def tiles(self, task: Callable[[range], Result], count: int, description: str) -> list[Result]:
        """The results of a task for every tile of the places 0 to ``count`` - 1, in order."""
        ranges = [range(start, min(start + TILE, count)) for start in range(0, count, TILE)]
        return self._run(task, ranges, description, min(self.threads, max(1, self.batch_size // TILE)))

    def _run(
        self, task: Callable[[Item], Result], items: Sequence[Item], description: str, threads: int
    ) -> list[Result]:
        def one(item: Item) -> Result:
            with torch.no_grad():  # which holds in its own thread alone
                return task(item)

        threads = min(threads, len(items))
        if threads <= 1:
            with one_thread():
                return list(track(map(one, items), description, len(items), shown=self.progress))
        with one_thread():
            pool = ThreadPoolExecutor(threads, initializer=_use_one_thread)
            try:
                return list(track(pool.map(one, items), description, len(items), shown=self.progress))
            finally:
                pool.shutdown(cancel_futures=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block torch, BLAS and OpenMP use the calling thread alone; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def _use_one_thread() -> None:
    """For a new thread: OpenMP counts each thread's helpers apart."""
    torch.set_num_threads(1)
    threadpool_limits(1)
