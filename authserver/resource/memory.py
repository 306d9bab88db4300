"""Tokens that were verified already, so that the next request with one costs a look-up.

Only the work of the signature is remembered. Who uses an entry checks its times and its key again.
"""

import contextlib
import hashlib
from collections import OrderedDict
from typing import NamedTuple

from authserver.jose.jwk import VerificationKey
from authserver.resource.token import VerifiedToken


class Remembered(NamedTuple):
    """A token and the key whose signature it carries."""

    token: VerifiedToken
    key: VerificationKey

    @property
    def kid(self) -> str:
        """The name of that key in the token."""
        return self.token.kid


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
            with contextlib.suppress(KeyError):  # another thread has made the room already
                self._entries.popitem(last=False)

    def forget(self, fingerprint: bytes) -> None:
        """Drop an entry; one that is not there is no error."""
        self._entries.pop(fingerprint, None)
