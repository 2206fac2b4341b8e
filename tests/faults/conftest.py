"""The command line with faults beneath it, the data it works on, and a disk that fills up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.cases import sources

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command line ended; no code where it hung."""

    code: int | None
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What was said of a fault."""
        return [line for line in self.err.splitlines() if line.startswith("pointvae: error: ")]


class Lines:
    """Command lines, each in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.faults.server"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.server = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **pipes)
        self._answer()

    def _answer(self) -> str:
        assert self.server.stdout is not None
        line = self.server.stdout.readline()
        assert line, "the server has ended"
        return line

    def __call__(self, *argv: object, code: str = "", seconds: float = 300) -> Ended:
        """Run `pointvae` with some code before it in the same process."""
        assert self.server.stdin is not None
        self.count += 1
        told = self.folder / str(self.count)
        told.mkdir()
        request = {"argv": [str(a) for a in argv], "out": str(told), "code": code, "seconds": seconds}
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        ended = json.loads(self._answer())
        return Ended(ended, *((told / name).read_text(errors="replace") for name in ("out", "err")))

    def close(self) -> None:
        """End the server."""
        assert self.server.stdin is not None and self.server.stdout is not None
        self.server.stdin.close()
        self.server.stdout.close()
        self.server.wait(20)


@pytest.fixture(scope="session")
def pointvae(tmp_path_factory) -> Iterator[Lines]:
    lines = Lines(tmp_path_factory.mktemp("told"))
    yield lines
    lines.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A set, its source, meshes and a trained run; only to be read."""
    root = tmp_path_factory.mktemp("data")
    sources(root)
    return root


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
