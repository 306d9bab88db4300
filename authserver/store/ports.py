"""What the rest of the house asks of a store: small protocols, each named for its use.

Every method may raise :class:`~authserver.errors.Unavailable` with ``store_unavailable``. Times are seconds
since the epoch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from authserver.model import Device, DeviceRecord, Invitation, Use


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

    def use_together(self, uses: Sequence[Use], now: float) -> Use | None:
        """Remember that all of these have been used; if one was before, remember none of them, and say which.

        None says that all are remembered. Exactly one of any number of simultaneous callers with anything in common,
        on any number of nodes, succeeds, and perhaps none.
        """
        ...  # a protocol has no body


class DeviceReplayStore(ReplayStore, Protocol):
    """Remembers, too, what devices use, as long as they are what they were taken for."""

    def use_while(self, record: DeviceRecord, uses: Sequence[Use], now: float) -> Use | None:
        """As :meth:`use_together`, if nothing about the device has changed since ``record`` was read.

        Both are one step wherever device and uses can be reached in one. What is remembered need not survive a loss
        of power: it is for what nobody can do anything with but the device itself.

        :raises Conflict: the device has changed, is revoked since, or is not there. Nothing is remembered.
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


class DeviceReader(Protocol):
    """Knows which devices there are."""

    def read_device(self, client_id: str) -> Device | None:
        """The device, revoked or not."""
        ...  # a protocol has no body

    def read_record(self, client_id: str) -> DeviceRecord | None:
        """The same, with what the store compares to tell whether it has changed."""
        ...  # a protocol has no body


class DeviceStore(DeviceReader, Protocol):
    """Remembers who was invited, and which devices there are. What a method changes is durable when it returns."""

    def invite(self, invitation: Invitation) -> None:
        """Remember an invitation until it expires."""
        ...  # a protocol has no body

    def read_invitation(self, code_hash: str) -> Invitation | None:
        """The invitation with this code, used or not; None if there is none, or none any more."""
        ...  # a protocol has no body

    def enroll(self, device: Device, *, code_hash: str | None, max_per_owner: int | None, now: float) -> Device:
        """Remember a device, and use up the invitation whose code is named; one step, of which all or nothing happens.

        A device whose answer was lost is answered again, unless it was revoked or has another key since: the same
        invitation, not expired yet, and the same key give the device that they gave before, as does, without an
        invitation, the same key for the same source, owner and ``sub``. Of any number of simultaneous callers with one
        code, on any number of nodes, one device comes out. Nothing is said of keys and devices to who has no good code.

        :raises CredentialRejected: ``code_unknown``, ``code_expired`` (at ``expires_at`` itself, too) or ``code_used``.
        :raises MetadataRefused: ``key_enrolled_before``, for this or any other device, of any source;
            ``too_many_devices``: the owner has ``max_per_owner`` at this source that are not revoked. Who has no owner
            has no limit, and nor has who is not given one.
        """
        ...  # a protocol has no body

    def list_devices(
        self, sources: Sequence[str], *, owner: str | None = None, after: str = "", limit: int = 100
    ) -> Sequence[Device]:
        """At most ``limit`` devices of these sources and this owner, revoked ones too, in the order of ``client_id``.

        None stands for any owner, and for none. Those up to ``after`` are left out, whether it is there or not.
        """
        ...  # a protocol has no body

    def replace_key(
        self, client_id: str, *, expected: str, jwk: Mapping[str, str], thumbprint: str, key_id: str | None
    ) -> Device:
        """Give a device another key, if the one that it has is the ``expected`` one, by its thumbprint.

        :raises Conflict: the device has another key by now, is revoked, or is not there.
        :raises MetadataRefused: ``key_enrolled_before``; no key that was ever a device's can be one's again.
        """
        ...  # a protocol has no body

    def revoke_device(self, client_id: str, now: float) -> Device | None:
        """Revoke a device for ever; doing so twice changes nothing. The device as it is now, None if there is none."""
        ...  # a protocol has no body


class Onlooker(ReplayStore, DeviceReader, Protocol):
    """Says what a store would say, and changes nothing in it."""


class Store(RingStore, DeviceReplayStore, RevocationStore, DeviceStore, Protocol):
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
