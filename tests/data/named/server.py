"""A local HTTP server that misbehaves as it is told, and counts what it sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Place:
    """What stands at one path, and how it is handed out.

    Attributes:
        body: the bytes.
        etag: the version's name; None sends none.
        ranges: whether ``Range`` is honoured.
        cut: after how many bytes of each answer the connection ends, a list is used up answer by answer.
        reset: whether such an end is a reset, not a close.
        slow: seconds between the parts that it sends.
        part: bytes of each part.
        stall: seconds of silence after the headers.
        length: what Content-Length claims; None for the truth, -1 for no such header.
        status: the answer's status, a list is used up answer by answer.
        kind: the Content-Type.
        to: where it redirects.
        after: bytes and etag that replace the present ones after the first answer.
        headers: further headers.
    """

    body: bytes = b""
    etag: str | None = '"one"'
    ranges: bool = True
    cut: list[int | None] = field(default_factory=list)
    reset: bool = False
    slow: float = 0.0
    part: int = 1 << 14
    stall: float = 0.0
    length: int | None = None
    status: list[int] = field(default_factory=list)
    kind: str = "application/zip"
    to: str | None = None
    after: tuple[bytes, str] | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Log:
    """One request: its path, its Range, and how many bytes of body went out."""

    path: str
    range: str | None
    if_range: str | None
    authorization: str | None = None
    sent: int = 0
    status: int = 0


class Server:
    """Serves ``places`` by their paths; ``log`` has every request."""

    def __init__(self, certificate: Any = None) -> None:
        self.places: dict[str, Place] = {}
        self.log: list[Log] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                log = Log(
                    self.path,
                    self.headers.get("Range"),
                    self.headers.get("If-Range"),
                    self.headers.get("Authorization"),
                )
                outer.log.append(log)
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    outer._answer(self, log)
                self.close_connection = True

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.httpd.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            self.httpd.socket = context.wrap_socket(self.httpd.socket, server_side=True)
            self.scheme = "https"
        self.url = f"{self.scheme}://localhost:{self.httpd.server_address[1]}"

    def _answer(self, request: BaseHTTPRequestHandler, log: Log) -> None:
        place = self.places.get(request.path)
        if place is None:
            place = Place(b"<html>no such page</html>", kind="text/html", status=[404], etag=None)
        status = place.status.pop(0) if place.status else 302 if place.to else 200
        body, etag = place.body, place.etag
        start = 0
        wanted = log.range and place.ranges and log.if_range in (None, etag)
        if status == 200 and wanted:
            start = int(str(log.range).removeprefix("bytes=").split("-")[0])
            status = 206 if start < len(body) else 416
        log.status = status
        if place.stall:
            time.sleep(place.stall)
        rest = body[start:] if status != 416 else b""
        request.send_response(status)
        request.send_header("Content-Type", place.kind)
        if place.to:
            request.send_header("Location", place.to)
        if etag:
            request.send_header("ETag", etag)
        if status == 206:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if status == 416:
            request.send_header("Content-Range", f"bytes */{len(body)}")
        for name, value in place.headers.items():
            request.send_header(name, value)
        if place.length != -1:
            request.send_header("Content-Length", str(len(rest) if place.length is None else place.length - start))
        request.send_header("Connection", "close")
        request.end_headers()
        if place.after is not None and len(self.log) == 1:
            place.body, place.etag = place.after
        cut = place.cut.pop(0) if place.cut else None
        for at in range(0, len(rest), place.part):
            block = rest[at : at + place.part]
            if cut is not None and at + len(block) > cut:
                block = block[: cut - at]
            request.wfile.write(block)
            request.wfile.flush()
            log.sent += len(block)
            if cut is not None and at + place.part >= cut:
                if place.reset:
                    time.sleep(0.05)  # so that what was sent arrives before the connection ends
                    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    request.connection.close()
                return
            if place.slow:
                time.sleep(place.slow)


@contextlib.contextmanager
def serving(certificate: Any = None) -> Iterator[Server]:
    """A server for as long as the block lasts."""
    server = Server(certificate)
    thread = threading.Thread(target=server.httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.httpd.shutdown()
        server.httpd.server_close()
        thread.join()
