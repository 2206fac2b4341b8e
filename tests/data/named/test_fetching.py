"""Downloads from a server that misbehaves: each ends in the right file or in one clear line, and in nothing else."""

import hashlib
import os
import re
import threading
import time
import zipfile

import numpy as np
import pytest

from pointvae.data.named import fetching
from pointvae.data.named.fetching import fetch
from pointvae.data.named.sets import Archive
from pointvae.data.named.transfer import Patience
from pointvae.errors import InputError
from tests.data.named.conftest import HASTY, QUICK
from tests.data.named.server import Place

BODY = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
OTHER = BODY[::-1]


def check(path):
    """As for a published checksum."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        raise InputError(f"its SHA-256 is {found}, not {SHA256}")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "archives"
    path.mkdir()
    return path


def get(server, folder, *paths, patience=QUICK, sha256=SHA256, size=None):
    urls = tuple(path if "://" in path else server.url + path for path in paths)
    archive = Archive("set.zip", urls, sha256=sha256, bytes=size)
    return fetch(archive, urls, folder / "set.zip", check, patience=patience)


def refused(server, folder, *paths, **options):
    with pytest.raises(InputError) as caught:
        get(server, folder, *paths, **options)
    assert not (folder / "set.zip").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def whole(folder):
    assert (folder / "set.zip").read_bytes() == BODY
    return [path.name for path in folder.iterdir()] == ["set.zip"]


def test_a_file_comes_whole_and_nothing_else_is_left(server, folder):
    server.places["/a"] = Place(BODY)
    assert get(server, folder, "/a") == f"{server.url}/a"
    assert whole(folder)


def test_a_server_that_answers_slowly_is_waited_for(server, folder):
    server.places["/a"] = Place(BODY, slow=0.02, stall=0.2)
    get(server, folder, "/a")
    assert whole(folder)


def test_after_a_cut_only_the_rest_is_sent(server, folder):
    server.places["/a"] = Place(BODY, cut=[200_000, 50_000, None])
    get(server, folder, "/a")
    assert whole(folder)
    assert [log.range for log in server.log] == [None, "bytes=200000-", "bytes=250000-"]
    assert [log.sent for log in server.log] == [200_000, 50_000, 50_000]
    assert server.log[1].if_range == '"one"'


def test_after_a_reset_what_had_arrived_is_kept_but_for_a_block(server, folder):
    server.places["/a"] = Place(BODY, cut=[200_000, None], reset=True)
    get(server, folder, "/a")
    assert whole(folder)
    assert server.log[1].sent < 100_000 + (1 << 16) + 1


def test_a_later_process_goes_on_where_the_last_one_ended(server, folder):
    server.places["/a"] = Place(BODY, cut=[100_000] + [0] * 2)
    said = refused(server, folder, "/a")
    assert "ended after 100,000 of 300,000 bytes" in said
    assert "3 times; what came is kept" in said
    get(server, folder, "/a")
    assert whole(folder)
    assert server.log[-1].range == "bytes=100000-"
    assert server.log[-1].sent == 200_000


def test_a_download_that_came_whole_before_its_process_ended_is_not_sent_again(server, folder):
    server.places["/a"] = Place(BODY, cut=[299_999, 1])
    (folder / ".set.zip.part").write_bytes(BODY)
    (folder / ".set.zip.part.json").write_text(f'{{"url": "{server.url}/a", "mark": "\\"one\\""}}')
    get(server, folder, "/a")
    assert whole(folder)
    assert [(log.status, log.sent) for log in server.log] == [(416, 0)]


def test_progress_earns_new_tries(server, folder, monkeypatch):
    monkeypatch.setattr(fetching, "GAIN", 10_000)
    server.places["/a"] = Place(BODY, cut=[20_000] * 14)
    get(server, folder, "/a")
    assert whole(folder)
    assert len(server.log) == 15


@pytest.mark.parametrize("etag", ['W/"weak"', None])
def test_without_a_version_that_can_be_named_the_download_starts_anew(server, folder, etag):
    server.places["/a"] = Place(BODY, etag=etag, cut=[200_000, None])
    get(server, folder, "/a")
    assert whole(folder)
    assert [log.range for log in server.log] == [None, None]


def test_the_time_of_the_last_change_names_a_version_too(server, folder):
    changed = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.places["/a"] = Place(BODY, etag=None, cut=[200_000, None], headers={"Last-Modified": changed})
    get(server, folder, "/a")
    assert server.log[1].if_range == changed
    assert whole(folder)


def test_a_server_that_does_not_know_ranges_sends_all_of_it_again(server, folder):
    server.places["/a"] = Place(BODY, ranges=False, cut=[200_000, None])
    get(server, folder, "/a")
    assert whole(folder)
    assert [log.status for log in server.log] == [200, 200]


def test_a_file_that_changed_between_two_attempts_is_not_spliced(server, folder):
    server.places["/a"] = Place(OTHER, cut=[200_000, None], after=(BODY, '"two"'))
    get(server, folder, "/a")
    assert whole(folder)
    assert server.log[-1].status == 200


@pytest.mark.parametrize("etag", ['"two"', '"one"'])
def test_a_server_that_goes_on_with_another_part_or_version_is_not_believed(server, folder, etag):
    server.places["/a"] = Place(BODY, cut=[200_000])
    server.places["/b"] = Place(BODY)
    honest = server._answer

    def lie(request, log):
        if len(server.log) == 2:
            log.status = 206
            request.send_response(206)
            start = 200_000 if etag == '"two"' else 100_000
            request.send_header("Content-Range", f"bytes {start}-299999/300000")
            request.send_header("Content-Length", str(300_000 - start))
            request.send_header("ETag", etag)
            request.end_headers()
            request.wfile.write(OTHER[start:])
        else:
            honest(request, log)

    server._answer = lie
    get(server, folder, "/a")
    assert whole(folder)
    assert [log.range for log in server.log] == [None, "bytes=200000-", None]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Place(BODY, status=[404]), "answers HTTP 404"),
        (Place(BODY, status=[403]), r"asks who you are \(HTTP 403\)"),
        (Place(BODY, status=[500, 503, 502]), "answers HTTP 502, 3 times"),
        (Place(b"<html>log in</html>", kind="text/html; charset=utf-8"), "sends a web page, not the archive"),
        (Place(b" \n<!DOCTYPE html><p>log in"), "sends a web page, not the archive"),
        (Place(OTHER), "its SHA-256 is"),
        (Place(BODY[:-1]), "its SHA-256 is"),
        (Place(BODY, length=400_000, ranges=False), "ended after 300,000 of 400,000 bytes, 3 times"),
        (Place(BODY, length=200_000), "its SHA-256 is"),
        (Place(to="/loop"), "points elsewhere more than 3 times"),
        (Place(BODY, headers={"Content-Encoding": "gzip"}), "packs the archive once more"),
        (Place(BODY, cut=[0, 0, 0]), "ended after 0 of 300,000 bytes, 3 times"),
    ],
)
def test_a_mirror_that_fails_is_told_and_the_next_one_is_asked(server, folder, place, said):
    place.status *= 2
    place.cut *= 2
    server.places["/loop"] = place
    server.places["/b"] = Place(BODY)
    message = refused(server, folder, "/loop")
    assert re.search(said, message)
    assert "--from_archive" in message
    assert "POINTVAE_MIRROR" in message
    assert get(server, folder, "/loop", "/b") == f"{server.url}/b"
    assert whole(folder)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Place(BODY, stall=0.6), "no answer within 0.4 s, 3 times"),
        (Place(BODY, slow=0.6), "sent nothing for 0.4 s, after"),
    ],
)
def test_a_mirror_that_falls_silent_is_not_waited_for_longer_than_told(server, folder, place, said):
    server.places["/a"] = place
    assert said in refused(server, folder, "/a", patience=HASTY)


def test_a_wrong_file_is_not_gone_on_from(server, folder):
    server.places["/a"] = Place(OTHER)
    refused(server, folder, "/a")
    assert list(folder.iterdir()) == []
    server.places["/a"] = Place(BODY)
    get(server, folder, "/a")
    assert whole(folder)


def test_every_mirror_that_failed_is_named_in_order(server, folder):
    server.places["/b"] = Place(OTHER)
    said = refused(server, folder, "/absent", "/b", "http://localhost:9/c")
    assert (
        said.index("/absent: answers HTTP 404") < said.index("/b: its SHA-256") < said.index("/c: cannot be reached")
    )


def test_a_server_that_promised_more_than_there_is_gives_the_right_file_all_the_same(server, folder):
    server.places["/a"] = Place(BODY, length=400_000)
    get(server, folder, "/a")
    assert whole(folder)


def test_what_one_mirror_sent_is_kept_while_another_one_fails(server, folder):
    server.places["/a"] = Place(BODY, cut=[200_000, 0, 0])
    refused(server, folder, "/absent", "/a")
    get(server, folder, "/absent", "/a")
    assert server.log[-1].sent == 100_000
    assert whole(folder)


def test_a_length_that_is_known_is_asked_before_anything_is_sent(server, folder):
    server.places["/a"] = Place(BODY)
    assert "offers 300,000 bytes, the release has 300,001" in refused(server, folder, "/a", size=300_001)
    get(server, folder, "/a", size=300_000)


def test_no_length_at_all_is_no_fault(server, folder):
    server.places["/a"] = Place(BODY, length=-1)
    get(server, folder, "/a")
    assert whole(folder)


def test_a_full_disk_is_told_before_anything_is_sent_and_no_other_mirror_is_asked(server, folder, monkeypatch):
    server.places["/a"] = server.places["/b"] = Place(BODY)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    said = refused(server, folder, "/a", "/b")
    assert "0.0 GB are free" in said
    assert "POINTVAE_CACHE" in said
    assert len(server.log) == 1


def test_plain_http_is_asked_only_for_what_a_checksum_guards(server, folder):
    far = f"http://127.1:{server.httpd.server_address[1]}/a"
    assert "plain http, and no checksum is known" in refused(server, folder, far, sha256=None)
    assert server.log == []
    server.places["/a"] = Place(to=f"http://127.1:{server.httpd.server_address[1]}/b")
    server.places["/b"] = Place(BODY)
    assert "leads to plain http" in refused(server, folder, "/a", sha256=None)


def test_an_answer_that_asks_to_wait_is_obeyed(server, folder):
    server.places["/a"] = Place(BODY, status=[503], headers={"Retry-After": "1"})
    began = time.perf_counter()
    get(server, folder, "/a")
    assert time.perf_counter() - began > 0.9


def test_an_address_that_is_none_is_told(server, folder):
    assert "cannot be asked" in refused(server, folder, "htp://nowhere/a")


def test_a_file_appears_under_its_name_only_when_it_is_whole(server, folder):
    server.places["/a"] = Place(BODY, slow=0.01)
    seen = []
    thread = threading.Thread(target=get, args=(server, folder, "/a"))
    thread.start()
    while thread.is_alive():
        if (folder / "set.zip").exists():
            seen.append((folder / "set.zip").stat().st_size)
        time.sleep(0.002)
    thread.join()
    assert set(seen) <= {len(BODY)}


def test_the_defaults_are_patient():
    assert Patience().tries >= 5
    assert Patience().read >= 30


def test_a_proxy_of_the_environment_is_used(server, folder, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    server.places["http://far.example/a"] = Place(BODY)
    get(server, folder, "http://far.example/a")
    assert whole(folder)
    assert os.environ["http_proxy"] == server.url
    assert zipfile.is_zipfile(folder / "set.zip") is False
