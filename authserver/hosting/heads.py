"""The head of a request, from what granian says of it (an ASGI scope) to the environment of a WSGI application.

granian sees to it that it is HTTP. What gunicorn refuses beyond that is refused here.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from authserver.hosting.environ import Environ, of_worker, variable
from authserver.hosting.wire import NotARequest

_VERSIONS: Final = {"1": "HTTP/1.0", "1.1": "HTTP/1.1"}
_ONCE: Final = frozenset({"CONTENT_TYPE", "HTTP_HOST"})
"""Fields that mean nothing when there are two of them (RFC 9110 section 5.3). granian sees to Content-Length."""

_AROUND_A_TARGET: Final = len("  HTTP/1.1")
_AROUND_A_VALUE: Final = len(": \r\n")


class Heads:
    """Reads heads, within the limits that gunicorn's ``config`` has."""

    def __init__(self, config: Any) -> None:
        self._common = of_worker(config)
        self._line: int = config.limit_request_line
        self._fields: int = config.limit_request_fields
        self._field_size: int = config.limit_request_field_size

    def read(self, scope: Mapping[str, Any]) -> Environ:
        """The environment of a request, but for its body.

        :raises NotARequest: it is too long, can be read in two ways, or expects what is not done here.
        """
        method, path, query = scope["method"], scope["raw_path"], scope["query_string"]
        if len(method) + len(path) + bool(query) + len(query) + _AROUND_A_TARGET > self._line:
            raise NotARequest(HTTPStatus.REQUEST_URI_TOO_LONG)
        if len(scope["headers"]) > self._fields:
            raise NotARequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if not (path.startswith(b"/") and path.isascii() and query.isascii() and method == method.upper()):
            raise NotARequest(HTTPStatus.BAD_REQUEST)
        environ = {
            **self._common,
            "REQUEST_METHOD": method,
            "PATH_INFO": (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
            "QUERY_STRING": query.decode("ascii"),
            "SERVER_PROTOCOL": _VERSIONS[scope["http_version"]],
        }
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = scope["client"]
        environ["SERVER_NAME"], environ["SERVER_PORT"] = scope["server"]
        self._add_fields(environ, scope["headers"])
        return _clear(environ)

    def _add_fields(self, environ: Environ, fields: Iterable[tuple[bytes, bytes]]) -> None:
        for name, value in fields:
            if len(name) + len(value) + _AROUND_A_VALUE > self._field_size:
                raise NotARequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            key = variable(name)
            if key not in environ:
                environ[key] = value.decode("latin-1")
            elif key in _ONCE:
                raise NotARequest(HTTPStatus.BAD_REQUEST)
            elif key:
                environ[key] += "," + value.decode("latin-1")
        environ.pop("", None)


def _clear(environ: Environ) -> Environ:
    """The environment, if it can be read in one way only.

    :raises NotARequest: it cannot.
    """
    if environ.get("HTTP_TRANSFER_ENCODING", "chunked").lower() != "chunked":
        raise NotARequest(HTTPStatus.NOT_IMPLEMENTED)
    if environ.get("HTTP_EXPECT", "100-continue").lower() != "100-continue":
        raise NotARequest(HTTPStatus.EXPECTATION_FAILED)
    if not environ["HTTP_HOST"]:  # granian says so of a request without the field
        del environ["HTTP_HOST"]
    return environ


def has_body(environ: Environ) -> bool:
    """Whether there is more of a request than its head."""
    return "HTTP_TRANSFER_ENCODING" in environ or environ.get("CONTENT_LENGTH", "0") != "0"
