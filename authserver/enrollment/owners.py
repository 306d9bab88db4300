"""Whose devices they are: who may list and revoke which."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from authserver.enrollment.rules import EnrollmentRules
from authserver.errors import CredentialRejected, DeviceAbsent, Reason
from authserver.model import Device
from authserver.store.ports import DeviceStore


@dataclass(frozen=True, slots=True)
class Owner:
    """Somebody who was recognized by an ID token: its source, and the subject there."""

    source: str
    subject: str

    @property
    def name(self) -> str:
        """What rules match, and the ``sub`` of the owner's devices. No invitation can name it: see there."""
        return f"{self.source}:{self.subject}"


@dataclass(frozen=True, slots=True)
class Authority:
    """The devices that somebody may see and revoke: those of these sources and this owner, None for every owner."""

    sources: frozenset[str]
    owner: str | None = None

    def covers(self, device: Device) -> bool:
        """Whether a device is one of them."""
        return device.source in self.sources and self.owner in (None, device.owner)


@dataclass(frozen=True, slots=True)
class Page:
    """Some devices, in the order of their ``client_id``, and whether there are more after them."""

    devices: Sequence[Device]
    is_last: bool


def open_to(owner: Owner, rules: Mapping[str, EnrollmentRules]) -> frozenset[str]:
    """The device sources that this owner may enrol devices at.

    :raises CredentialRejected: ``enrollment_not_allowed``: there is none.
    """
    sources = frozenset(name for name, rule in rules.items() if owner.source in rule.enroll_with)
    if not sources:
        raise CredentialRejected(Reason.ENROLLMENT_NOT_ALLOWED)
    return sources


class DeviceRegister:
    """Every device there is, for those who may see some of them. ``rules`` are those of each device source."""

    def __init__(
        self, devices: DeviceStore, rules: Mapping[str, EnrollmentRules], *, clock: Callable[[], float]
    ) -> None:
        self._devices = devices
        self._rules = dict(rules)
        self._clock = clock

    def owned_by(self, owner: Owner) -> Authority:
        """What an owner may see: the own devices, at every source that the owner may enrol at.

        :raises CredentialRejected: ``enrollment_not_allowed``.
        """
        return Authority(open_to(owner, self._rules), owner.name)

    def list(
        self, authority: Authority, *, sources: Collection[str], owner: str | None, after: str, limit: int
    ) -> Page:
        """At most ``limit`` devices of ``sources`` and of ``owner``, None for any, that come after ``after``.

        What ``authority`` does not cover is left out. Revoked devices are there too.

        :raises Unavailable: ``store_unavailable``.
        """
        seen = sorted(authority.sources.intersection(sources))
        if authority.owner is not None and owner not in (None, authority.owner):
            seen = []
        found = self._devices.list_devices(
            seen, owner=authority.owner if owner is None else owner, after=after, limit=limit + 1
        )
        return Page(found[:limit], is_last=len(found) <= limit)

    def revoke(self, authority: Authority, client_id: str) -> Device:
        """Revoke a device for ever. Doing so twice is harmless.

        :raises DeviceAbsent: ``device_unknown``: there is none, or ``authority`` does not cover it.
        :raises Unavailable: ``store_unavailable``.
        """
        device = self._devices.read_device(client_id)
        if device is None or not authority.covers(device):
            raise DeviceAbsent(Reason.DEVICE_UNKNOWN, unverified_client_id=client_id)
        return self._devices.revoke_device(client_id, self._clock()) or device
