"""What is being done with a key of a device, as it is written down at that key, and what it leads to at the server."""

import json
from dataclasses import dataclass
from typing import NamedTuple

from authserver.model import Device
from authserver.store import redis_scripts
from authserver.store.records import device_document, key_document, read_device_document
from authserver.store.redis_keys import Keys, shard
from authserver.store.redis_session import Call


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is being done with a key: a device is enrolled with it, or gets it instead of the key ``expected``."""

    id: str
    device: Device
    code_hash: str | None = None
    max_per_owner: int | None = None
    expected: str | None = None

    @property
    def holder(self) -> str:
        """How the attempt is named where it reserves something."""
        return f"{self.id} {self.device.thumbprint}"

    def document(self) -> str:
        """All of it as JSON."""
        rest = {"id": self.id, "code_hash": self.code_hash, "max": self.max_per_owner, "expected": self.expected}
        return json.dumps({**rest, "device": device_document(self.device)})


class Root(NamedTuple):
    """What there is at a key of a device: how far it is, whose attempt, of which device, the attempt, and why not."""

    state: str | None
    id: str
    of: str
    attempt: str
    reason: str


def read_attempt(document: str) -> Attempt:
    """The attempt that a document describes."""
    members = json.loads(document)
    device = read_device_document(members["device"])
    return Attempt(members["id"], device, members["code_hash"], members["max"], members["expected"])


def listing(keys: Keys, device: Device) -> list[Call]:
    """What puts a device into the list of its source."""
    listed = keys.of_source(device.source, shard(device.client_id))
    return [Call(redis_scripts.LIST, (listed,), (device.client_id,))]


def creation(keys: Keys, device: Device) -> Call:
    """What keeps a device, unless it is there already."""
    revoked_at = "" if device.revoked_at is None else repr(device.revoked_at)
    arguments = (device_document(device), device.thumbprint, key_document(device.jwk, device.key_id), revoked_at)
    return Call(redis_scripts.CREATE_DEVICE, (keys.device(device.client_id),), arguments)
