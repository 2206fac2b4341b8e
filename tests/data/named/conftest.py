"""A cache of the test's own, no proxy and no mirror from outside, and a local server."""

import dataclasses
import tempfile

import pytest

from pointvae.data.named import registry
from pointvae.data.named.transfer import Patience
from tests.data.named.server import serving

QUICK = Patience(connect=5.0, read=5.0, tries=3, wait=0.01, redirects=3)
HASTY = Patience(connect=5.0, read=0.4, tries=3, wait=0.01, redirects=3)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    for name in ("POINTVAE_MIRROR", "POINTVAE_OFFLINE", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("POINTVAE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where temporary files go, to see that none stays."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def server():
    with serving() as local:
        yield local


@pytest.fixture
def released(monkeypatch):
    """Put another archive in the place of a set's: its address, its checksum."""

    def change(name, **archive):
        named = registry.SETS[name]
        changed = dataclasses.replace(named, archive=dataclasses.replace(named.archive, **archive))
        monkeypatch.setitem(registry.SETS, name, changed)
        return changed

    return change
