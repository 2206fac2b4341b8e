"""A named set's archive: given, kept, downloaded; its checksum published or recorded; nothing taken unseen."""

import copy
import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pointvae.cli import VERBS
from pointvae.command import run
from pointvae.data.named import cache as kept
from pointvae.data.named.acquire import acquire
from pointvae.data.named.listing import datasets
from pointvae.data.named.registry import SETS
from pointvae.data.named.release import open_release
from pointvae.data.prepare import prepare
from pointvae.errors import InputError
from tests.data.named.conftest import QUICK
from tests.data.named.releases import RELEASES, pack, unpack
from tests.data.named.server import Place, serving


@pytest.fixture
def archive(tmp_path):
    return pack(RELEASES["modelnet40"](), tmp_path / "own" / "ModelNet40.zip")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def row(name):
    return next(row for row in datasets()["datasets"] if row["name"] == name)


def test_a_published_checksum_is_checked_and_told(server, released, archive, cache, tmp_path):
    released("modelnet40", urls=(f"{server.url}/m.zip",), sha256=digest(archive))
    server.places["/m.zip"] = Place(archive.read_bytes())
    summary = prepare("modelnet40", tmp_path / "out", points=32)
    assert summary["origin"]["sha256"] == digest(archive)
    assert summary["origin"]["checksum"] == "as published"
    assert digest(cache / "archives" / "ModelNet40.zip") == digest(archive)
    card = (tmp_path / "out" / "README.md").read_text()
    for told in ("research only", "Wu et al.", digest(archive), "as published", "https://modelnet.cs.princeton.edu"):
        assert told in card
    assert str(tmp_path) not in card
    assert "localhost" not in card


def test_a_second_preparation_downloads_nothing(server, released, archive, tmp_path):
    released("modelnet40", urls=(f"{server.url}/m.zip",), sha256=digest(archive))
    server.places["/m.zip"] = Place(archive.read_bytes())
    prepare("modelnet40", tmp_path / "one", points=32)
    prepare("modelnet40", tmp_path / "two", points=16)
    assert len(server.log) == 1
    assert prepare("modelnet40", tmp_path / "one", points=32)["already_prepared"]


def test_an_unknown_checksum_is_recorded_at_the_first_download_and_said(server, released, archive, capsys, tmp_path):
    released("modelnet40", urls=(f"{server.url}/m.zip",), sha256=None)
    assert row("modelnet40")["checksum"] == "unknown"
    server.places["/m.zip"] = Place(archive.read_bytes())
    summary = prepare("modelnet40", tmp_path / "out", points=32, progress=True)
    assert "recorded when the archive was first seen" in summary["origin"]["checksum"]
    assert (row("modelnet40")["checksum"], row("modelnet40")["sha256"]) == ("recorded", digest(archive))
    said = capsys.readouterr().err
    assert "nobody has published the SHA-256" in said
    assert "research only" in said


def test_a_later_archive_that_differs_from_the_record_is_refused_with_both_values(
    server, released, archive, tmp_path
):
    named = released("modelnet40", urls=(f"{server.url}/m.zip",), sha256=None)
    server.places["/m.zip"] = Place(archive.read_bytes())
    path = acquire(named, patience=QUICK).path
    other = pack({**RELEASES["modelnet40"](), "ModelNet40/more.txt": b"1"}, tmp_path / "ModelNet40.zip")
    server.places["/m.zip"] = Place(other.read_bytes())
    path.unlink()
    for options in ({}, {"from_archive": other}):
        with pytest.raises(InputError) as caught:
            acquire(named, patience=QUICK, **options)
        assert digest(archive) in str(caught.value)
        assert digest(other) in str(caught.value)
        assert str(kept.record_path("ModelNet40.zip")) in str(caught.value)
    assert not path.exists()
    kept.record_path("ModelNet40.zip").unlink()
    assert acquire(named, patience=QUICK).sha256 == digest(other)


