"""Work spread over processes, and a bar that shows how far it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Result = TypeVar("Result")


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
        yield lambda calls: pool(delayed(call)() for call in calls)


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
