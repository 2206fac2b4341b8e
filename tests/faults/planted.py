"""Work with planted defects under the campaign of kills, a line for each: what it is told of."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.cases import Case
from tests.faults.kills import campaign, measured

STEPS = 10
PACE = 0.02


def _state(path: Path) -> int:
    try:
        return int(json.loads(path.read_text())["count"])
    except (OSError, ValueError):
        return 0


def _work(write: Callable[[Path, str], None], first: Callable[[int], int]) -> Callable[[Path, Path], None]:
    """Count to ten, writing down each step; ``first`` says where a run that was begun again goes on."""

    def begin(root: Path, folder: Path) -> None:
        path = folder / "work" / "facts.json"
        path.parent.mkdir(exist_ok=True)
        for leftover in path.parent.glob(".*.tmp"):
            leftover.unlink()
        count = first(_state(path))
        for _ in range(_state(path), STEPS):
            count += 1
            time.sleep(PACE)
            write(path, json.dumps({"count": count}))

    return begin


def _whole(path: Path, text: str) -> None:
    from pointvae.writing import write_text

    write_text(path, text)


def _in_place(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text[:5])
        file.flush()
        time.sleep(PACE)
        file.write(text[5:])


def _littering(path: Path, text: str) -> None:
    path.with_name(".facts.json.1.tmp").write_text(text)
    _whole(path, text)


def _made(folder: Path) -> dict[str, Any]:
    return {"count": _state(folder / "work" / "facts.json")}


PLANTED = {
    "written in place": _work(_in_place, lambda kept: kept),
    "counted again": _work(_whole, lambda kept: kept + (1 if kept else 0)),
    "not cleared away": _work(_littering, lambda kept: kept),
    "as it should be": _work(_whole, lambda kept: kept),
}


def main() -> int:
    import pointvae.writing  # noqa: F401

    with tempfile.TemporaryDirectory(prefix="planted-") as place:
        for name, begin in PLANTED.items():
            case = Case(name, "work", begin, _made, 1)
            whole, seconds = measured(case, Path(place), Path(place))
            tally = campaign(case, 6, 0, whole, seconds, Path(place), Path(place))
            told = "; ".join(fault.splitlines()[0] for fault in tally.faults) or "none"
            sys.stdout.write(f"{name}: {told}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
