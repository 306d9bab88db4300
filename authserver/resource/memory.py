"""Tokens that were verified already, so that the next request with one costs a look-up.

Only the work of the signature is remembered. Who uses an entry checks its times and its key again.
"""

import hashlib
from collections import OrderedDict
from typing import NamedTuple, Self

from authserver.jose.jwk import VerificationKey
from authserver.resource.token import Accepted, VerifiedToken


class Remembered(NamedTuple):
    """A token, the key whose signature it carries, and that key's name in it.

    The token's times allow it when the time is at least ``begins`` and less than ``ends``.
    """

    accepted: Accepted
    key: VerificationKey
    kid: str
    begins: float
    ends: float

    @classmethod
    def of(cls, token: VerifiedToken, key: VerificationKey, leeway: int) -> Self:
        """A token whose times were checked, so that they are known to be times. ``leeway`` is in seconds."""
        begins = max(token.issued_at, token.claims.get("nbf") or token.issued_at)
        return cls(Accepted(token), key, token.kid, begins - leeway, token.expires_at + leeway)


def fingerprint(token: str) -> bytes:
    """What a token is remembered by: its SHA-256, so that no token can be read out of the memory."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class TokenMemory:
    """At most ``capacity`` verified tokens; when full, the one that was remembered first makes room.

    There is no lock, which a fork could leave closed: each step below is one operation of the dictionary, and
    those are atomic.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[bytes, Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, fingerprint: bytes) -> Remembered | None:
        """The entry with this fingerprint."""
        return self._entries.get(fingerprint)

    def remember(self, fingerprint: bytes, entry: Remembered) -> None:
        """Keep an entry, until it is forgotten or has to make room."""
        self._entries[fingerprint] = entry
        while len(self._entries) > self._capacity:
            try:
                self._entries.popitem(last=False)
            except KeyError:  # another thread has made the room already
                return

    def forget(self, fingerprint: bytes) -> None:
        """Drop an entry; one that is not there is no error."""
        self._entries.pop(fingerprint, None)
