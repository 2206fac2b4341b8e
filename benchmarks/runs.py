"""What the experiments share: runs made by the command line, and rows that are kept in results/."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]


def pointvae(*arguments: str) -> dict[str, Any]:
    """Run a verb of the command line and return its JSON."""
    command = [sys.executable, "-m", "pointvae.cli", *arguments, "--json"]
    out = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    result: dict[str, Any] = json.loads(out.stdout)
    return result


def commit() -> str:
    """The commit the package stands at."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows made so far."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add_rows(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Append rows, with a header where the file is new."""
    new = not path.is_file()
    path.parent.mkdir(exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def cpu_seconds() -> float:
    """CPU time of this process and of all that it started, those included that read files and live on."""
    me = psutil.Process()
    mine, others = me.cpu_times(), [child.cpu_times() for child in me.children(recursive=True)]
    ended = sum(time.children_user + time.children_system for time in (mine, *others))
    return process_time() + ended + sum(time.user + time.system for time in others)  # psutil counts in hundredths
