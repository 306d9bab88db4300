"""The way out of a network that only a proxy leads out of: ``HTTPS_PROXY`` and ``NO_PROXY``, as everybody sets them.

The proxy is asked for a tunnel (``CONNECT``, RFC 9110 section 9.3.6) and sees the name of the server, not what is said.
The settings of a desktop are not looked at: on macOS to ask for them is not safe after a fork.
"""

import base64
import socket
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPResponse
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from authserver.client.failures import CallFailed, NoAnswer
from authserver.jose.addresses import Location, is_loopback, parse_address
from authserver.jose.connection import Deadline, Wire

MAX_HEAD: Final = 32 * 1024
"""The longest answer of a proxy that is read, in bytes."""

_USUAL_PORT: Final = 80  # of the scheme http; most proxies are somewhere else, and say so


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that is spoken to in the clear. ``credentials`` are for basic authentication, or None."""

    host: str
    port: int
    credentials: str | None = field(repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def tunnel(self, sock: socket.socket, location: Location, deadline: Deadline) -> None:
        """Have the proxy at the other end of ``sock`` connect it with ``location``.

        :raises NoAnswer: it does not want to.
        :raises OSError: it does not answer.
        """
        host = f"[{location.host}]" if ":" in location.host else location.host
        target = f"{host}:{location.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self.credentials is not None:
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(self.credentials.encode()).decode()}")
        wire = Wire(sock, deadline, MAX_HEAD)
        wire.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        answer = HTTPResponse(wire, method="CONNECT")  # type: ignore[arg-type]
        answer.begin()
        if answer.status != HTTPStatus.OK:
            raise NoAnswer(f"the proxy {self} does not lead to {target}: HTTP status {answer.status}")


def find_proxy(location: Location) -> Proxy | None:
    """The proxy that the environment names for ``location``; None for none, and always for this machine itself.

    :raises CallFailed: it names one that cannot be used.
    """
    named = getproxies_environment().get("https")
    if not named or location.scheme != "https" or _is_here(location.host):
        return None
    if proxy_bypass(location.authority):  # where there is a variable, this looks at variables alone
        return None
    try:
        return _parsed(named)
    except ValueError:
        raise CallFailed("HTTPS_PROXY must name a proxy as http://host:port; no other kind is supported") from None


def _is_here(host: str) -> bool:
    address = parse_address(host)
    return host == "localhost" or (address is not None and is_loopback(address))


def _parsed(named: str) -> Proxy:
    """:raises ValueError: it is no proxy of a kind that can be used."""
    parts = urlsplit(named if "://" in named else f"http://{named}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("not a proxy")
    credentials = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(parts.hostname, parts.port or _USUAL_PORT, credentials)
