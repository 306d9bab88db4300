"""What the rest of the house asks of a store: small protocols, each named for its use.

Every method may raise :class:`~authserver.errors.Unavailable` with ``store_unavailable``. Times are seconds
since the epoch.
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RingRecord:
    """The key ring's document as it stands in the store, with the version to compare when it is replaced."""

    version: int
    document: str = field(repr=False)


class RingStore(Protocol):
    """Keeps the key ring: one document, replaced whole and only by who has seen the newest."""

    def read_ring(self) -> RingRecord | None:
        """The current record, or None while there has never been one."""
        ...  # a protocol has no body

    def replace_ring(self, document: str, *, expected: int | None) -> RingRecord:
        """Replace the record whose version is ``expected``; None means that there must be none yet.

        Durable when it returns.

        :raises Conflict: somebody else was first.
        """
        ...  # a protocol has no body


class ReplayStore(Protocol):
    """Remembers what may be used only once."""

    def use_once(self, source: str, token_id: str, *, expires_at: float, now: float) -> None:
        """Remember that ``token_id`` of ``source`` has been used, until ``expires_at``.

        Exactly one of any number of simultaneous callers, on any number of nodes, succeeds.

        :raises CredentialRejected: ``used_twice``.
        """
        ...  # a protocol has no body


class RevocationStore(Protocol):
    """Remembers which tokens were taken back."""

    def revoke(self, issuer: str, jti: str, *, expires_at: float) -> None:
        """Remember that the token ``jti`` of ``issuer`` was revoked, until ``expires_at``; doing so twice is harmless.

        Durable, and seen by every node, when it returns.
        """
        ...  # a protocol has no body

    def is_revoked(self, issuer: str, jti: str, now: float) -> bool:
        """Whether that token was revoked, and this is still remembered at ``now``."""
        ...  # a protocol has no body


class Store(RingStore, ReplayStore, RevocationStore, Protocol):
    """Everything that one store does."""

    def check(self) -> None:
        """Return if the store can be written to; used for readiness."""
        ...  # a protocol has no body

    def sweep(self, now: float) -> None:
        """Forget what has expired."""
        ...  # a protocol has no body

    def close(self) -> None:
        """Let go of connections and files. Closing twice is harmless."""
        ...  # a protocol has no body
