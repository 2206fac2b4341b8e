"""Downloads through every mixture of faults, and processes that are killed: the name only ever has the right file."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from pointvae.data.named.fetching import fetch
from pointvae.data.named.sets import Archive
from pointvae.errors import InputError
from tests.data.named.conftest import QUICK
from tests.data.named.releases import RELEASES, pack
from tests.data.named.server import Place

BODY = np.random.default_rng(1).bytes(200_000)
OTHER = BODY[::-1]

FAULTS = {
    "cut": lambda draw: {"cut": [int(draw.integers(0, 200_001)) for _ in range(draw.integers(1, 4))]},
    "reset": lambda draw: {"cut": [int(draw.integers(0, 200_001))], "reset": True},
    "no ranges": lambda draw: {"ranges": False},
    "no version": lambda draw: {"etag": None},
    "weak version": lambda draw: {"etag": 'W/"one"'},
    "status": lambda draw: {"status": [int(draw.choice([404, 403, 429, 500, 503]))]},
    "too long": lambda draw: {"length": int(draw.integers(200_001, 300_000))},
    "too short": lambda draw: {"length": int(draw.integers(1, 200_000))},
    "no length": lambda draw: {"length": -1},
    "another file": lambda draw: {"body": OTHER},
    "changes": lambda draw: {"body": OTHER, "after": (BODY, '"two"'), "cut": [100_000]},
    "changes and keeps its version": lambda draw: {"body": OTHER, "after": (BODY, '"one"'), "cut": [100_000]},
    "page": lambda draw: {"kind": "text/html"},
    "silence": lambda draw: {"stall": 0.5},
    "packed": lambda draw: {"headers": {"Content-Encoding": "gzip"}},
    "circle": lambda draw: {"to": "/a"},
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_whatever_a_server_does_the_name_has_the_right_file_or_nothing(server, tmp_path, seed):
    draw = np.random.default_rng(seed)
    folder = tmp_path / "archives"
    folder.mkdir()
    outside = set(tmp_path.iterdir())
    sha256 = hashlib.sha256(BODY).hexdigest()

    def check(path):
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise InputError("another file")

    archive = Archive("set.zip", sha256=sha256)
    for _ in range(3):
        options = {"body": BODY}
        for fault in draw.choice(list(FAULTS), size=draw.integers(1, 4), replace=False):
            options |= FAULTS[fault](draw)
        server.places["/a"] = Place(**options)
        server.log.clear()
        try:
            fetch(archive, (f"{server.url}/a",), folder / "set.zip", check, patience=QUICK)
        except InputError:
            assert not (folder / "set.zip").exists()
        else:
            assert (folder / "set.zip").read_bytes() == BODY
            assert {path.name for path in folder.iterdir()} == {"set.zip"}
            (folder / "set.zip").unlink()
    server.places["/a"] = Place(BODY, etag='"last"')
    fetch(archive, (f"{server.url}/a",), folder / "set.zip", check, patience=QUICK)
    assert (folder / "set.zip").read_bytes() == BODY
    assert set(tmp_path.iterdir()) == outside


@pytest.mark.slow
def test_a_preparation_killed_while_it_downloads_goes_on_with_the_rest(server, released, tmp_path, cache):
    filler = np.random.default_rng(2).bytes(400_000)
    path = pack({**RELEASES["modelnet40"](), "ModelNet40/filler.bin": filler}, tmp_path / "own" / "ModelNet40.zip")
    size = path.stat().st_size
    server.places["/m.zip"] = Place(path.read_bytes(), slow=0.05)
    code = f"""
        import dataclasses, sys
        from pointvae.data.named import registry
        from pointvae.data.prepare import prepare
        named = registry.SETS["modelnet40"]
        archive = dataclasses.replace(named.archive, urls=("{server.url}/m.zip",), sha256="{digest(path)}")
        registry.SETS["modelnet40"] = dataclasses.replace(named, archive=archive)
        prepare("modelnet40", sys.argv[1], points=32)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "out")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    part = cache / "archives" / ".ModelNet40.zip.part"
    for share in (0.2, 0.5):
        child = subprocess.Popen(command, env=environment)
        while not part.exists() or part.stat().st_size < share * size:
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert not (cache / "archives" / "ModelNet40.zip").exists()
        assert not (tmp_path / "out").exists()
    server.places["/m.zip"].slow = 0.0
    subprocess.run(command, env=environment, check=True)
    assert digest(cache / "archives" / "ModelNet40.zip") == digest(path)
    starts = [int((log.range or "bytes=0-").removeprefix("bytes=").rstrip("-")) for log in server.log]
    assert starts[0] == 0
    assert starts[1] >= 0.2 * size
    assert starts[2] >= 0.5 * size
    assert server.log[2].sent == size - starts[2]
    assert (tmp_path / "out" / "README.md").exists()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
