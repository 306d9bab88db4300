"""JSON from another server: the one doorway that fetches.

A URL from a discovery document is as untrusted as the document, so the address is judged where the
connection is made: the name is resolved once, every address is judged, and exactly a judged one is connected
to (R96). Redirects, cookies, proxies and content codings do not exist here, and one limit in bytes and one in
seconds hold for the whole answer, however it is dripped (:mod:`authserver.jose.connection`).
"""

import contextlib
import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

from authserver._version import __version__
from authserver.errors import Reason, Unavailable
from authserver.jose.addresses import Address, Location, is_link_local, is_loopback, is_public, parse_address
from authserver.jose.compact import json_object
from authserver.jose.connection import Deadline, TooMuch, Wire, connect, secure
from authserver.jose.headers import date, max_age

MAX_BYTES: Final = 256 * 1024
"""The longest answer that is read, header section included, in bytes."""

DEADLINE: Final = 5.0
"""Seconds that one fetch may take, from the connection's start to the answer's last byte."""

_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 section 2.1, b64token

Resolver = Callable[[str], Sequence[str]]
"""Finds the numeric addresses of a host name; raises :class:`OSError` when there are none."""


class Cause(StrEnum):
    """Why keys could not be fetched. Closed, so that it may label a metric."""

    URL_REFUSED = "url_refused"
    NAME_UNRESOLVED = "name_unresolved"
    ADDRESS_REFUSED = "address_refused"
    CONNECTION_FAILED = "connection_failed"
    TLS_FAILED = "tls_failed"
    TIMED_OUT = "timed_out"
    CREDENTIAL_UNREADABLE = "credential_unreadable"
    FILE_UNREADABLE = "file_unreadable"
    REDIRECTED = "redirected"
    STATUS_WRONG = "status_wrong"
    ENCODED = "encoded"
    TOO_LARGE = "too_large"
    ANSWER_MALFORMED = "answer_malformed"
    ISSUER_MISMATCH = "issuer_mismatch"
    NO_USABLE_KEY = "no_usable_key"
    INTERNAL_ERROR = "internal_error"


def unreachable(cause: Cause, *, host: str = "", status: int | None = None) -> Unavailable:
    """The error for a fetch that came to nothing."""
    return Unavailable(Reason.ISSUER_UNREACHABLE, cause=cause.value, host=host, status=status)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to fetch, and with what.

    With ``ca_file`` only that certificate authority is trusted. ``bearer_token_file`` is read for each fetch,
    because platforms replace it. ``discovered`` is true for a host that another host named: it must be public.
    """

    url: str
    ca_file: Path | None = None
    bearer_token_file: Path | None = None
    discovered: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """A JSON object and what HTTP said about it.

    ``max_age`` is in seconds: what is left of the answer's freshness (RFC 9111 section 4.2), None when it says
    nothing. ``date`` is the server's clock at the time of the answer, in seconds since the epoch, None when it did not
    say; what a cache answers counts too, by the age that it gives (RFC 9111 section 4.2.3).
    """

    document: Mapping[str, Any]
    max_age: int | None = None
    date: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came. ``media_type`` is in lower case and without parameters."""

    status: int
    media_type: str
    body: bytes = field(repr=False)


ReadT = TypeVar("ReadT")
_Read = Callable[[http.client.HTTPResponse, int], ReadT]
"""Reads an answer of so many bytes at most."""


@dataclass(frozen=True, slots=True)
class _Message:
    """What is asked: how, and with which header fields and content."""

    method: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


