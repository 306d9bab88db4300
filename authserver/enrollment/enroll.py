"""From initial access to a device: a code that somebody was given, or an owner who signed in (RFC 7591 section 3)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from authserver.enrollment.attest import Format, attest
from authserver.enrollment.attestation import FORMATS
from authserver.enrollment.invitation import hash_code
from authserver.enrollment.metadata import DeviceMetadata
from authserver.enrollment.owners import Owner, open_to
from authserver.enrollment.rules import EnrollmentRules
from authserver.errors import CredentialRejected, MetadataRefused, Reason
from authserver.model import Device
from authserver.oauth import DEVICE_PREFIX
from authserver.store.ports import DeviceStore


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that may be enrolled, and is not yet. ``code_hash`` is of the code that is used up by it, if any."""

    device: Device
    code_hash: str | None


class Enrollment:
    """Enrols devices. ``rules`` are those of each device source, and ``formats`` the attestations that can be read.

    ``randomness`` gives as many random bytes as it is asked for, in base64url.
    """

    def __init__(
        self,
        devices: DeviceStore,
        rules: Mapping[str, EnrollmentRules],
        *,
        clock: Callable[[], float],
        randomness: Callable[[int], str],
        formats: Mapping[str, Format] = FORMATS,
    ) -> None:
        self._devices = devices
        self._rules = dict(rules)
        self._clock = clock
        self._formats = dict(formats)
        self._randomness = randomness

    def invited(self, unverified_code: str, metadata: DeviceMetadata) -> Candidate:
        """The device that brings an enrolment code. Whether the code can still be used is for :meth:`complete`.

        :raises CredentialRejected: ``code_malformed`` or ``code_unknown``.
        :raises MetadataRefused: the device is not one that was invited, or its attestation is refused.
        :raises Unavailable: ``store_unavailable``.
        """
        code_hash = hash_code(unverified_code)
        invitation = self._devices.read_invitation(code_hash)
        if invitation is None or invitation.source not in self._rules:
            raise CredentialRejected(Reason.CODE_UNKNOWN)
        if metadata.source not in (None, invitation.source):
            raise _mismatch("source", invitation.source)
        device = self._device(invitation.source, invitation.owner, metadata)
        platform = invitation.platform or device.platform
        if device.platform not in (None, platform):
            raise _mismatch("platform", invitation.source)
        return Candidate(replace(device, platform=platform, attributes=invitation.attributes), code_hash)

    def owned(self, owner: Owner, metadata: DeviceMetadata) -> Candidate:
        """The device of an owner who signed in.

        :raises CredentialRejected: ``enrollment_not_allowed``.
        :raises MetadataRefused: no one source is meant, or the attestation is refused.
        """
        sources = open_to(owner, self._rules)
        if metadata.source is not None and metadata.source not in sources:
            raise CredentialRejected(Reason.ENROLLMENT_NOT_ALLOWED)
        if metadata.source is None and len(sources) > 1:
            raise MetadataRefused(Reason.METADATA_MALFORMED, member="source")
        source = metadata.source or next(iter(sources))
        return Candidate(self._device(source, owner.name, metadata, sub=owner.name), None)

    def complete(self, candidate: Candidate) -> Device:
        """Enrol a device; the device that it was before, where only its answer was lost.

        :raises CredentialRejected: ``code_unknown``, ``code_expired`` or ``code_used``.
        :raises MetadataRefused: ``key_enrolled_before`` or ``too_many_devices``.
        :raises Unavailable: ``store_unavailable``.
        """
        return self._devices.enroll(
            candidate.device,
            code_hash=candidate.code_hash,
            max_per_owner=self._rules[candidate.device.source].max_per_owner,
            now=self._clock(),
        )

    def _device(self, source: str, owner: str | None, metadata: DeviceMetadata, *, sub: str | None = None) -> Device:
        now, key = self._clock(), metadata.key
        client_id = DEVICE_PREFIX + self._randomness(16)
        attested = attest(metadata.attestation, self._formats, thumbprint=key.thumbprint, now=now)
        return Device(
            client_id=client_id,
            source=source,
            sub=sub or _sub(source, owner, client_id),
            owner=owner,
            jwk=key.jwk,
            thumbprint=key.thumbprint,
            created_at=now,
            key_id=key.key_id,
            name=metadata.name,
            platform=attested.platform or metadata.platform,
            model=attested.model or metadata.model,
            app_id=attested.app_id or metadata.app_id,
            app_version=metadata.app_version,
            attestation=attested.attestation,
        )


def _sub(source: str, owner: str | None, client_id: str) -> str:
    """The ``sub`` of the tokens of a device that was invited."""
    return f"{source}:device/{client_id}" if owner is None else f"{source}:owner/{owner}"


def _mismatch(member: str, source: str) -> MetadataRefused:
    refused = MetadataRefused(Reason.INVITATION_MISMATCH, member=member)
    refused.source = source
    return refused
