"""Calls that engines are tried with; they travel to workers by name."""

import os
import signal
import time
from pathlib import Path

from pointvae.errors import InputError


def square(number: int) -> int:
    return number * number


def wait_then(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number


def die_once(marker: Path, number: int) -> int:
    """End the worker the hard way, the first time this is called."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return number
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(number: int) -> int:
    raise InputError(f"shape {number}: mend it")


def fail(number: int) -> int:
    raise ZeroDivisionError(f"a fault of ours, {number}")


def write_down(folder: Path, number: int) -> int:
    """Leave a file that tells how often this was called."""
    with (folder / f"{number}.txt").open("a") as file:
        file.write("x")
    return number
