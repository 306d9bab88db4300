"""What the configuration may say where it names an address."""

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit

from authserver.table import Mistake

_WRITE_URL: Final = 'Write an address such as "https://auth.example.com".'
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PLAIN: Final = frozenset(map(chr, range(0x21, 0x7F)))
_PATH: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def own_issuer(url: str) -> str:
    """Check this server's issuer: one spelling, no query, no fragment, no slash at the end (RFC 8414 section 2).

    :raises Mistake: it is anything else.
    """
    parts = web_address(url)
    if "?" in url or "#" in url:
        raise Mistake(
            "must have no query and no fragment", "Remove everything from the ? or # on (RFC 8414 section 2)."
        )
    if url.endswith("/"):
        raise Mistake("must not end in a slash", "Remove it: an issuer is compared character by character.")
    segments = parts.path.split("/")[1:]
    if not _PATH.issuperset(parts.path) or not {"", ".", ".."}.isdisjoint(segments):
        raise Mistake("has a path with more than one spelling", "Use letters, digits, - . _ ~ and single slashes.")
    if parts.netloc != parts.netloc.lower():
        raise Mistake("has a host with capital letters", "Write the host in lower case.")
    return url


def web_address(url: str) -> SplitResult:
    """Take an absolute http or https URL apart.

    :raises Mistake: it is anything else, or carries a user name or password.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and parts.netloc[-1] != ":"
    except ValueError:
        sound = False
    if not sound or not _PLAIN.issuperset(url):
        raise Mistake("is not an http or https URL", _WRITE_URL)
    if "@" in parts.netloc:
        raise Mistake("carries a user name or password", "Remove what stands before the @.")
    return parts


def refuse_plain_http(url: str, *, insecure_allow_http: bool) -> None:
    """Check that an address is https, or http on loopback where that is allowed.

    :raises Mistake: it is not, or is no address at all.
    """
    parts = web_address(url)
    if parts.scheme == "https":
        return
    if not _is_loopback(parts.hostname or ""):
        raise Mistake("must be https", "Use https; http is possible on loopback only.")
    if not insecure_allow_http:
        raise Mistake("must be https", "Use https, or set server.insecure_allow_http = true on a development machine.")


def web_origin(origin: str) -> str:
    """Check the origin of a web page: scheme, host and port, spelled as browsers send it (RFC 6454 section 6.2).

    It is compared character by character, so that another spelling would never be met.

    :raises Mistake: it is anything else.
    """
    if "*" in origin:
        raise Mistake("has a *, and every origin is named by itself", 'Name each, such as "https://app.example.com".')
    written = _origin(web_address(origin))
    if origin != written:
        raise Mistake("is not an origin as browsers write it", f'Write "{written}".')
    return origin


def bind_address(address: str) -> str:
    """Check an address to listen on: ``host:port``, an IPv6 host in brackets.

    :raises Mistake: it is anything else.
    """
    host, colon, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not (
        colon and host and port.isascii() and port.isdigit() and int(port) <= 65535 and (bracketed or ":" not in host)
    ):
        raise Mistake("is not an address to listen on", 'Write host:port, such as "127.0.0.1:8400" or "[::1]:8400".')
    return address


def network(text: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Read a network of trusted proxies.

    :raises Mistake: it is no network, or it is every address there is.
    """
    try:
        found = ipaddress.ip_network(text if isinstance(text, str) else "")
    except ValueError as error:
        raise Mistake("is not a network", 'Write an address or a network, such as "10.0.0.0/8" or "::1".') from error
    if found.prefixlen == 0:
        raise Mistake("trusts every address there is", "Name the networks that your own proxies are in.")
    return found


def _origin(address: SplitResult) -> str:
    host = address.hostname or ""
    if ":" in host:
        host = f"[{_compressed(host)}]"
    default = address.port in (None, _DEFAULT_PORTS[address.scheme])
    return f"{address.scheme}://{host}" + ("" if default else f":{address.port}")


def _compressed(host: str) -> str:
    try:
        return str(ipaddress.IPv6Address(host))
    except ValueError as error:
        raise Mistake("is not an http or https URL", _WRITE_URL) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
