"""Which proofs were used already (RFC 9449 section 11.1)."""

import hashlib
import heapq
import logging
import math
import os
import threading
import weakref
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from authserver.errors import CredentialRejected, ProofRejected, Reason, Unavailable

_log = logging.getLogger("authserver.resource")

CAPACITY: Final = 100_000
"""How many proofs a memory keeps unless told otherwise. Full, it is about 30 MB."""

PER_KEY: Final = 5_000
"""How many of them may be by one key.

A proof is kept for 90 seconds, or for 300 if it has a nonce, so one device may send 55 requests a second without end,
or 16. Twenty devices at least must work together to fill the memory.
"""


class Replay(Protocol):
    """Remembers what may be used only once. The stores in :mod:`authserver.store` do this, too."""

    def use_once(self, source: str, token_id: str, *, expires_at: float, now: float) -> None:
        """Remember that ``token_id`` of ``source`` has been used, until ``expires_at``. Times are in seconds.

        ``source`` names an API and the key of a device, and ``token_id`` is a hash. Exactly one of any number of
        simultaneous callers succeeds.

        :raises CredentialRejected: ``used_twice``.
        :raises ProofRejected: ``proof_memory_full``, for this source.
        :raises Unavailable: it cannot be remembered at the moment.
        """
        ...  # a protocol has no body


class _Used(NamedTuple):
    expires_at: float
    name: bytes
    source: bytes


class ReplayMemory:
    """Remembers used proofs in this process; threads may share it.

    **Each process has a memory of its own.** With several worker processes one proof could be used once in each, so
    there hand in something that they share: a ``SqliteStore`` on one host, the Redis store on many. A process that was
    forked begins with an empty memory, and says so in the log when it is first used.

    At most ``capacity`` proofs are kept, each as a hash, until they would be refused for their age. What has expired
    makes room; nothing else does. When that is not enough, proofs are refused as an outage, because what is not
    remembered could be used again. At most ``per_key`` may be by one key, so that a single device, which is then
    refused by itself, cannot cause that for the others. Only who has a good token and its key can add anything.

    :raises ValueError: a bound cannot be used.
    """

    def __init__(self, capacity: int = CAPACITY, *, per_key: int = PER_KEY) -> None:
        if capacity < 1 or per_key < 1:
            raise ValueError("a memory must have room for one proof at least")
        self._capacity = capacity
        self._per_key = per_key
        self._begin_empty()
        self._inherited = False
        if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
            os.register_at_fork(after_in_child=_after_fork(weakref.ref(self)))

    def __len__(self) -> int:
        return len(self._names)

    def use_once(self, source: str, token_id: str, *, expires_at: float, now: float) -> None:
        """See :class:`Replay`.

        :raises CredentialRejected: ``used_twice``.
        :raises ProofRejected: ``proof_memory_full``, this key has used too many lately.
        :raises Unavailable: ``proof_memory_full``, all of them together have.
        """
        if self._inherited:
            self._inherited = False
            _log.warning("this process remembers used proofs on its own: with several workers, share a replay store")
        used = _Used(expires_at, _hash(f"{source} {token_id}"), _hash(source))
        with self._lock:
            self._forget_expired(now)
            if used.name in self._names:
                raise CredentialRejected(Reason.USED_TWICE)
            self._check_room(used.source, now)
            self._names.add(used.name)
            self._counts[used.source] = self._counts.get(used.source, 0) + 1
            heapq.heappush(self._by_expiry, used)

    def _check_room(self, source: bytes, now: float) -> None:
        if self._counts.get(source, 0) >= self._per_key:
            raise ProofRejected(Reason.PROOF_MEMORY_FULL, per_key=self._per_key)
        if len(self._names) >= self._capacity:
            retry_after = max(1, math.ceil(self._by_expiry[0].expires_at - now))
            raise Unavailable(Reason.PROOF_MEMORY_FULL, retry_after=retry_after, capacity=self._capacity)

    def _forget_expired(self, now: float) -> None:
        while self._by_expiry and self._by_expiry[0].expires_at <= now:
            _, name, source = heapq.heappop(self._by_expiry)
            self._names.remove(name)
            self._counts[source] -= 1
            if not self._counts[source]:
                del self._counts[source]

    def _begin_empty(self) -> None:
        self._lock = threading.Lock()
        self._names: set[bytes] = set()
        self._counts: dict[bytes, int] = {}
        self._by_expiry: list[_Used] = []

    def _begin_anew(self) -> None:
        """In a process that was forked, where another thread's half-done work and closed lock may have come along."""
        self._begin_empty()
        self._inherited = True


def _after_fork(memory: "weakref.ref[ReplayMemory]") -> Callable[[], None]:
    """A hook cannot be taken back, so it must not keep the memory alive."""

    def begin_anew() -> None:
        alive = memory()
        if alive is not None:
            alive._begin_anew()

    return begin_anew


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
