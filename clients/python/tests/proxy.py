"""A proxy before a real server that fails when a test says so, and remembers the requests."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Trouble:
    """What happens to one request, instead of the usual."""

    #: Answer with this status, instead of the server's answer.
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    #: Whether the server gets the request. Without a status, its answer is lost then.
    forwards: bool = False
    #: Pass on this many lines of the answer, and break off.
    lines: int | None = None


class Proxy:
    """Passes requests on to `url`, but for those that get a trouble."""

    def __init__(self, url: str) -> None:
        self.seen: list[Seen] = []
        self._troubles: list[Trouble | None] = []
        self._lock = threading.Lock()
        target = urlsplit(url)
        self._host, self._port = target.hostname, target.port
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy._handle(self)

            do_POST = do_GET
            do_PATCH = do_GET
            do_DELETE = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                """Keeps quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.change: Callable[[bytes], bytes] | None = None

    def fails(self, *troubles: Trouble | None) -> None:
        """Gives the next requests these troubles, in order. None is no trouble."""
        with self._lock:
            self._troubles.extend(troubles)

    def close(self) -> None:
        """Ends the proxy."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._lock:
            self.seen.append(Seen(request.command, request.path, headers, body))
            trouble = self._troubles.pop(0) if self._troubles else None
        if trouble is None:
            self._pass_on(request, body, None)
            return
        if trouble.lines is not None:
            self._pass_on(request, body, trouble.lines)
            return
        if trouble.forwards:
            upstream, answer = self._ask(request, body)
            answer.read()
            upstream.close()
        if trouble.status is None:
            request.close_connection = True
            return
        request.send_response(trouble.status)
        for name, value in {"Content-Type": "application/json", **trouble.headers}.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(trouble.body)))
        request.end_headers()
        request.wfile.write(trouble.body)

    def _ask(
        self, request: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        assert self._host is not None
        upstream = http.client.HTTPConnection(self._host, self._port, timeout=30)
        skipped = ("host", "connection", "accept-encoding")
        sent = {
            name: value for name, value in request.headers.items() if name.lower() not in skipped
        }
        upstream.request(request.command, request.path, body or None, sent)
        return upstream, upstream.getresponse()

    def _pass_on(self, request: BaseHTTPRequestHandler, body: bytes, lines: int | None) -> None:
        try:
            upstream, answer = self._ask(request, body)
        except OSError:
            # The server is away, so the client gets no answer.
            request.close_connection = True
            return
        request.send_response(answer.status)
        request.send_header("Content-Type", answer.headers.get("Content-Type", ""))
        streams = answer.headers.get("Content-Length") is None
        try:
            if streams:
                request.send_header("Connection", "close")
                request.end_headers()
                left = lines if lines is not None else -1
                while left != 0 and (line := answer.readline()):
                    request.wfile.write(line)
                    request.wfile.flush()
                    left -= 1
                request.close_connection = True
                return
            content = answer.read()
            if self.change is not None:
                content = self.change(content)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)
        except (OSError, http.client.HTTPException):
            # The client or the server has gone.
            request.close_connection = True
        finally:
            upstream.close()
