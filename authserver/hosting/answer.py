"""From a WSGI application to the bytes of its answer."""

import time
from collections.abc import Callable, Iterable, Sequence
from email.utils import formatdate
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, NamedTuple

from gunicorn import SERVER
from gunicorn.http.wsgi import HEADER_VALUE_RE, STATUS_RE, TOKEN_RE
from gunicorn.util import hop_headers

from authserver.hosting.environ import Environ

Headers = Sequence[tuple[str, str]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
Application = Callable[[Environ, Any], Iterable[bytes]]

_WITHOUT_BODY: Final = frozenset({204, 304})


class Collected(NamedTuple):
    """All that an application has written. ``status`` is as PEP 3333 has it: the code and its phrase."""

    status: str
    headers: Headers
    body: bytes


def collected(application: Application, environ: Environ) -> Collected:
    """What an application answers, all of it, so that whoever reads slowly holds no thread.

    Whatever the application raises, this raises.
    """
    started = _Started()
    content = application(environ, started)
    try:
        body = b"".join(content)
    finally:
        if (close := getattr(content, "close", None)) is not None:
            close()
    return Collected(started.status, started.headers, bytes(started.written) + body if started.written else body)


class _Started:
    """``start_response`` of PEP 3333. Nothing has been sent, so an application may change its mind until its end."""

    __slots__ = ("headers", "status", "written")

    def __init__(self) -> None:
        self.status = ""
        self.headers: Headers = ()
        self.written = bytearray()

    def __call__(self, status: str, headers: Headers, exc_info: ExcInfo | None = None) -> Callable[[bytes], None]:
        if self.status and not exc_info:
            raise ValueError("start_response was called before")
        self.status, self.headers = status, headers
        return self.written.extend


def serialized(environ: Environ, answer: Collected, *, keep: bool) -> bytes:
    """An answer as it is sent. ``keep`` says whether the connection stays open.

    :raises ValueError: a status or a header field that would end up as another one, or as two (response splitting).
    :raises TypeError: something is not text.
    """
    code = _code(answer.status)
    bare = code in _WITHOUT_BODY or environ["REQUEST_METHOD"] == "HEAD"
    lines = [
        f"{environ['SERVER_PROTOCOL']} {answer.status}\r\nServer: {SERVER}\r\nDate: {_date(int(time.time()))}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n"
    ]
    for name, value in answer.headers:
        kind = _kind(name)
        if kind in hop_headers or (kind == "content-length" and (not bare or code == 204)):
            continue
        lines.append(f"{name}: {_checked(name, value)}\r\n")
    if not bare:
        lines.append(f"Content-Length: {len(answer.body)}\r\n")
    head = "".join(lines).encode("latin-1") + b"\r\n"
    return head if bare else head + answer.body


@lru_cache(maxsize=64)
def _code(status: str) -> int:
    """The code of a status, which has passed if there is one.

    :raises ValueError: it is no final status.
    """
    if not STATUS_RE.fullmatch(status) or status < "200":
        raise ValueError("not a status")
    return int(status[:3])


@lru_cache(maxsize=256)
def _kind(name: str) -> str:
    """The name of a header field in lower case, which has passed.

    :raises ValueError: it is no name.
    """
    if not TOKEN_RE.fullmatch(name):
        raise ValueError(f"not the name of a header field: {name!r}")
    return name.lower()


def _checked(name: str, value: str) -> str:
    """The value of a header field.

    :raises ValueError: it is none. The text does not say what it was.
    """
    # Printable ASCII, as nearly all are, is told four times as fast as by the expression.
    if not (value.isascii() and value.isprintable()) and not HEADER_VALUE_RE.fullmatch(value):
        raise ValueError(f"not the value of a header field: {name}")
    return value.strip(" \t")


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
