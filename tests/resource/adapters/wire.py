"""Requests and answers as they are on the wire, given to an application as its server would (PEP 3333, ASGI 3)."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

OUTSIDE: Final = "203.0.113.7"
"""Another machine."""

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Call:
    """One request. ``mount`` is the part of the path below which a server has mounted the application."""

    method: str = "GET"
    target: str = "/images"
    headers: Headers = ()
    body: bytes = b""
    peer: str = OUTSIDE
    mount: str = ""

    @property
    def path(self) -> str:
        return self.mount + self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class Got:
    """One answer. Its headers are in the order in which they were sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Application = Callable[[Call], Got]


def over_wsgi(app: Callable[..., Any]) -> Application:
    """Ask a WSGI application. Repeated headers are joined, as servers do."""

    def ask(call: Call) -> Got:
        started: list[tuple[str, list[tuple[str, str]]]] = []
        answered = app(_environ(call), lambda status, headers, _=None: started.append((status, headers)))
        try:
            body = b"".join(answered)
        finally:
            getattr(answered, "close", lambda: None)()
        ((status, headers),) = started
        return Got(int(status.split(" ")[0]), tuple(headers), body)

    return ask


def _environ(call: Call) -> dict[str, Any]:
    def decoded(text: str) -> str:
        return unquote_to_bytes(text).decode("latin-1")

    environ: dict[str, Any] = {
        "REQUEST_METHOD": call.method,
        "SCRIPT_NAME": decoded(call.mount),
        "PATH_INFO": decoded(call.path.removeprefix(call.mount)),
        "RAW_URI": call.mount + call.target,
        "QUERY_STRING": call.query,
        "SERVER_NAME": "images.example.com",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": call.peer,
        "HTTP_HOST": "images.example.com",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(call.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if call.body:
        environ["CONTENT_LENGTH"] = str(len(call.body))
    for name, value in call.headers:
        key = name.upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        single = key in ("HTTP_HOST", "CONTENT_TYPE")
        environ[key] = f"{environ[key]},{value}" if key in environ and not single else value
    return environ


@dataclass(frozen=True)
class over_asgi:  # noqa: N801 - it stands beside over_wsgi
    """Ask an ASGI application, each time in a loop of its own."""

    app: Callable[..., Awaitable[None]]

    def __call__(self, call: Call) -> Got:
        return asyncio.run(ask_asgi(self.app, call))


async def ask_asgi(app: Callable[..., Awaitable[None]], call: Call) -> Got:
    """Ask an ASGI application in this loop. What it raises after or before its answer is a 500, as servers have it."""
    messages = [{"type": "http.request", "body": call.body, "more_body": False}]
    sent: list[dict[str, Any]] = []
    finished = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await finished.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    try:
        await app(http_scope(call), receive, send)
    except KeyError:  # what the views of the contract raise by mistake
        if not sent:
            return Got(500, (), b"")
    finally:
        finished.set()
    start, *bodies = sent
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"])
    return Got(start["status"], headers, b"".join(message.get("body", b"") for message in bodies))


def http_scope(call: Call) -> dict[str, Any]:
    """The scope of a request (ASGI HTTP connection scope). ``path`` begins with ``root_path``, as in ASGI 3."""
    headers = [(b"host", b"images.example.com")] if not any(name == "Host" for name, _ in call.headers) else []
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in call.headers]
    if call.body:
        headers.append((b"content-length", str(len(call.body)).encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": call.method,
        "scheme": "https",
        "path": unquote_to_bytes(call.path).decode("utf-8", "replace"),
        "raw_path": call.path.encode("ascii"),
        "root_path": unquote_to_bytes(call.mount).decode(),
        "query_string": call.query.encode("ascii"),
        "headers": headers,
        "client": (call.peer, 50000),
        "server": ("images.example.com", 443),
        "extensions": {},
    }