def test_a_given_archive_that_is_not_the_published_one_is_refused_with_both_values(released, archive):
    named = released("modelnet40", sha256="0" * 64)
    with pytest.raises(InputError) as caught:
        acquire(named, from_archive=archive)
    assert "0" * 64 in str(caught.value)
    assert digest(archive) in str(caught.value)
    assert "unpack it and give the folder" in str(caught.value)


def test_a_folder_is_taken_as_it_is_and_the_card_says_so(tmp_path):
    folder = unpack(RELEASES["modelnet40"](), tmp_path / "folder")
    summary = prepare("modelnet40", tmp_path / "out", points=32, from_archive=folder)
    assert summary["origin"]["sha256"] is None
    assert "an unpacked copy (not checked: it was given unpacked)" in (tmp_path / "out" / "README.md").read_text()


def test_the_md5_that_is_published_is_checked_and_the_sha256_recorded(released, tmp_path):
    path = pack(RELEASES["scanobjectnn_obj_bg"](), tmp_path / "h5_files.zip")
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    named = released("scanobjectnn_obj_bg", md5="0" * 32, bytes=None)
    with pytest.raises(InputError, match=f"its MD5 is {md5}, that published .* is {'0' * 32}"):
        acquire(named, from_archive=path)
    found = acquire(released("scanobjectnn_obj_bg", md5=md5, bytes=None), from_archive=path)
    assert (found.sha256, found.how) == (digest(path), "md5")


def test_one_archive_serves_all_the_sets_that_lie_in_it(server, released, cache, tmp_path):
    path = pack(RELEASES["scanobjectnn_obj_bg"](), tmp_path / "h5_files.zip")
    server.places["/h"] = Place(path.read_bytes())
    for variant in ("obj_bg", "obj_only", "pb_t50_rs"):
        released(f"scanobjectnn_{variant}", urls=(f"{server.url}/h",), md5=None, bytes=None)
        prepare(f"scanobjectnn_{variant}", tmp_path / variant)
    assert len(server.log) == 1


def test_a_kept_archive_that_was_changed_is_refused(server, released, archive, cache):
    named = released("modelnet40", urls=(f"{server.url}/m.zip",), sha256=digest(archive))
    server.places["/m.zip"] = Place(archive.read_bytes())
    path = acquire(named, patience=QUICK).path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"ModelNet40\.zip: its SHA-256 is .* remove it"):
        acquire(named, patience=QUICK)


@pytest.mark.parametrize("how", ["option", "environment"])
def test_offline_no_connection_is_opened_and_the_place_that_was_looked_in_is_told(
    how, server, released, archive, cache, monkeypatch
):
    named = released("modelnet40", urls=(f"{server.url}/m.zip",), sha256=digest(archive))
    server.places["/m.zip"] = Place(archive.read_bytes())
    if how == "environment":
        monkeypatch.setenv("POINTVAE_OFFLINE", "1")
    with pytest.raises(InputError) as caught:
        acquire(named, offline=how == "option")
    assert f"ModelNet40.zip is not in {cache / 'archives'}" in str(caught.value)
    assert "--from_archive" in str(caught.value)
    assert server.log == []
    (cache / "archives").mkdir(parents=True)
    (cache / "archives" / "ModelNet40.zip").write_bytes(archive.read_bytes())
    assert acquire(named, offline=how == "option").sha256 == digest(archive)


def test_the_password_of_a_mirror_is_used_and_told_to_nobody(server, released, archive, monkeypatch, cache):
    named = released("modelnet40", urls=(), sha256=digest(archive))
    monkeypatch.setenv("POINTVAE_MIRROR", server.url.replace("://", "://me:secret@"))
    with pytest.raises(InputError, match="answers HTTP 404") as caught:
        acquire(named, patience=QUICK)
    server.places["/ModelNet40.zip"] = Place(archive.read_bytes())
    acquire(named, patience=QUICK)
    kept_files = [path.read_text() for path in cache.rglob("*.json")]
    for text in (str(caught.value), json.dumps(datasets()), *kept_files):
        assert "secret" not in text
    assert server.log[-1].authorization == "Basic bWU6c2VjcmV0"


