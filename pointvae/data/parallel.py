"""Work spread over processes, and a bar that shows how far it is."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Result = TypeVar("Result")

CHUNK = 8
"""Calls that travel to a process together: a small shape takes less time than its journey."""


class Runner(Protocol):
    """Runs calls and gives their results in the same order, as they come."""

    def __call__(self, calls: Iterable[Callable[[], Result]]) -> Iterable[Result]:
        """The results of the calls."""


@contextlib.contextmanager
def workers(jobs: int) -> Iterator[Runner]:
    """What runs calls: this process if ``jobs`` is 1, otherwise processes of joblib's, or what it is told to use."""
    if jobs == 1:
        yield lambda calls: (call() for call in calls)
        return
    from joblib import Parallel, delayed

    with Parallel(n_jobs=jobs, return_as="generator") as pool:
        yield lambda calls: itertools.chain.from_iterable(pool(delayed(_run_all)(some) for some in _chunks(calls)))


def _chunks(calls: Iterable[Callable[[], Result]]) -> Iterator[list[Callable[[], Result]]]:
    rest = iter(calls)
    while some := list(itertools.islice(rest, CHUNK)):
        yield some


def _run_all(calls: list[Callable[[], Result]]) -> list[Result]:
    return [call() for call in calls]


@contextlib.contextmanager
def progress_bar(progress: bool, title: str, total: int) -> Iterator[Callable[[], None]]:
    """A function to call after each step; silent unless ``progress``."""
    if not progress:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


def show(lines: Iterable[str], progress: bool) -> None:
    """Write lines to stderr for the person who waits; silent unless ``progress``."""
    if not progress:
        return
    from rich.console import Console

    console = Console(stderr=True)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
