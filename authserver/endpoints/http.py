"""An HTTP request and an HTTP response as plain values, and the address of who is asking."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from authserver.certificate import CLIENT_CERT, CLIENT_CERT_CHAIN, ClientCertificate, of_headers
from authserver.errors import CredentialRejected, Reason, RequestMalformed

MAX_BODY: Final = 64 * 1024
"""The longest body that is read, in bytes. A host hands on at most one byte more, so that excess is noticed."""

CLIENT_ID: Final = "<client_id>"
"""The last segment of a route's path where that names a device."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")

_REMEMBERED_ADDRESSES: Final = 4096
_LONGEST_REMEMBERED: Final = 64
"""Characters. An address with a zone may be spelled at any length."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Headers(Protocol):
    """The header fields of a request. A dictionary is one."""

    def get(self, name: str, default: tuple[str, ...], /) -> tuple[str, ...]:
        """Every value of the field of this name, in order; ``default`` without any. ``name`` is in lower case."""
        ...  # a protocol has no body


NO_HEADERS: Final[Headers] = MappingProxyType[str, tuple[str, ...]]({})


class Request(NamedTuple):
    """What arrived. ``peer`` is the address of the other end of the connection, ``query`` what follows the ``?``.

    ``tls_certificate`` is what the other end showed on a TLS connection to this server itself.
    ``client_id`` is the last segment of the path, where the route has :data:`CLIENT_ID` there. Nobody has verified it.
    """

    method: str
    request_id: str
    peer: str
    query: str = ""
    headers: Headers = NO_HEADERS
    body: bytes = b""
    client_id: str = ""
    tls_certificate: ClientCertificate | None = None

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.request_id!r}, {self.peer!r})"  # neither tokens nor passwords

    def header(self, name: str) -> str | None:
        """The value of a header that may appear once.

        :raises RequestMalformed: ``header_repeated``.
        """
        values = self.header_values(name)
        if len(values) > 1:
            raise RequestMalformed(Reason.HEADER_REPEATED, header=name)
        return values[0] if values else None

    def header_values(self, name: str) -> tuple[str, ...]:
        """Every value of a header, in order. ``name`` is in lower case."""
        return self.headers.get(name, ())


class Response(NamedTuple):
    """What is sent back."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Response({self.status}, {self.headers!r})"  # a body may be a token


Endpoint = Callable[[Request], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint and where it is mounted. ``path`` is absolute on the host, the issuer's own path included.

    Its last segment may be :data:`CLIENT_ID`, which any one is that is not empty.
    """

    path: str
    method: str
    endpoint: Endpoint


class TrustedProxies:
    """Networks whose word on the other end of a connection is believed."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = tuple(networks)
        # Reading an address costs as much as reading a form, and the same callers come again and again.
        self._remembered = lru_cache(maxsize=_REMEMBERED_ADDRESSES)(self._read)

    def client_address(self, request: Request) -> str:
        """The address to count failures by: the rightmost hop that is not a trusted proxy; an IPv6 one by its /64."""
        end = self._end(request.peer)
        if end is None:
            return "unknown"
        if not end.is_trusted:
            return end.counted
        hops = [hop for value in request.header_values("x-forwarded-for") for hop in value.split(",")]
        while hops and end.is_trusted:
            hop = self._end(hops.pop())
            if hop is None:
                break
            end = hop
        return end.counted

    def request_id(self, peer: str, offered: str | None) -> str | None:
        """The request identifier that a trusted proxy gave, or None. ``peer`` is the other end of the connection."""
        if offered is None or _REQUEST_ID.fullmatch(offered) is None:
            return None
        return offered if self._trusts(peer) else None

    def client_certificate(self, request: Request) -> ClientCertificate | None:
        """The certificate of the caller: a trusted proxy says which (RFC 9440), and for anybody else the connection.

        What a trusted proxy has shown of itself is never its callers'.

        :raises CredentialRejected: ``certificate_malformed``, what the proxy says is not as the RFC has it.
        """
        if not self._trusts(request.peer):
            return request.tls_certificate
        try:
            return of_headers(request.header_values(CLIENT_CERT), request.header_values(CLIENT_CERT_CHAIN))
        except ValueError:
            raise CredentialRejected(Reason.CERTIFICATE_MALFORMED) from None

    def refuse_plain_http(self, request: Request) -> None:
        """Refuse what a trusted proxy says came to it without TLS (RFC 6749 section 3.2).

        :raises RequestMalformed: ``plain_http``.
        """
        if not self._trusts(request.peer):
            return
        schemes = [value.strip().lower() for value in request.header_values("x-forwarded-proto")]
        if any(scheme.split(",")[-1].strip() == "http" for scheme in schemes):
            raise RequestMalformed(Reason.PLAIN_HTTP)

    def _trusts(self, peer: str) -> bool:
        end = self._end(peer)
        return end is not None and end.is_trusted

    def _end(self, text: str) -> "_End | None":
        return self._remembered(text) if len(text) <= _LONGEST_REMEMBERED else self._read(text)

    def _read(self, text: str) -> "_End | None":
        address = _address(text)
        if address is None:
            return None
        return _End(_counted(address), any(address in network for network in self._networks))


class _End(NamedTuple):
    """One end of a connection, as it is counted, and whether it is a proxy of ours."""

    counted: str
    is_trusted: bool


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _counted(address: Address) -> str:
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
