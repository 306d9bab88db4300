"""What the messages of ASGI say of a request, and how an answer is sent with them (ASGI 3, HTTP and WebSocket).

Imports no framework: :mod:`authserver.resource.asgi` and the adapters of frameworks that speak ASGI are built on this.
"""

import string
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from authserver.certificate import ClientCertificate, of_pem
from authserver.resource.adapter import FORM, LONGEST_FORM, has_token
from authserver.resource.address import ExternalAddress
from authserver.resource.certificates import CertificateFinder
from authserver.resource.challenge import Answer
from authserver.resource.credential import ApiRequest, OfferedProof

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_AS_SENT: Final = string.punctuation.replace("?", "").replace("#", "")
_IN_PATH: Final = "/:@!$&'()*+,;=~"  # RFC 3986 section 3.3
_DENIAL: Final = "websocket.http.response"
_HTTP_SCHEMES: Final = {"ws": "http", "wss": "https"}


def header_values(scope: Scope, name: bytes) -> tuple[str, ...]:
    """Every header with this name, which is in lower case as ASGI has it."""
    return tuple(value.decode("latin-1") for key, value in scope["headers"] if key == name)


def header_value(scope: Scope, name: bytes) -> str:
    """The first header with this name, or nothing."""
    return next(iter(header_values(scope, name)), "")


def route_path(scope: Scope) -> str:
    """The path that the application routes by: without the part below which a server has mounted it."""
    path: str = scope["path"]
    mount: str = scope.get("root_path", "")
    rest = path.removeprefix(mount)
    # Servers that are older than this rule leave the mount out of the path.
    return rest if path.startswith(mount) and rest[:1] in ("", "/") else path


def has_short_form(scope: Scope) -> bool:
    """Whether there is a form that could carry a second token, of a size to look at (RFC 6750 section 2.2)."""
    length = header_value(scope, b"content-length")
    return (
        scope["type"] == "http"
        and header_value(scope, b"content-type").partition(";")[0].strip().lower() == FORM
        and length.isdecimal()
        and 0 < int(length[:9]) <= LONGEST_FORM
    )


def api_request(scope: Scope, address: ExternalAddress, finder: CertificateFinder | None) -> ApiRequest:
    """What matters of a request, apart from its body."""
    query: bytes = scope.get("query_string", b"")
    return ApiRequest(
        authorization=header_values(scope, b"authorization"),
        token_in_query=bool(query) and has_token(query.decode("latin-1")),
        proof=offered_proof(scope, address),
        request_id=header_value(scope, b"x-request-id") or None,
        certificate=client_certificate(scope, finder),
    )


def offered_proof(scope: Scope, address: ExternalAddress) -> OfferedProof | None:
    """The proof that a request brings, if any.

    The handshake of a WebSocket is a GET (RFC 6455 section 4.1), to the address with the scheme of HTTP.
    """
    headers = header_values(scope, b"dpop")
    if not headers:
        return None
    scheme = scope.get("scheme", "http")
    own_origin = f"{_HTTP_SCHEMES.get(scheme, scheme)}://{header_value(scope, b'host')}"
    urls = address.of(_sent_path(scope), own_origin=own_origin, peer=_peer(scope))
    return OfferedProof(headers, scope.get("method", "GET"), urls)


def client_certificate(scope: Scope, finder: CertificateFinder | None) -> ClientCertificate | None:
    """The certificate of the caller, if one is looked for and there is one."""
    if finder is None:
        return None
    return finder.find(
        lambda: _of_connection(scope), lambda name: header_values(scope, name.encode("ascii")), _peer(scope)
    )


def _of_connection(scope: Scope) -> ClientCertificate | None:
    """What the server says of its TLS connection, by the TLS extension of ASGI; many servers do not have it."""
    tls = (scope.get("extensions") or {}).get("tls") or {}
    return None if tls.get("client_cert_error") else of_pem(*(tls.get("client_cert_chain") or ()))


def _peer(scope: Scope) -> str:
    peer, *_ = scope.get("client") or ("",)
    return str(peer)


def _sent_path(scope: Scope) -> str:
    """The path of a request as it was sent, in ASCII. Servers need not say it; then the path is encoded anew."""
    raw = scope.get("raw_path")
    if raw is None:
        return quote(scope["path"], safe=_IN_PATH)
    return quote(raw.partition(b"?")[0].decode("latin-1"), safe=_AS_SENT, encoding="latin-1")


async def read_form(receive: Receive) -> tuple[bytes, Receive]:
    """A short form, and what to receive from instead.

    Everything that was taken is given out once more, so whoever comes next reads as if nobody had.
    """
    taken: list[Message] = []
    body = b""
    while len(body) <= LONGEST_FORM:
        message = await receive()
        taken.append(message)
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body", False):
            break
    again = iter(taken)

    async def receive_again() -> Message:
        return next(again, None) or await receive()

    return body, receive_again


async def send_answer(answer: Answer, scope: Scope, send: Send) -> None:
    """Send an answer. It refuses a WebSocket before that is accepted; where a server cannot say why, with 403."""
    prefix = ""
    if scope["type"] == "websocket":
        if _DENIAL not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close"})
            return
        prefix = "websocket."
    headers = encoded((*answer.headers, ("Content-Length", str(len(answer.body)))))
    body = b"" if scope.get("method") == "HEAD" else answer.body
    await send({"type": f"{prefix}http.response.start", "status": answer.status, "headers": headers})
    await send({"type": f"{prefix}http.response.body", "body": body})


def encoded(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them."""
    return [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers]


def with_headers(message: Message, headers: Sequence[tuple[str, str]]) -> Message:
    """The first message of an answer, with these headers in the place of what it says under their names."""
    ours = encoded(headers)
    names = {name for name, _ in ours}
    kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in names]
    return {**message, "headers": [*kept, *ours]}