def test_a_download_that_is_another_file_is_told_with_both_values_and_its_mirror(server, released, archive):
    named = released("modelnet40", urls=(f"{server.url}/m.zip",), sha256="0" * 64)
    server.places["/m.zip"] = Place(archive.read_bytes())
    told = rf"m\.zip: sends a file whose SHA-256 is {digest(archive)}, that published for modelnet40 is {'0' * 64}\)"
    with pytest.raises(InputError, match=told):
        acquire(named, patience=QUICK)


def test_mirrors_of_ones_own_are_asked_first(server, released, archive, monkeypatch):
    named = released("modelnet40", urls=(f"{server.url}/official",), sha256=digest(archive))
    server.places["/official"] = server.places["/mine/ModelNet40.zip"] = Place(archive.read_bytes())
    monkeypatch.setenv("POINTVAE_MIRROR", f"{server.url}/gone/ {server.url}/mine")
    acquire(named, patience=QUICK)
    assert [log.path for log in server.log] == ["/gone/ModelNet40.zip", "/mine/ModelNet40.zip"]
    assert row("modelnet40")["mirrors"][1] == f"{server.url}/mine/ModelNet40.zip"


@pytest.mark.parametrize("name", ["shapenetcore_v1", "shapenetcore_v2"])
def test_a_gated_set_is_told_step_by_step_and_taken_from_what_its_owners_gave(name, tmp_path, cache):
    with pytest.raises(InputError) as caught:
        acquire(SETS[name])
    assert all(f"({step})" in str(caught.value) for step in (1, 2, 3, 4))
    assert "huggingface.co" in str(caught.value)
    assert f"pointvae prepare {name} DATASET --from_archive" in str(caught.value)
    path = pack(RELEASES[name](), tmp_path / "mine.zip")
    assert acquire(SETS[name], from_archive=path).how == "recorded"
    by_hand = pack(RELEASES[name](), cache / "archives" / SETS[name].archive.file)
    assert acquire(SETS[name]).path == by_hand


def test_pieces_of_a_gated_release_have_records_of_their_own(tmp_path):
    one = pack({"02691156/a/models/model_normalized.obj": b"1"}, tmp_path / "02691156.zip")
    two = pack({"03001627/a/models/model_normalized.obj": b"2"}, tmp_path / "03001627.zip")
    for path in (one, two):
        assert acquire(SETS["shapenetcore_v2"], from_archive=path).sha256 == digest(path)
    pack({"02691156/a/models/model_normalized.obj": b"another"}, one)
    with pytest.raises(InputError, match="seen here before"):
        acquire(SETS["shapenetcore_v2"], from_archive=one)


@pytest.mark.parametrize(
    ("content", "suffix", "told"),
    [
        (b"PK not really", ".zip", "is not a .zip archive, or is cut short"),
        (b"x", ".txt", "neither a folder nor a .zip or .tar archive; give ModelNet40.zip"),
        (None, ".zip", "no such file or folder"),
    ],
)
def test_what_is_no_archive_is_refused(content, suffix, told, released, tmp_path):
    path = tmp_path / f"ModelNet40{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=told):
        acquire(released("modelnet40", sha256=None), from_archive=path)


def test_an_archive_in_a_store_is_told_to_be_copied():
    with pytest.raises(InputError, match="must lie on this machine"):
        acquire(SETS["modelnet40"], from_archive="s3://bucket/ModelNet40.zip")


def test_a_page_of_a_gate_is_not_recorded(server, released, cache):
    named = released("modelnet40", urls=(f"{server.url}/m.zip",), sha256=None)
    server.places["/m.zip"] = Place(b"please log in, and then come back", kind="application/octet-stream")
    with pytest.raises(InputError, match=r"is not a \.zip archive"):
        acquire(named, patience=QUICK)
    assert not (cache / "records").exists()
    assert [path.name for path in (cache / "archives").iterdir()] == [".ModelNet40.zip.lock"]


