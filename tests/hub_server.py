"""A small stand-in for the Hugging Face Hub's HTTP interface: repositories of files, broken on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c0ffee" + "0" * 34


class Hub:
    """What the server holds and how it behaves.

    Attributes:
        repos: files by path, of each repository by its id.
        fault: ``gated``, ``truncated``, ``broken`` (no JSON where JSON is due) or ``down`` (500); none when empty.
        asked: the paths that were asked for, in order.
        tokens: what clients gave as authorization.
    """

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.fault = ""
        self.asked: list[str] = []
        self.tokens: list[str | None] = []
        self.url = ""


@contextmanager
def serving() -> Iterator[Hub]:
    """A server on this machine for as long as the block lasts."""
    hub = Hub()

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: Hub

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._get(body=False)

    def do_GET(self) -> None:
        self._get(body=True)

    def _get(self, body: bool) -> None:
        self.state.asked.append(self.path)
        if self._refused():
            return
        info = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/?]+))?(?:\?.*)?", self.path)
        tree = re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/.*", self.path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/([^?]+)(?:\?.*)?", self.path)
        name, revision, path = file.groups() if file else (info or tree or [None] * 3)[1], "main", ""
        if info:
            revision = info[2] or "main"
        if file:
            name, revision, path = file.groups()
        files = self.state.repos.get(str(name))
        if files is None:
            self._json({"error": "Repository not found"}, 404, "RepoNotFound")
        elif revision not in ("main", COMMIT):
            self._json({"error": f"Invalid rev id: {revision}"}, 404, "RevisionNotFound")
        elif info:
            self._json({"id": name, "modelId": name, "sha": COMMIT, "siblings": [{"rfilename": f} for f in files]})
        elif tree:
            rows = [{"type": "file", "path": f, "size": len(b), "oid": _oid(b)} for f, b in files.items()]
            self._json(rows)
        elif path not in files:
            self._json({"error": "Entry not found"}, 404, "EntryNotFound")
        else:
            self._file(files[path], body)

    def do_POST(self) -> None:
        self.state.asked.append(self.path)
        self.state.tokens.append(self.headers.get("authorization"))
        data = self.rfile.read(int(self.headers["content-length"]))
        if self._refused():
            return
        if self.path == "/api/repos/create":
            asked = json.loads(data)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            if name in self.state.repos:
                self._json({"error": "You already created this model repo", "url": f"{self.state.url}/{name}"}, 409)
                return
            self.state.repos[name] = {}
            self.state.private[name] = "private" in (asked.get("visibility"), asked.get("private") and "private")
            self._json({"url": f"{self.state.url}/{name}", "name": name})
            return
        if self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
            return
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/([^/?]+)(?:\?.*)?", self.path)
        if match is None:
            self._json({"error": "no such address"}, 404)
        elif match[2] == "preupload":
            rows = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(data)["files"]
            ]
            self._json({"files": rows, "commitOid": COMMIT})
        else:
            for line in data.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    assert entry["value"]["encoding"] == "base64"
                    content = base64.b64decode(entry["value"]["content"])
                    self.state.repos[match[1]][entry["value"]["path"]] = content
            self._json({"commitUrl": f"{self.state.url}/{match[1]}/commit/{COMMIT}", "commitOid": COMMIT})

    def _refused(self) -> bool:
        fault = self.state.fault
        if fault == "gated":
            self._json({"error": "Access to this model is restricted"}, 403, "GatedRepo")
        elif fault == "down":
            self._json({"error": "internal"}, 500)
        elif fault == "broken" and self.path.startswith("/api/"):
            self._send(b"<html>not JSON</html>", {"content-type": "text/html"}, 200)
        else:
            return False
        return True

    def _file(self, content: bytes, body: bool) -> None:
        headers = {"x-repo-commit": COMMIT, "etag": f'"{_oid(content)}"', "content-length": str(len(content))}
        sent = content[: len(content) // 2] if self.state.fault == "truncated" else content
        self._send(sent if body else b"", headers, 200)

    def _json(self, value: Any, status: int = 200, code: str = "") -> None:
        headers = {"content-type": "application/json"}
        if code:
            headers |= {"x-error-code": code, "x-error-message": str(value["error"])}
        self._send(json.dumps(value).encode(), headers, status)

    def _send(self, content: bytes, headers: dict[str, str], status: int) -> None:
        self.send_response(status)
        for name, value in ({"content-length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _oid(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
