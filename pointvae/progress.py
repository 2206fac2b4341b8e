"""What people see of long work on stderr: a bar that shows how far it is, and lines of text."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


@contextlib.contextmanager
def progress_bar(progress: bool, title: str, total: int) -> Iterator[Callable[..., None]]:
    """A function to call after each step, or with the number of steps done; silent unless ``progress``."""
    if not progress:
        yield lambda steps=1: None
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
        yield lambda steps=1: bar.advance(task, steps)


def track(items: Iterable[Item], title: str, total: int, *, shown: bool) -> Iterator[Item]:
    """Pass the items on, with a bar on stderr while ``shown``."""
    if not shown:
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as rich_track

    console = Console(stderr=True)
    yield from rich_track(items, title, total=total, console=console, transient=console.is_terminal)


def show(lines: Iterable[str], progress: bool) -> None:
    """Write lines to stderr for the person who waits; silent unless ``progress``."""
    if not progress:
        return
    from rich.console import Console

    console = Console(stderr=True)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