def hostile(kind):
    """The bytes of an archive that means harm, and what is said of it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        if kind == "link":
            info = zipfile.ZipInfo("ModelNet40/bed/train/x.off")
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            packed.writestr(info, "/etc/hostname")
        elif kind == "bomb":
            packed.writestr("ModelNet40/bed/train/x.off", bytes(8 << 20))
            for number in range(200):  # 1.7 GB, all in the same few bytes
                info = copy.copy(packed.infolist()[0])
                info.filename = f"ModelNet40/bed/train/x{number}.off"
                packed.filelist.append(info)
        else:
            packed.writestr({"climbs": "../../evil.off", "absolute": "/tmp/evil.off"}[kind], b"1")
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("climbs", "outside"),
        ("absolute", "outside"),
        ("link", "is a link or a device"),
        ("bomb", "made to fill disks"),
    ],
)
@pytest.mark.parametrize("way", ["download", "given", "published"])
def test_a_hostile_archive_of_a_set_is_refused_and_neither_recorded_nor_unpacked(
    kind, said, way, server, released, cache, tmp_path
):
    """Also one that is the published one, should whoever published it mean harm."""
    path = tmp_path / "given" / "ModelNet40.zip"
    path.parent.mkdir()
    path.write_bytes(hostile(kind))
    released("modelnet40", urls=(f"{server.url}/m.zip",), sha256=digest(path) if way == "published" else None)
    server.places["/m.zip"] = Place(path.read_bytes())
    with pytest.raises(InputError, match=said):
        prepare("modelnet40", tmp_path / "out", from_archive=path if way == "given" else None)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("*.off"))
    if way != "published":
        assert not (cache / "records").exists()
        assert not (cache / "archives" / "ModelNet40.zip").exists()


def test_a_record_of_what_is_no_longer_published_is_not_trusted(released, archive):
    acquire(released("modelnet40", sha256=None), from_archive=archive)
    with pytest.raises(InputError, match="that published for modelnet40"):
        acquire(released("modelnet40", sha256="0" * 64), from_archive=archive)


def test_a_damaged_record_is_told(cache, archive, released):
    kept.record_path("ModelNet40.zip").parent.mkdir(parents=True)
    kept.record_path("ModelNet40.zip").write_text("{")
    with pytest.raises(InputError, match="remove it to record the checksum anew"):
        acquire(released("modelnet40", sha256=None), from_archive=archive)


def test_a_cache_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POINTVAE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match="set POINTVAE_CACHE"):
        acquire(SETS["modelnet40"])


def test_from_archive_without_a_named_set_is_refused(archive, tmp_path):
    for source in ("procedural", str(archive), "modlenet40"):
        with pytest.raises(InputError, match="--from_archive: goes with a named set"):
            prepare(source, tmp_path / "out", from_archive=archive)


def test_a_name_that_is_nearly_right_gets_the_right_one(tmp_path, capsys):
    assert run(VERBS, ["prepare", "modlenet40", str(tmp_path / "out")]) == 2
    assert "did you mean 'modelnet40'?" in capsys.readouterr().err


def test_of_two_that_want_one_file_the_second_waits_and_downloads_nothing(server, released, archive, capsys):
    """A lock of the file system's is between descriptors, so two threads stand for two processes."""
    named = released("modelnet40", urls=(f"{server.url}/m.zip",), sha256=digest(archive))
    server.places["/m.zip"] = Place(archive.read_bytes(), slow=0.1, part=archive.stat().st_size // 5)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(acquire, named, patience=QUICK)
        while not server.log:
            time.sleep(0.01)
        second = pool.submit(acquire, named, patience=QUICK, progress=True)
        assert first.result() == second.result()
    assert len(server.log) == 1
    assert "another process is downloading ModelNet40.zip: waiting for it" in capsys.readouterr().err


@pytest.mark.parametrize("given", [True, False])
def test_a_tar_is_unpacked_where_tmpdir_says_or_else_in_the_cache(given, tmp_path, cache, monkeypatch, scratch):
    if given:
        monkeypatch.setenv("TMPDIR", str(scratch))
    path = tmp_path / "ModelNet40.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        packed.add(unpack(RELEASES["modelnet40"](), tmp_path / "root"), "")
    with open_release(path, kept.scratch_room()) as release:
        member = release["ModelNet40/bed/train/bed_0001.off"].path
        assert member.is_relative_to(scratch if given else cache / "scratch")
    assert not member.exists()


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path, released, archive, monkeypatch):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    with serving(authority.issue_cert("localhost")) as server:
        server.places["/m.zip"] = Place(archive.read_bytes())
        named = released("modelnet40", urls=(f"{server.url}/m.zip",), sha256=None)
        with pytest.raises(InputError, match="its certificate cannot be verified"):
            acquire(named, patience=QUICK)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        assert acquire(named, patience=QUICK).sha256 == digest(archive)


