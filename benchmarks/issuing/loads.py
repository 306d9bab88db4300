"""What is asked of servers: requests as they go over the wire, many of each kind, and whether an answer is right."""

import http.client
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from benchmarks.processes import LOOPBACK

SAMPLE: Final = 10
"""So many answers are looked at before each run, and as many after it."""


Keys = Mapping[str, Any]
"""A key set (RFC 7517 section 5)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wrong(Exception):
    """An answer is not what it ought to be."""


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """One kind of request to one server.

    ``make`` gives so many requests. Those of a load that is ``single_use`` are accepted once, so that there must be new
    ones for each run. ``check`` looks at an answer, with the key set that the server has at ``keys_path``, and raises
    :class:`Wrong` for one that is not right.
    """

    kind: str
    make: Callable[[int], Sequence[bytes]]
    check: Callable[[Answer, Keys], None]
    single_use: bool = False
    keys_path: str = "/.well-known/jwks.json"


def post(path: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> bytes:
    """A form, as it goes over the wire."""
    body = urlencode(form).encode("ascii")
    more = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body)), **(headers or {})}
    return _head("POST", path, more) + body


def get(path: str, headers: Mapping[str, str] | None = None) -> bytes:
    """A question for a document, as it goes over the wire."""
    return _head("GET", path, headers or {})


def always(request: bytes) -> Callable[[int], Sequence[bytes]]:
    """A request that is the same each time, as what makes requests."""
    return lambda _count: [request]


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: auth.example.com", "Accept: application/json"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode("ascii")


def ask(port: int, request: bytes) -> Answer:
    """Send one request on a connection of its own."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
    try:
        connection.connect()
        connection.sock.sendall(request)
        with http.client.HTTPResponse(connection.sock, method=request.partition(b" ")[0].decode("ascii")) as response:
            response.begin()
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, headers, response.read())
    finally:
        connection.close()


def sample(port: int, load: Load) -> None:
    """Ask for a few answers, and look at them.

    :raises Wrong: one of them is not right.
    """
    keys = json.loads(ask(port, get(load.keys_path)).body)
    for request in load.make(SAMPLE):
        load.check(ask(port, request), keys)


def unique() -> str:
    """An identifier that was never used."""
    return secrets.token_urlsafe(16)
