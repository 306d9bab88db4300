"""Nonces for DPoP proofs that nobody has to remember (RFC 9449 sections 8 and 9).

A nonce is the instant at which it was given, and a MAC over it. Whoever has the key can tell that it is ours and how
old it is, on any node and after any restart.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from authserver.jose.compact import base64url_decode, base64url_encode

LIFETIME: Final = 300
"""For how many seconds a nonce is fresh, unless told otherwise."""

_TIME_BYTES: Final = 8
_MAC_BYTES: Final = 16


class Nonces:
    """Gives nonces under the first of ``keys``, each at least 32 bytes, and knows those given under any of them.

    ``lifetime`` and ``skew`` are in seconds; ``skew`` is how far the clock of another node may be ahead.
    """

    def __init__(self, keys: Sequence[bytes], *, skew: int, lifetime: int = LIFETIME) -> None:
        # One key in the place of a sequence, or text, would be found out only at the first nonce, in front of a caller.
        if not keys or not all(map(_is_key, keys)):
            raise ValueError("nonces need a sequence of keys, each of at least 32 bytes")
        self._keys = tuple(keys)
        self._skew = skew
        self._lifetime = lifetime
        self._newest = (-1, "")

    def give(self, now: float) -> str:
        """A nonce that is fresh from ``now`` on, the same for everybody within a second."""
        second, nonce = self._newest
        if second != int(now):
            instant = int(now).to_bytes(_TIME_BYTES)
            nonce = base64url_encode(instant + _mac(self._keys[0], instant))
            self._newest = int(now), nonce
        return nonce

    def expiry(self, nonce: str, now: float) -> float | None:
        """When a nonce stops being fresh, in seconds since the epoch; None if it is none of ours, or not fresh."""
        try:
            raw = base64url_decode(nonce)
        except ValueError:
            return None
        instant, mac = raw[:_TIME_BYTES], raw[_TIME_BYTES:]
        if not any(hmac.compare_digest(_mac(key, instant), mac) for key in self._keys):
            return None
        given = int.from_bytes(instant)
        expires = given + self._lifetime
        return expires if given <= now + self._skew and now < expires else None


def _is_key(given: object) -> bool:
    return isinstance(given, bytes) and len(given) >= 32


def _mac(key: bytes, instant: bytes) -> bytes:
    return hmac.digest(key, b"authserver dpop nonce " + instant, hashlib.sha256)[:_MAC_BYTES]