def test_what_was_prepared_is_listed_for_as_long_as_it_is_there(released, archive, tmp_path, capsys):
    released("modelnet40", sha256=digest(archive))
    assert row("modelnet40")["prepared"] == []
    prepare("modelnet40", tmp_path / "out", points=32, from_archive=archive)
    assert row("modelnet40")["prepared"] == [str(tmp_path / "out")]
    assert run(VERBS, ["datasets"]) == 0
    said = capsys.readouterr()
    assert f"prepared: modelnet40 in {tmp_path / 'out'}" in said.err
    assert said.out == ""
    (tmp_path / "out" / "README.md").unlink()
    assert row("modelnet40")["prepared"] == []


def test_a_cache_that_cannot_be_written_does_not_stop_a_preparation(tmp_path, monkeypatch):
    folder = unpack(RELEASES["modelnet40"](), tmp_path / "folder")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POINTVAE_CACHE", str(tmp_path / "file" / "cache"))
    assert prepare("modelnet40", tmp_path / "out", points=32, from_archive=folder)["shapes"] == 10


def test_the_list_for_programs_tells_all_that_is_known(capsys):
    assert run(VERBS, ["datasets", "--json"]) == 0
    told = {row["name"]: row for row in json.loads(capsys.readouterr().out)["datasets"]}
    assert set(told) == {"procedural", *SETS}
    assert told["modelnet10"]["checksum"] == "published"
    assert told["modelnet40_normal_resampled"]["checksum"] == "unknown"
    assert told["scanobjectnn_pb_t25"]["checksum"] == "MD5 only"
    assert told["shapenetcore_v2"]["mirrors"] == []
    assert len(told["shapenetcore_v2"]["steps"]) == 4
    assert told["modelnet40"]["shapes"] == 12311
    for name, facts in told.items():
        assert facts["licence"]
        assert facts["up"] in ("y", "z"), name


def test_the_table_for_people_fits_a_terminal():
    command = [sys.executable, "-m", "pointvae.cli", "datasets"]
    environment = {**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    rows = [line.rstrip() for line in said.splitlines() if line.startswith("modelnet40_normal_resampled ")]
    assert rows == ["modelnet40_normal_resampled  12,311       40  research  unknown    to fetch"]


def test_the_page_tells_every_set_with_its_figures():
    page = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text(encoding="utf-8")
    for named in SETS.values():
        line = next(line for line in page.splitlines() if line.startswith(f"| `{named.name}` |"))
        for split, count in named.splits.items():
            assert f"{count:,} {split}" in line
        assert f"| {named.up} |" in line


@pytest.mark.parametrize("named", SETS.values(), ids=lambda named: named.name)
def test_every_set_says_what_a_user_must_know(named):
    assert named.licence
    assert named.citation
    assert named.homepage.startswith("https://")
    assert named.archive.urls or named.steps
    for url in named.archive.urls:
        assert url.startswith("https://") or named.archive.sha256, f"{url}: plain http without a checksum"
    for value, length in ((named.archive.sha256, 64), (named.archive.md5, 32)):
        assert value is None or (len(value) == length and set(value) <= set("0123456789abcdef"))
