"""Devices and invitations as JSON, for stores that keep them so."""

import json
from collections.abc import Mapping
from typing import Any

from authserver.model import Device, Invitation


def device_document(device: Device) -> str:
    """Everything about a device."""
    return json.dumps(_members(device), sort_keys=True)


def read_device_document(document: str, **changed: Any) -> Device:
    """The device that a document describes, with what has changed since."""
    return Device(**{**json.loads(document), **changed})


def invitation_document(invitation: Invitation) -> str:
    """Everything about an invitation."""
    return json.dumps(_members(invitation), sort_keys=True)


def read_invitation_document(document: str, **changed: Any) -> Invitation:
    """The invitation that a document describes, with what has changed since."""
    return Invitation(**{**json.loads(document), **changed})


def _members(record: Device | Invitation) -> dict[str, Any]:
    names = record.__dataclass_fields__
    values = ((name, getattr(record, name)) for name in names)
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values}


def key_document(jwk: Mapping[str, str], key_id: str | None) -> str:
    """The key of a device, which can change."""
    return json.dumps({"jwk": dict(jwk), "key_id": key_id})


def read_key_document(document: str) -> dict[str, Any]:
    """The members of a device that describe its key."""
    members: dict[str, Any] = json.loads(document)
    return members
