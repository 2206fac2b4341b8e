"""Results for people, on stderr."""

from __future__ import annotations

from typing import Any


def present(verb: str, result: dict[str, Any]) -> None:
    """Show a verb's result."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for name, value in result.items():
        if isinstance(value, float):
            console.print(f"{name}: {value:.5g}", markup=False)
        elif isinstance(value, str | int):
            console.print(f"{name}: {value}", markup=False)
