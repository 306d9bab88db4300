"""``GET /metrics`` on an address of its own, served by one worker for all of them.

Every worker tries, once a second, to become the one that serves. When that worker ends or is killed, the kernel closes
its socket and opens its lock, and the next to try takes its place.
"""

import contextlib
import logging
import os
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, Protocol

from prometheus_client import CONTENT_TYPE_LATEST

PATH: Final = "/metrics"

_PATIENCE: Final = 5.0
"""Seconds that a connection may be silent."""

DEADLINE: Final = 10.0
"""Seconds that a connection may last, however much it says."""

CONNECTIONS: Final = 8
"""How many connections there may be at the same time. One more is closed at once."""

_log = logging.getLogger("authserver")


class Turn(Protocol):
    """Who may try to serve."""

    def acquire(self) -> bool:
        """Whether it is this process."""
        ...  # a protocol has no body

    def release(self) -> None:
        """Let another process try."""
        ...  # a protocol has no body


class Exporter:
    """Serves what ``render`` returns at ``bind``, while it is this process's turn. ``turn`` is None without others.

    ``timer`` gives seconds since whenever.
    """

    def __init__(
        self,
        bind: str,
        render: Callable[[], bytes],
        turn: Turn | None = None,
        *,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        host, _, port = bind.rpartition(":")
        self._bind = (host.strip("[]"), int(port))
        self._render = render
        self._turn = turn
        self._timer = timer
        self._server: _Server | None = None
        self._pid: int | None = None
        self._told = False

    @property
    def address(self) -> tuple[str, int] | None:
        """Where this process serves at the moment."""
        if self._server is None:
            return None
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def ensure_serving(self) -> None:
        """Serve from now on if it is this process's turn and the address is free. Tokens never depend on it."""
        if self._server is not None and self._pid != os.getpid():
            self._server.server_close()  # a socket inherited from a parent, which goes on serving
            self._server = None
        if self._server is not None or (self._turn is not None and not self._turn.acquire()):
            return
        try:
            self._server, self._pid = _Server(self._bind, self._render, self._timer), os.getpid()
        except OSError as error:
            if not self._told:
                _log.error("metrics are not served: their address cannot be used", extra={"cause": error.strerror})
            self._told = True
            return
        self._told = False
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop serving here."""
        if self._server is not None and self._pid == os.getpid():
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        if self._turn is not None:
            self._turn.release()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True  # or a successor waits for connections of the one before to time out
    daemon_threads = True
    block_on_close = False

    def __init__(self, bind: tuple[str, int], render: Callable[[], bytes], timer: Callable[[], float]) -> None:
        self.address_family = socket.AF_INET6 if ":" in bind[0] else socket.AF_INET
        self.render = render
        self._timer = timer
        self._since: dict[socket.socket, float] = {}
        super().__init__(bind, _Handler)

    def process_request(self, request: Any, client_address: object) -> None:
        if len(self._since) >= CONNECTIONS:
            self.shutdown_request(request)
            return
        self._since[request] = self._timer()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """End what has lasted too long; the thread that serves it then finds it closed. Called twice a second."""
        now = self._timer()
        for request, since in self._since.copy().items():
            if now - since > DEADLINE:
                with contextlib.suppress(OSError):  # it has just ended by itself
                    request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        self._since.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, *_: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # whoever asked is gone
            _log.warning("a request for metrics failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _PATIENCE
    server_version = "authserver"
    sys_version = ""
    error_message_format = "%(code)d\n"
    error_content_type = "text/plain"

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(404)
            return
        body = self.server.render()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Scrapes are not worth a line each."""
