"""A request, read from what a WSGI server says of it (PEP 3333): in one way for every host."""

import os
import re
from functools import cache
from typing import IO, Final
from wsgiref.types import WSGIEnvironment

from authserver.certificate import of_connection
from authserver.endpoints.http import MAX_BODY, Request, TrustedProxies

_REQUEST_ID_BYTES: Final = 16
_LENGTH: Final = re.compile(r"[0-9]{1,15}")


class EnvironHeaders:
    """The header fields of a request. Each is looked up when somebody asks: most of what callers send nobody reads.

    A server has joined the values of a field that was sent more than once.
    """

    __slots__ = ("_environ",)

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ

    def get(self, name: str, default: tuple[str, ...], /) -> tuple[str, ...]:
        """See :class:`authserver.endpoints.http.Headers`."""
        value = self._environ.get(_variable(name))
        return default if value is None else (value,)


def read_request(environ: WSGIEnvironment, body: bytes, proxies: TrustedProxies, client_id: str = "") -> Request:
    """The request. It has the identifier that a trusted proxy gave it, or else a new one."""
    peer = environ.get("REMOTE_ADDR") or ""
    offered = environ.get("HTTP_X_REQUEST_ID")
    return Request(
        method=environ["REQUEST_METHOD"].upper(),
        request_id=proxies.request_id(peer, offered) or os.urandom(_REQUEST_ID_BYTES).hex(),
        peer=peer,
        query=environ.get("QUERY_STRING", ""),
        headers=EnvironHeaders(environ),
        body=body,
        client_id=client_id,
        tls_certificate=of_connection(environ.get("gunicorn.socket")),
    )


def read_body(environ: WSGIEnvironment) -> bytes:
    """The body, or as much of it as shows that it is too long.

    Where neither a length nor the server says where it ends, there is none (PEP 3333, "Input and error streams").

    :raises OSError: the connection ended before the body did, or what is declared as its length is none.
    """
    length = _content_length(environ)
    if length is None and not environ.get("wsgi.input_terminated"):
        return b""
    wanted = MAX_BODY + 1 if length is None else min(length, MAX_BODY + 1)
    try:
        body = _read(environ["wsgi.input"], wanted)
    except Exception as error:  # each server has its own exceptions for a body that it cannot read
        raise OSError("the body cannot be read") from error
    if length is not None and len(body) < wanted:
        raise OSError("the body was cut short")
    return body


def _content_length(environ: WSGIEnvironment) -> int | None:
    """The length that is declared; a body in a transfer coding has none (RFC 9112 section 6.3)."""
    declared = environ.get("CONTENT_LENGTH", "")
    if not declared or "HTTP_TRANSFER_ENCODING" in environ:
        return None
    if _LENGTH.fullmatch(declared) is None:
        raise OSError("the length of the body is none")
    return int(declared)


def _read(stream: IO[bytes], size: int) -> bytes:
    chunks: list[bytes] = []
    while size > 0 and (chunk := stream.read(size)):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


@cache
def _variable(name: str) -> str:
    """The variable that a field is in. Only names that this program knows are ever asked for, so they are few."""
    variable = name.upper().replace("-", "_")
    return variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{variable}"
