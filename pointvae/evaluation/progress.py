"""Bars on stderr for long evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], description: str, total: int, *, shown: bool) -> Iterator[Item]:
    """Pass the items on, with a bar on stderr while ``shown``."""
    if not shown:
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as rich_track

    console = Console(stderr=True)
    yield from rich_track(items, description, total=total, console=console, transient=console.is_terminal)
