"""The environment of a WSGI application (PEP 3333), from what the parser found."""

import io
import socket
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from gunicorn import SERVER_SOFTWARE
from gunicorn.http.wsgi import WSGIErrorsWrapper
from gunicorn.util import split_request_uri

from authserver.hosting.wire import Incoming, NotARequest

Environ = dict[str, Any]

_VERSIONS: Final = {(1, 0): "HTTP/1.0", (1, 1): "HTTP/1.1"}

_PLAIN: Final = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}
_OFTEN: Final = (
    "accept", "accept-encoding", "accept-language", "authorization", "cache-control", "connection", "cookie", "dpop",
    "expect", "host", "if-none-match", "origin", "referer", "traceparent", "user-agent", "x-forwarded-for",
    "x-forwarded-proto", "x-request-id",
)  # fmt: skip
_KNOWN: Final = {
    **_PLAIN,
    **{name.encode("ascii"): f"HTTP_{name.upper().replace('-', '_')}" for name in _OFTEN},
}
"""Names that most requests have. It saves their conversion, a microsecond a request, and needs no bound."""


class CutShort(io.BytesIO):
    """A body that ends too early: whoever reads on to where it does gets nothing."""

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file.

        :raises OSError: there is not so much, or all of it was asked for.
        """
        return self._unless_short(super().read(size), size)

    def readline(self, size: int | None = -1, /) -> bytes:
        """As of any file.

        :raises OSError: there is no whole line.
        """
        found = super().readline(size)
        return found if found.endswith(b"\n") else self._unless_short(found, size)

    def _unless_short(self, found: bytes, size: int | None) -> bytes:
        if size is None or size < 0 or len(found) < size:
            raise OSError("the body ends too early")
        return found


def of_worker(config: Any) -> Environ:
    """What every request to a worker has in common. ``config`` is gunicorn's."""
    return {
        "wsgi.version": (1, 0),
        "wsgi.errors": WSGIErrorsWrapper(config),
        "wsgi.multithread": True,
        "wsgi.multiprocess": config.workers > 1,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.url_scheme": "https" if config.is_ssl else "http",
        "SERVER_SOFTWARE": SERVER_SOFTWARE,
        "SCRIPT_NAME": "",
    }


def of_connection(worker: Mapping[str, Any], connection: socket.socket, peer: object) -> Environ:
    """What every request on a connection has in common. ``peer`` is the other end, as ``accept`` has it."""
    name, port = _address(connection.getsockname())
    address, remote_port = _address(peer)
    ends = {"SERVER_NAME": name, "SERVER_PORT": port, "REMOTE_ADDR": address, "REMOTE_PORT": remote_port}
    return {**worker, **ends}


def _address(name: object) -> Sequence[str]:
    """Address and port; of a Unix socket only its path, if it has one."""
    return (str(name[0]), str(name[1])) if isinstance(name, tuple) else (str(name or ""), "")


def of_request(connection: Mapping[str, Any], incoming: Incoming, *, cut_short: bool) -> Environ:
    """The environment of one request.

    :raises NotARequest: its target is no URI.
    """
    parser = incoming.parser
    environ = {**connection, "wsgi.input": CutShort(incoming.body) if cut_short else io.BytesIO(incoming.body)}
    target = parser.path.decode("ascii")
    environ["RAW_URI"] = target
    environ["REQUEST_METHOD"] = parser.method.decode("ascii")
    environ["SERVER_PROTOCOL"] = _VERSIONS[parser.http_version]
    environ["PATH_INFO"], environ["QUERY_STRING"] = _split(target)
    for name, value in incoming.headers:
        key = variable(name)
        if key in environ:
            environ[key] += "," + value.decode("latin-1")
        elif key:
            environ[key] = value.decode("latin-1")
    return environ


def variable(name: bytes) -> str:
    """The variable of a header field, which is named in lower case; nothing for one with an underscore.

    WSGI cannot tell Client_Cert, which a proxy may pass on, from Client-Cert, which it removes.
    """
    if (known := _KNOWN.get(name)) is not None:
        return known
    return "" if b"_" in name else "HTTP_" + name.decode("ascii").upper().replace("-", "_")


def _split(target: str) -> tuple[str, str]:
    """Path, decoded, and query of a request target."""
    if target[0] == "/" and target[:2] != "//" and "#" not in target:  # nearly all; urlsplit takes five times as long
        path, _, query = target.partition("?")
    else:
        try:
            parts = split_request_uri(target)
        except ValueError:
            raise NotARequest(HTTPStatus.BAD_REQUEST) from None
        path, query = parts.path, parts.query
    return (unquote_to_bytes(path).decode("latin-1") if "%" in path else path), query
