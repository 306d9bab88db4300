"""What an enrolled device does with its own registration: read it, change its key, end it.

RFC 7592, with a proof of the device's key where that has a registration access token. Whoever has no device here is
told the same, whatever the reason, so that nobody learns which devices there are.
"""

from collections.abc import Callable, Mapping

from authserver.enrollment.metadata import DeviceKey
from authserver.enrollment.rules import EnrollmentRules
from authserver.errors import Conflict, CredentialRejected, MetadataRefused, ProofRejected, Reason
from authserver.jose.dpop import Proof, check_key
from authserver.model import Device
from authserver.store.ports import DeviceStore


class Registered:
    """The devices that are enrolled, each for itself alone. ``rules`` are those of each device source."""

    def __init__(
        self, devices: DeviceStore, rules: Mapping[str, EnrollmentRules], *, clock: Callable[[], float]
    ) -> None:
        self._devices = devices
        self._rules = dict(rules)
        self._clock = clock

    def find(self, client_id: str, proof: Proof) -> Device:
        """The device of this name, for whoever proved to have its key.

        :raises CredentialRejected: ``device_unknown``, ``proof_key_wrong`` or ``device_revoked``.
        :raises Unavailable: ``store_unavailable``.
        """
        device = self._devices.read_device(client_id)
        if device is None:
            raise CredentialRejected(Reason.DEVICE_UNKNOWN, unverified_client_id=client_id)
        if device.thumbprint != proof.thumbprint:
            raise CredentialRejected(Reason.PROOF_KEY_WRONG, unverified_client_id=client_id)
        if device.revoked_at is not None:
            raise CredentialRejected(Reason.DEVICE_REVOKED, client_id=client_id)
        return device

    def replace_key(self, device: Device, key: DeviceKey) -> Device:
        """Give a device another key, unless somebody was faster. No key that was ever a device's can be one's again.

        :raises CredentialRejected: ``device_changed``: the key that was proved is not the device's any more.
        :raises MetadataRefused: ``rekey_not_allowed`` or ``key_enrolled_before``.
        :raises Unavailable: ``store_unavailable``.
        """
        rules = self._rules.get(device.source)
        if rules is None or not rules.rekey:
            raise MetadataRefused(Reason.REKEY_NOT_ALLOWED, client_id=device.client_id)
        try:
            return self._devices.replace_key(
                device.client_id,
                expected=device.thumbprint,
                jwk=key.jwk,
                thumbprint=key.thumbprint,
                key_id=key.key_id,
            )
        except Conflict as conflict:
            raise CredentialRejected(Reason.DEVICE_CHANGED, client_id=device.client_id) from conflict

    def delete(self, device: Device) -> None:
        """End a device for ever.

        :raises Unavailable: ``store_unavailable``.
        """
        self._devices.revoke_device(device.client_id, self._clock())


def check_succession(old: Proof, new: Proof, key: DeviceKey) -> None:
    """Check that the old key names the new one in its claim ``new_jkt``, and that the new one is really there.

    :raises ProofRejected: ``proof_malformed`` or ``proof_key_wrong``.
    """
    if "new_jkt" not in old.claims:
        raise ProofRejected(Reason.PROOF_MALFORMED, part="new_jkt")
    if old.claims["new_jkt"] != key.thumbprint:
        raise ProofRejected(Reason.PROOF_KEY_WRONG)
    check_key(new, key.thumbprint)
