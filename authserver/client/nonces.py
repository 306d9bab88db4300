"""The nonces that servers want in proofs, the newest of each (RFC 9449 sections 8.2 and 9)."""

import re
from collections.abc import Mapping
from typing import Final

from authserver.jose.addresses import Location
from authserver.oauth import DPOP_NONCE

MOST_SERVERS: Final = 256
"""Of how many servers a nonce is kept; who calls more of them is asked for a nonce again."""

_NONCE = re.compile(r"[!#-\[\]-~]{1,1024}")  # RFC 9449 section 8.1


class NonceMemory:
    """Remembers the newest nonce of each origin: scheme, host and port."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str, int], str] = {}

    def newest(self, url: str) -> str | None:
        """The nonce for a proof that goes to ``url``."""
        return self._newest.get(_origin(url))

    def learn(self, url: str, headers: Mapping[str, str]) -> bool:
        """Take note of the nonce in an answer from ``url``, if there is one; whether there was."""
        nonce = headers.get(DPOP_NONCE)
        if nonce is None or _NONCE.fullmatch(nonce) is None:
            return False
        origin = _origin(url)
        self._newest.pop(origin, None)
        self._newest[origin] = nonce
        for oldest in list(self._newest)[:-MOST_SERVERS]:  # a copy: other threads learn meanwhile
            self._newest.pop(oldest, None)
        return True


def _origin(url: str) -> tuple[str, str, int]:
    location = Location.of(url)
    return location.scheme, location.host, location.port
