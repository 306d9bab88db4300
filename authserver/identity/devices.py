"""Callers that enrolled: from a client assertion to the device that signed it (RFC 7523 section 2.2)."""

import hashlib
import re
import threading
from collections.abc import Mapping
from typing import Final

from authserver.errors import CredentialRejected, Reason, Refused, Unavailable
from authserver.identity.source import refuse_delegation
from authserver.identity.sources.device import DeviceTable, device_attributes
from authserver.jose.compact import UnverifiedToken
from authserver.jose.imported import imported
from authserver.jose.jwk import VerificationKey
from authserver.jose.verify import VerifiedClaims, verify
from authserver.model import Device, DeviceRecord, Subject
from authserver.oauth import CLIENT_ASSERTION_TYPES, DEVICE_PREFIX, DPOP_ALGORITHMS
from authserver.store.ports import DeviceReader

LONGEST_ASSERTION: Final = 300
"""How many seconds ahead the ``exp`` of a device's assertion may be."""

MOST_RECALLED: Final = 4096
"""How many devices a process remembers, each with some 4,000 bytes."""

_CLIENT_ID = re.compile(re.escape(DEVICE_PREFIX) + r"[A-Za-z0-9_-]{22}")


class DeviceCallers:
    """Recognizes devices by the assertions that they sign for ``issuer``. ``skew`` is in seconds."""

    def __init__(self, issuer: str, tables: Mapping[str, DeviceTable], devices: DeviceReader, *, skew: int) -> None:
        self._issuer = issuer
        self._tables = dict(tables)
        self._devices = devices
        self._skew = skew
        self._memory = DeviceMemory()

    def authenticate(self, token: UnverifiedToken, now: float, *, recall: bool = False) -> Subject:
        """Verify an assertion whose ``iss`` looks like a device's.

        With ``recall`` the subject may be as we remember the device, and is good for nothing until the store has said
        that it still is so (see :meth:`authserver.store.ports.DeviceReplayStore.use_while`). What we remember is never
        a reason to refuse anybody.

        :raises CredentialRejected: it is not believed, or the device is revoked.
        :raises Unavailable: ``store_unavailable``.
        """
        unverified_client_id = token.unverified_claims["iss"]
        recalled = self._memory.recall(unverified_client_id) if recall else None
        if recalled is None:
            return self._subject(token, self._find(unverified_client_id), now)
        try:
            return self._subject(token, recalled, now, is_recalled=True)
        except CredentialRejected:
            if not self.is_outdated(recalled):
                raise
        return self._subject(token, self._find(unverified_client_id), now)

    def is_outdated(self, recalled: DeviceRecord) -> bool:
        """Whether a device is not as we remember it any more; then we remember it no longer.

        :raises Unavailable: ``store_unavailable``.
        """
        client_id = recalled.device.client_id
        if self._devices.read_record(client_id) == recalled:
            return False
        self._memory.forget(client_id)
        return True

    def _subject(
        self, token: UnverifiedToken, record: DeviceRecord, now: float, *, is_recalled: bool = False
    ) -> Subject:
        device = record.device
        try:
            verified = self._verify(token, device, now)
            _check_assertion(verified, device, now, self._skew)
        except (Refused, Unavailable) as error:
            error.source = device.source
            raise
        if not is_recalled:
            self._memory.remember(record)
        return Subject(
            source=device.source,
            subject=device.sub,
            attributes=device_attributes(device),
            credential_id=_credential_id(device, verified),
            single_use_until=verified.time("exp") + self._skew,
            owner_sub=device.sub,
            registered_id=device.client_id,
            key_thumbprint=device.thumbprint,
            proof_needs_nonce=self._tables[device.source].require_nonce,
            record=record,
            is_recalled=is_recalled,
        )

    def _find(self, unverified_client_id: str) -> DeviceRecord:
        # The shape first: what was never given out needs no look into the store.
        if _CLIENT_ID.fullmatch(unverified_client_id) is None:
            raise CredentialRejected(Reason.DEVICE_UNKNOWN)
        record = self._devices.read_record(unverified_client_id)
        if record is None or record.device.source not in self._tables:
            raise CredentialRejected(Reason.DEVICE_UNKNOWN, unverified_client_id=unverified_client_id)
        return record

    def _verify(self, token: UnverifiedToken, device: Device, now: float) -> VerifiedClaims:
        return verify(
            token,
            keys=_DeviceKey(device),
            issuer=device.client_id,
            audience=self._issuer,
            typ=CLIENT_ASSERTION_TYPES,
            algorithms=DPOP_ALGORITHMS,
            now=now,
            skew=self._skew,
            default_kid=device.thumbprint,
        )


class DeviceMemory:
    """What the store said lately of the devices that asked, at most ``most`` of them; the oldest go first."""

    def __init__(self, most: int = MOST_RECALLED) -> None:
        self._most = most
        self._records: dict[str, DeviceRecord] = {}
        self._lock = threading.Lock()

    def recall(self, client_id: str) -> DeviceRecord | None:
        """What was remembered of a device."""
        return self._records.get(client_id)

    def remember(self, record: DeviceRecord) -> None:
        """Remember a device, whose assertion was believed: nobody else can drive others out of the memory."""
        with self._lock:
            self._records[record.device.client_id] = record
            if len(self._records) > self._most:
                del self._records[next(iter(self._records))]

    def forget(self, client_id: str) -> None:
        """Remember nothing of a device."""
        with self._lock:
            self._records.pop(client_id, None)


class _DeviceKey:
    """The one key of a device, as verification looks it up."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def find(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        """See :class:`authserver.jose.verify.Keys`. A device may name its key by its thumbprint, or as it did once."""
        del now
        if kid not in (self._device.thumbprint, self._device.key_id):
            raise CredentialRejected(Reason.KEY_UNKNOWN)
        try:
            return imported(self._device.jwk, algorithm).key
        except ValueError as error:
            raise CredentialRejected(Reason.ALGORITHM_NOT_ALLOWED) from error


def _check_assertion(verified: VerifiedClaims, device: Device, now: float, skew: int) -> None:
    # RFC 7523 section 3: sub is the client itself.
    if verified.text("sub") != device.client_id:
        raise CredentialRejected(Reason.SUBJECT_MISMATCH)
    ahead = verified.time("exp") - now
    if ahead > LONGEST_ASSERTION + skew:
        raise CredentialRejected(Reason.LIVES_TOO_LONG, lifetime=ahead, max_age=LONGEST_ASSERTION)
    verified.text("jti")
    refuse_delegation(verified.claims)
    # Last, so that only the device itself is told so in the log's terms, and not everybody who knows its name.
    if device.revoked_at is not None:
        raise CredentialRejected(Reason.DEVICE_REVOKED, client_id=device.client_id)


def _credential_id(device: Device, verified: VerifiedClaims) -> str:
    # With the device in it: no device can use up the identifiers of another.
    return hashlib.sha256(f"jti:{device.client_id}:{verified.text('jti')}".encode()).hexdigest()
