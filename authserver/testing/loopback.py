"""A small HTTP server on 127.0.0.1 that serves pages and forms from functions, and can be told to misbehave."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Page:
    """What one address answers."""

    media_type: str
    body: bytes
    status: HTTPStatus = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Form:
    """What was posted: where, with which ``Authorization`` header, and what."""

    path: str
    authorization: str = field(repr=False)
    body: bytes = field(repr=False)


class Loopback:
    """Listens from :meth:`start` to :meth:`stop` on a port that the system picks.

    ``pages`` answers GET by path and ``forms`` answers POST; None is answered with 404. While ``silent``, connections
    are closed without an answer; while ``gate`` is cleared, requests wait for it.
    """

    def __init__(
        self, pages: Callable[[str], Page | None], forms: Callable[[Form], Page | None] = lambda _: None
    ) -> None:
        self.pages = pages
        self.forms = forms
        self.requests: list[str] = []
        self.silent = False
        self.gate = threading.Event()
        self.gate.set()
        self._server: _Server | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port.

        :raises RuntimeError: it is not listening.
        """
        if self._server is None:
            raise RuntimeError("it listens only inside a with statement")
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Serve in a daemon thread."""
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Stop serving, and let waiting requests go. Stopping twice is harmless."""
        server, self._server = self._server, None
        if server is not None:
            self.gate.set()
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, loopback: Loopback) -> None:
        self.loopback = loopback
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news in a test."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(lambda: self.server.loopback.pages(self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        form = Form(self.path, self.headers.get("Authorization", ""), body)
        self._answer(lambda: self.server.loopback.forms(form))

    def _answer(self, find: Callable[[], Page | None]) -> None:
        loopback = self.server.loopback
        loopback.requests.append(self.path)
        loopback.gate.wait()
        if loopback.silent:
            return
        page = find()
        if page is None:
            self.send_error(404)
            return
        self.send_response(page.status)
        self.send_header("Content-Type", page.media_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.end_headers()
        self.wfile.write(page.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""