def resolve(host: str) -> Sequence[str]:
    """Ask the system for the addresses of ``host``. The system's resolver keeps time limits of its own."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class Fetcher:
    """Fetches JSON objects. Holds no connection and no state, so threads and forks may share it."""

    def __init__(
        self,
        *,
        insecure_allow_http: bool = False,
        deadline: float = DEADLINE,
        max_bytes: int = MAX_BYTES,
        resolver: Resolver = resolve,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``insecure_allow_http`` allows ``http``, to loopback only. ``clock`` must never be set back."""
        self._insecure_allow_http = insecure_allow_http
        self._seconds = deadline
        self._max_bytes = max_bytes
        self._resolve = resolver
        self._clock = clock

    def get_json(self, endpoint: Endpoint) -> Fetched:
        """GET ``endpoint`` and read its 200 answer as one JSON object.

        :raises Unavailable: ``issuer_unreachable``, with a :class:`Cause` among its facts.
        """
        return self._fetch(endpoint, lambda: _Message("GET", _credential(endpoint)), _json)

    def post_form(self, endpoint: Endpoint, form: Mapping[str, str], bearer_token: str) -> Fetched:
        """POST ``form`` with a bearer token, and read the 200 answer as one JSON object.

        :raises Unavailable: ``issuer_unreachable``, with a :class:`Cause` among its facts, and the ``status``.
        """
        content = urlencode(form).encode("ascii")

        def make() -> _Message:
            return _Message("POST", {**_FORM, **_authorization(bearer_token)}, content)

        return self._fetch(endpoint, make, _json)

    def post_headers(self, endpoint: Endpoint, headers: Mapping[str, str]) -> Answer:
        """POST header fields and no content, and read the answer as it is, whatever its status; redirects are none.

        :raises Unavailable: ``issuer_unreachable``, with a :class:`Cause` among its facts.
        """
        return self._fetch(endpoint, lambda: _Message("POST", headers), _as_it_is)

    def _fetch(self, endpoint: Endpoint, make: Callable[[], _Message], read: _Read[ReadT]) -> ReadT:
        try:
            location = Location.of(endpoint.url)
        except ValueError:
            raise unreachable(Cause.URL_REFUSED) from None
        try:
            with _causes():
                return self._send(location, endpoint, make(), read)
        except _Failed as failed:
            raise unreachable(failed.cause, host=location.host, status=failed.status) from failed

    def _send(self, location: Location, endpoint: Endpoint, message: _Message, read: _Read[ReadT]) -> ReadT:
        context = _trust(endpoint.ca_file) if location.scheme == "https" else None
        addresses = self._judged(location, endpoint.discovered)
        deadline = Deadline(self._seconds, self._clock)
        with contextlib.ExitStack() as sockets:
            sock = sockets.enter_context(connect(addresses, location.port, deadline))
            if context is not None:
                sock = sockets.enter_context(secure(sock, location.host, context, deadline))
            return read(_answer(Wire(sock, deadline, self._max_bytes), location, message), self._max_bytes)

    def _judged(self, location: Location, discovered: bool) -> Sequence[str]:
        literal = parse_address(location.host)
        addresses = [literal] if literal else self._resolved(location.host)
        allowed = all(
            (is_public(address) if discovered else literal is not None or not is_link_local(address))
            and (location.scheme == "https" or (self._insecure_allow_http and is_loopback(address)))
            for address in addresses
        )
        if not allowed:
            raise _Failed(Cause.ADDRESS_REFUSED)
        return [str(address) for address in addresses]

    def _resolved(self, host: str) -> Sequence[Address]:
        try:
            spelled = [text.partition("%")[0] for text in self._resolve(host)]
        except (OSError, UnicodeError) as error:
            raise _Failed(Cause.NAME_UNRESOLVED) from error
        addresses = [address for text in dict.fromkeys(spelled) if (address := parse_address(text))]
        if not addresses:
            raise _Failed(Cause.NAME_UNRESOLVED)
        return addresses


def _answer(wire: Wire, location: Location, message: _Message) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(location.host, location.port)
    connection.sock = wire
    fields = {**_OURS, "Host": location.authority, **message.headers}
    connection.request(message.method, location.target, message.body or None, fields)
    answer = connection.getresponse()
    if 300 <= answer.status < 400:
        raise _Failed(Cause.REDIRECTED, status=answer.status)
    return answer


def _json(answer: http.client.HTTPResponse, max_bytes: int) -> Fetched:
    if answer.status != http.HTTPStatus.OK:
        raise _Failed(Cause.STATUS_WRONG, status=answer.status)
    document = json_object(_content(answer, max_bytes))
    return Fetched(document, max_age(answer.headers), date(answer.headers))


def _as_it_is(answer: http.client.HTTPResponse, max_bytes: int) -> Answer:
    return Answer(answer.status, answer.headers.get_content_type(), _content(answer, max_bytes))


def _content(answer: http.client.HTTPResponse, max_bytes: int) -> bytes:
    if any(coding.strip().lower() != "identity" for coding in answer.headers.get_all("Content-Encoding", ())):
        raise _Failed(Cause.ENCODED)
    # Never read() without a size: it allocates as many bytes as the server announces.
    return answer.read(max_bytes)


class _Failed(Exception):
    def __init__(self, cause: Cause, *, status: int | None = None) -> None:
        super().__init__(cause.value)
        self.cause = cause
        self.status = status


@contextlib.contextmanager
def _causes() -> Iterator[None]:
    """Turn what the libraries raise into a cause. The order is from the special to the general."""
    try:
        yield
    except TimeoutError as error:
        raise _Failed(Cause.TIMED_OUT) from error
    except ssl.SSLError as error:
        raise _Failed(Cause.TLS_FAILED) from error
    except OSError as error:
        raise _Failed(Cause.CONNECTION_FAILED) from error
    except TooMuch as error:
        raise _Failed(Cause.TOO_LARGE) from error
    except (http.client.HTTPException, ValueError) as error:
        raise _Failed(Cause.ANSWER_MALFORMED) from error


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)  # with a file, the system's authorities are left out
    except OSError as error:
        raise _Failed(Cause.CREDENTIAL_UNREADABLE) from error


_OURS: Final = {
    "Accept": "application/json, application/jwk-set+json",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": f"authserver/{__version__}",
}
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


def _credential(endpoint: Endpoint) -> dict[str, str]:
    if endpoint.bearer_token_file is None:
        return {}
    try:
        token = endpoint.bearer_token_file.read_text("ascii").strip()
    except (OSError, ValueError):
        raise _Failed(Cause.CREDENTIAL_UNREADABLE) from None
    return _authorization(token)


def _authorization(bearer_token: str) -> dict[str, str]:
    if _BEARER.fullmatch(bearer_token) is None:
        raise _Failed(Cause.CREDENTIAL_UNREADABLE)
    return {"Authorization": f"Bearer {bearer_token}"}
