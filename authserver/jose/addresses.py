"""Where a connection would go: URLs taken apart, and which addresses may be connected to.

The lists are written out, because what ``ipaddress`` calls global changes between Python releases. Their
source are the IANA special-purpose address registries (RFC 6890), as of 2026.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Self
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*spelled: str) -> tuple[Network, ...]:
    return tuple(ip_network(network) for network in spelled)


_LOOPBACK: Final = _networks("127.0.0.0/8", "::1/128")

# Cloud metadata services live here. AWS, Google and Oracle have given theirs unique local addresses as well.
_LINK_LOCAL: Final = _networks(
    "169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128"
)

_NOT_PUBLIC: Final = _networks(
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",  # shared address space, RFC 6598
    "127.0.0.0/8",
    "168.63.129.16/32",  # Azure's host services: a public number that never leaves the host
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and the broadcast address
    "2001::/23",  # IETF protocol assignments
    "2001:db8::/32",
    "3fff::/20",  # documentation, RFC 9637
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")  # RFC 4291 section 2.4: nothing else has been given out
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1


_HOST = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:.]{2,45}")
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Location:
    """A URL taken apart. ``host`` is in lower case and without brackets."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Take an ``http`` or ``https`` URL apart.

        :raises ValueError: another scheme, user information, a fragment, or not a URL.
        """
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("not a URL")  # urlsplit would take some of these away and go on
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if parts.scheme not in _DEFAULT_PORTS or "@" in parts.netloc or "#" in url or not _HOST.fullmatch(host):
            raise ValueError("not a URL to fetch from")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, host, _DEFAULT_PORTS[parts.scheme] if port is None else port, target)

    @property
    def authority(self) -> str:
        """The value of the ``Host`` header (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def has_origin_of(self, other: "Location") -> bool:
        """Whether both have the same scheme, host and port (RFC 6454 section 4)."""
        return (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)


def parse_address(text: str) -> Address | None:
    """The address that ``text`` spells in its usual form, or None. ``0x7f.1`` and the like are names."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_loopback(address: Address) -> bool:
    """Whether ``address`` is this host itself."""
    return _within(_innermost(address), _LOOPBACK)


def is_link_local(address: Address) -> bool:
    """Whether ``address`` is only meaningful on this link, where clouds keep their metadata services."""
    return _within(_innermost(address), _LINK_LOCAL)


def is_public(address: Address) -> bool:
    """Whether ``address`` is unicast and reachable from anywhere, so that nothing behind a wall answers there."""
    address = _innermost(address)
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return not _within(address, _NOT_PUBLIC)


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _innermost(address: Address) -> Address:
    """The IPv4 address that a translated or tunnelled IPv6 address leads to, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address
