"""Callers that enrolled: from a client assertion to the device that signed it (RFC 7523 section 2.2)."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from authserver.errors import CredentialRejected, Reason, Refused, Unavailable
from authserver.identity.source import refuse_delegation
from authserver.identity.sources.device import DeviceTable, device_attributes
from authserver.jose.compact import UnverifiedToken
from authserver.jose.jwk import VerificationKey, import_public
from authserver.jose.verify import VerifiedClaims, verify
from authserver.model import Device, Subject
from authserver.oauth import CLIENT_ASSERTION_TYPES, DEVICE_PREFIX, DPOP_ALGORITHMS
from authserver.store.ports import DeviceReader

LONGEST_ASSERTION: Final = 300
"""How many seconds ahead the ``exp`` of a device's assertion may be."""

_CLIENT_ID = re.compile(re.escape(DEVICE_PREFIX) + r"[A-Za-z0-9_-]{22}")


class DeviceCallers:
    """Recognizes devices by the assertions that they sign for ``issuer``. ``skew`` is in seconds."""

    def __init__(self, issuer: str, tables: Mapping[str, DeviceTable], devices: DeviceReader, *, skew: int) -> None:
        self._issuer = issuer
        self._tables = dict(tables)
        self._devices = devices
        self._skew = skew

    def authenticate(self, token: UnverifiedToken, now: float) -> Subject:
        """Verify an assertion whose ``iss`` looks like a device's.

        :raises CredentialRejected: it is not believed, or the device is revoked.
        :raises Unavailable: ``store_unavailable``.
        """
        device = self._find(token.unverified_claims["iss"])
        try:
            verified = self._verify(token, device, now)
            _check_assertion(verified, device, now, self._skew)
        except (Refused, Unavailable) as error:
            error.source = device.source
            raise
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
        )

    def _find(self, unverified_client_id: str) -> Device:
        # The shape first: what was never given out needs no look into the store.
        if _CLIENT_ID.fullmatch(unverified_client_id) is None:
            raise CredentialRejected(Reason.DEVICE_UNKNOWN)
        device = self._devices.read_device(unverified_client_id)
        if device is None or device.source not in self._tables:
            raise CredentialRejected(Reason.DEVICE_UNKNOWN, unverified_client_id=unverified_client_id)
        return device

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
            return import_public(self._device.jwk, (algorithm,))
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
