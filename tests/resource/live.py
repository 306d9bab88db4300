"""A Flask application behind a real HTTP server on loopback, and a client that sends headers as they are given."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server


@dataclass(frozen=True)
class Received:
    status: int
    headers: Message
    body: bytes


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing: request lines are none of the tests' output."""


@contextmanager
def serving(app: Flask) -> Iterator[int]:
    """The port on which the application is served."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(port: int, target: str, *headers: tuple[str, str]) -> Received:
    """GET with exactly these headers, repeated ones included."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.putrequest("GET", target)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return Received(answer.status, answer.headers, answer.read())
