"""The credential that a server refused last: it is not sent again until there is another, or some time has passed."""

import hashlib
from collections.abc import Callable
from typing import Final

from authserver.client.exchange import IssuedToken
from authserver.client.failures import CallRefused
from authserver.client.supplier import Offer, Vouching

REMEMBERED: Final = 300.0
"""Seconds after which it is sent again all the same: the server may have been told to admit it meanwhile."""


class RefusedCredential:
    """Remembers one credential, by its hash."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` is in seconds, and must never be set back."""
        self._clock = clock
        self._known: tuple[bytes, float, CallRefused] | None = None

    def guard(self, supplier: Vouching, request: Callable[[Vouching], IssuedToken]) -> IssuedToken:
        """What ``request`` gets with ``supplier``.

        :raises CallRefused: the server said no, now or when it was shown the same credential a short while ago.
        """
        watched = _Watched(supplier, self._check)
        try:
            token = request(watched)
        except CallRefused as refused:
            if self._known is None or refused is not self._known[2]:
                self._known = (watched.shown, self._clock(), refused)
            raise
        self._known = None
        return token

    def _check(self, shown: bytes) -> None:
        if self._known is None:
            return
        refused, at, failure = self._known
        if shown == refused and self._clock() - at < REMEMBERED:
            raise failure


class _Watched:
    """A supplier that takes note of the credential it hands out."""

    def __init__(self, supplier: Vouching, check: Callable[[bytes], None]) -> None:
        self._supplier = supplier
        self._check = check
        self.shown = b""

    def offer(self, now: float) -> Offer:
        offer = self._supplier.offer(now)
        self.shown = hashlib.sha256(repr((sorted(offer.parameters.items()), offer.shown)).encode()).digest()
        self._check(self.shown)
        return offer
