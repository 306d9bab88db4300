"""HTTP for callers: the one doorway to a server.

It is urllib3's connection without its pool, so there are no retries, redirects or cookies. One limit in seconds and one
in bytes hold for the whole exchange, however it is dripped (:mod:`authserver.jose.connection`). Whom TLS trusts the
system says, or ``SSL_CERT_FILE``; which proxy leads out, ``HTTPS_PROXY`` (:mod:`authserver.client.proxy`).
"""

import contextlib
import http.client
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import mktime_tz, parsedate_tz
from typing import Any, Final

import urllib3
from urllib3.connection import HTTPConnection

from authserver._version import __version__
from authserver.client.certificate_files import CertificateFiles
from authserver.client.failures import AnswerUnusable, NoAnswer
from authserver.client.proxy import Proxy, find_proxy
from authserver.jose.addresses import Location, is_link_local, is_loopback, parse_address
from authserver.jose.compact import json_object
from authserver.jose.connection import Deadline, TooMuch, Wire, connect, secure
from authserver.jose.fetch import Resolver, resolve

MAX_BYTES: Final = 256 * 1024
"""The longest answer that is read, header section included, in bytes."""

DEADLINE: Final = 15.0
"""Seconds that one exchange may take, from the connection's start to the answer's last byte."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``headers`` is indifferent to case. The body may hold a token."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False, default=b"")

    @property
    def json(self) -> Mapping[str, Any]:
        """The body as one JSON object.

        :raises AnswerUnusable: it is not one.
        """
        try:
            return json_object(self.body)
        except ValueError:
            raise AnswerUnusable(f"the answer with HTTP status {self.status} is not a JSON object") from None

    @property
    def date(self) -> float | None:
        """The server's clock, in seconds since the epoch; None where it did not say.

        What a cache answers counts too, by the age that it gives (RFC 9111 section 4.2.3).
        """
        date = _moment(self.headers.get("Date", ""))
        return None if date is None else date + (_seconds(self.headers.get("Age", "")) or 0)

    @property
    def retry_after(self) -> int | None:
        """When to come back, in seconds (RFC 9110 section 10.2.3); None where the server did not say so.

        A date is one of the server's clock, so it says nothing without ``Date``.
        """
        said = self.headers.get("Retry-After", "")
        then, now = _moment(said), self.date
        return _seconds(said) if then is None or now is None else max(0, int(then - now))


class Http:
    """Sends requests. Holds no connection and no state, so threads and forks may share it."""

    def __init__(
        self,
        *,
        deadline: float = DEADLINE,
        max_bytes: int = MAX_BYTES,
        trust: ssl.SSLContext | None = None,
        resolver: Resolver = resolve,
        clock: Callable[[], float] = time.monotonic,
        link_local: bool = False,
    ) -> None:
        """``trust`` is the system's unless given, and then what is shown of this program is set in it, too.

        ``clock`` must never be set back; ``deadline`` is in seconds.

        ``link_local`` lets plain http go to link-local addresses as well, where clouds keep their metadata services.
        """
        self._seconds = deadline
        self._max_bytes = max_bytes
        self._trust = trust
        self._resolve = resolver
        self._clock = clock
        self._link_local = link_local

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        certificate: CertificateFiles | None = None,
    ) -> Answer:
        """Send one request to an ``https`` address; ``http`` goes to loopback addresses only.

        ``certificate`` is shown to the server where it asks for one.

        :raises NoAnswer: there was none in time.
        :raises AnswerUnusable: the address is none to send to, or the answer is not HTTP, or too long.
        :raises IdentityUnusable: the certificate cannot be shown.
        """
        try:
            location = Location.of(url)
        except ValueError:
            raise AnswerUnusable("not an address that requests are sent to") from None
        proxy = find_proxy(location)
        with _explained(location, proxy), contextlib.ExitStack() as sockets:
            connection = HTTPConnection(location.host, location.port)
            connection.sock = self._connected(location, proxy, sockets, certificate)
            fields = {**_OURS, "Host": location.authority, **(headers or {})}
            connection.request(method, location.target, body, fields, preload_content=False, decode_content=False)
            return self._read(connection.getresponse())

    def _connected(
        self,
        location: Location,
        proxy: Proxy | None,
        sockets: contextlib.ExitStack,
        certificate: CertificateFiles | None,
    ) -> "_BoundedSocket":
        if certificate is not None and location.scheme != "https":
            raise AnswerUnusable(f"{location.authority} is not asked over TLS, which is how a certificate is shown")
        addresses = self._addresses(location) if proxy is None else self._resolve(proxy.host)
        deadline = Deadline(self._seconds, self._clock)
        sock = sockets.enter_context(connect(addresses, location.port if proxy is None else proxy.port, deadline))
        if proxy is not None:
            proxy.tunnel(sock, location, deadline)
        if location.scheme == "https":
            trust = self._trust or ssl.create_default_context()
            if certificate is not None:
                certificate.load_into(trust)
            sock = sockets.enter_context(secure(sock, location.host, trust, deadline))
        return _BoundedSocket(sock, deadline, self._max_bytes)

    def _addresses(self, location: Location) -> list[str]:
        if parse_address(location.host):
            addresses = [location.host]
        else:
            addresses = [text.partition("%")[0] for text in self._resolve(location.host)]
        if location.scheme == "http" and not all(map(self._is_near, addresses)):
            near = "loopback and link-local addresses" if self._link_local else "loopback addresses"
            raise AnswerUnusable(f"{location.authority} is not asked without TLS; http is for {near}")
        return addresses

    def _is_near(self, text: str) -> bool:
        address = parse_address(text)
        return address is not None and (is_loopback(address) or (self._link_local and is_link_local(address)))

    def _read(self, response: urllib3.BaseHTTPResponse) -> Answer:
        coding = response.headers.get("Content-Encoding", "identity")
        if coding.strip().lower() != "identity":
            raise AnswerUnusable("the answer is encoded, which nobody asked for")
        # Never read() without a size: it allocates as many bytes as the server announces. And read to the end, which
        # is where urllib3 finds out whether something is missing.
        pieces = iter(lambda: response.read(self._max_bytes), b"")
        return Answer(response.status, response.headers, b"".join(pieces))


_OURS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": f"authserver/{__version__}",
}


class _BoundedSocket(Wire):
    """What urllib3 needs of a socket beyond what the standard library does."""

    def settimeout(self, _seconds: float | None) -> None:
        """Do nothing: the deadline is kept for each single operation."""


@contextlib.contextmanager
def _explained(location: Location, proxy: Proxy | None) -> Iterator[None]:
    """Turn what the libraries raise into words. The order is from the special to the general."""
    where = location.authority if proxy is None else f"{location.authority} (through the proxy {proxy})"
    try:
        yield
    except TimeoutError as error:
        raise NoAnswer(f"{where} did not answer in time") from error
    except ssl.SSLError as error:
        raise NoAnswer(f"no trusted connection to {where}: {error.reason or 'TLS failed'}") from error
    except (http.client.RemoteDisconnected, urllib3.exceptions.HTTPError) as error:
        raise NoAnswer(f"{where} broke off its answer") from error
    except OSError as error:
        raise NoAnswer(f"{where} cannot be reached: {error.strerror or 'no connection'}") from error
    except TooMuch as error:
        raise AnswerUnusable(f"the answer of {where} is too long") from error
    except (http.client.HTTPException, ValueError) as error:
        raise AnswerUnusable(f"what {where} answers is not HTTP") from error


def _moment(text: str) -> int | None:
    """An HTTP date in seconds since the epoch; None if it is none."""
    parsed = parsedate_tz(text)
    try:
        return mktime_tz(parsed) if parsed else None
    except (ValueError, OverflowError):
        return None


def _seconds(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
