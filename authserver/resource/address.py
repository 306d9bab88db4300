"""Where this API is, as its callers see it: what the ``htu`` of a proof must say (RFC 9449 section 4.3, check 9)."""

from urllib.parse import urlsplit

from authserver.jose.addresses import is_loopback, parse_address
from authserver.resource.urls import is_on_this_machine, is_web_address


class ExternalAddress:
    """The address of an API: ``url`` if there is one, else the origin of ``audience`` if that is a web address.

    ``url`` stands for what the server calls ``/``, so it has a path where a proxy takes one away.
    """

    def __init__(self, url: str | None, audience: str) -> None:
        self._base = url.rstrip("/") if url is not None else _origin(audience)
        self._configured = url is not None

    def of(self, path: str, *, own_origin: str, peer: str) -> tuple[str, ...]:
        """The addresses that a request for ``path`` may have been sent to; none when nothing is known.

        ``path`` is as it was sent, percent-encoding and all. ``own_origin`` is scheme and host as the request has them,
        and ``peer`` is the address it came from.

        What a request says of its host is believed in one case, so that a program under development needs no ``url``:
        without one, a request from this machine to this machine. The proof must still be by the key of the token, for
        this token, and for a loopback address. Only the owner of the key can make that, and makes it only for a server
        on the machine where the key is. So whoever forges ``Host: localhost`` is no further: what could be stolen on
        the way to this API is for its real address, and what was sent from another machine is not looked at.
        """
        addresses = () if self._base is None else (self._base + path,)
        if not self._configured and _is_here(peer) and is_on_this_machine(own_origin):
            addresses = (*addresses, own_origin + path)
        return addresses


def _origin(audience: str) -> str | None:
    if not is_web_address(audience):
        return None
    parts = urlsplit(audience)
    return f"{parts.scheme}://{parts.netloc}"


def _is_here(peer: str) -> bool:
    address = parse_address(peer)
    return address is not None and is_loopback(address)
