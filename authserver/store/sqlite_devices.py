"""Devices and invitations in the SQLite store. Each function works within the transaction that its caller began."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from authserver.errors import Conflict, CredentialRejected, MetadataRefused, Reason
from authserver.model import Device, DeviceRecord, Invitation

INVITATION: Final = "code_hash, source, owner, platform, attributes, created_at, expires_at, used_by"
"""The columns of an invitation."""

VERSION: Final = "source, sub, owner, thumbprint, created_at, revoked_at, document"
"""The columns of what is kept of a device, which change with it."""

DEVICE: Final = f"client_id, {VERSION}"
"""The columns of a device."""

_IN_DOCUMENT: Final = ("key_id", "name", "platform", "model", "app_id", "app_version", "attestation")
"""The members of a device, besides the mappings, that nothing is ever looked up by."""


def invite(connection: sqlite3.Connection, invitation: Invitation) -> None:
    """See :meth:`authserver.store.ports.DeviceStore.invite`."""
    connection.execute(
        f"INSERT INTO invitations ({INVITATION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 (constants)
        invitation_row(invitation),
    )


def read_invitation(connection: sqlite3.Connection, code_hash: str) -> Invitation | None:
    """See :meth:`authserver.store.ports.DeviceStore.read_invitation`."""
    statement = f"SELECT {INVITATION} FROM invitations WHERE code_hash = ?"  # noqa: S608 (constants)
    row = connection.execute(statement, (code_hash,)).fetchone()
    return None if row is None else invitation_of(row)


def enroll(
    connection: sqlite3.Connection, device: Device, *, code_hash: str | None, max_per_owner: int | None, now: float
) -> Device:
    """See :meth:`authserver.store.ports.DeviceStore.enroll`."""
    used_by = None if code_hash is None else _used_by(connection, code_hash, now)
    known = _with_key(connection, device.thumbprint)
    if known is not None and _still_has(known, device.thumbprint):
        answered_before = _is_same_caller(known, device) if code_hash is None else used_by == known.client_id
        if answered_before:
            return known
    if used_by is not None:
        raise CredentialRejected(Reason.CODE_USED)
    if known is not None:
        raise MetadataRefused(Reason.KEY_ENROLLED_BEFORE)
    _check_room(connection, device, max_per_owner)
    _add(connection, device)
    if code_hash is not None:
        connection.execute("UPDATE invitations SET used_by = ? WHERE code_hash = ?", (device.client_id, code_hash))
    return device


def read_device(connection: sqlite3.Connection, client_id: str) -> Device | None:
    """See :meth:`authserver.store.ports.DeviceReader.read_device`."""
    record = read_record(connection, client_id)
    return None if record is None else record.device


def read_record(connection: sqlite3.Connection, client_id: str) -> DeviceRecord | None:
    """See :meth:`authserver.store.ports.DeviceReader.read_record`."""
    statement = f"SELECT {DEVICE} FROM devices WHERE client_id = ?"  # noqa: S608 (constants)
    row = connection.execute(statement, (client_id,)).fetchone()
    return None if row is None else DeviceRecord(device_of(row), row[1:])


def list_devices(
    connection: sqlite3.Connection, sources: Sequence[str], *, owner: str | None, after: str, limit: int
) -> Sequence[Device]:
    """See :meth:`authserver.store.ports.DeviceStore.list_devices`."""
    if not sources:
        return []
    chosen, owners = ("", ()) if owner is None else (" AND owner = ?", (owner,))
    one = f"SELECT {DEVICE} FROM devices WHERE source = ?{chosen} AND client_id > ?"  # noqa: S608 (constants)
    # One search for each source, and a merge: together they read no more rows than they give, and sort none.
    searches = [(source, *owners, after) for source in sorted(set(sources))]
    statement = f"{' UNION ALL '.join([one] * len(searches))} ORDER BY client_id LIMIT ?"
    values = [value for search in searches for value in search]
    return [device_of(row) for row in connection.execute(statement, (*values, limit))]


def replace_key(
    connection: sqlite3.Connection,
    client_id: str,
    *,
    expected: str,
    jwk: Mapping[str, str],
    thumbprint: str,
    key_id: str | None,
) -> Device:
    """See :meth:`authserver.store.ports.DeviceStore.replace_key`."""
    device = read_device(connection, client_id)
    if device is None or not _still_has(device, expected):
        raise Conflict("the device has another key by now, or is revoked")
    if _with_key(connection, thumbprint) is not None:
        raise MetadataRefused(Reason.KEY_ENROLLED_BEFORE)
    device = replace(device, jwk=dict(jwk), thumbprint=thumbprint, key_id=key_id)
    statement = "UPDATE devices SET thumbprint = ?, document = ? WHERE client_id = ?"
    connection.execute(statement, (thumbprint, _document(device), client_id))
    _remember_key(connection, device)
    return device


def revoke_device(connection: sqlite3.Connection, client_id: str, now: float) -> Device | None:
    """See :meth:`authserver.store.ports.DeviceStore.revoke_device`."""
    connection.execute("UPDATE devices SET revoked_at = ? WHERE client_id = ? AND revoked_at IS NULL", (now, client_id))
    return read_device(connection, client_id)


def _used_by(connection: sqlite3.Connection, code_hash: str, now: float) -> str | None:
    """The device that a code gave; None for one that gave none yet."""
    invitation = read_invitation(connection, code_hash)
    if invitation is None:
        raise CredentialRejected(Reason.CODE_UNKNOWN)
    if invitation.expires_at <= now:
        raise CredentialRejected(Reason.CODE_EXPIRED)
    return invitation.used_by


def _still_has(device: Device, thumbprint: str) -> bool:
    return device.thumbprint == thumbprint and device.revoked_at is None


def _is_same_caller(known: Device, device: Device) -> bool:
    return (known.source, known.owner, known.sub) == (device.source, device.owner, device.sub)


def _check_room(connection: sqlite3.Connection, device: Device, max_per_owner: int | None) -> None:
    if max_per_owner is None or device.owner is None:
        return
    statement = "SELECT COUNT(*) FROM devices WHERE source = ? AND owner = ? AND revoked_at IS NULL"
    (count,) = connection.execute(statement, (device.source, device.owner)).fetchone()
    if count >= max_per_owner:
        raise MetadataRefused(Reason.TOO_MANY_DEVICES, max_per_owner=max_per_owner)


def _with_key(connection: sqlite3.Connection, thumbprint: str) -> Device | None:
    """The device that has this key, or ever had it."""
    row = connection.execute("SELECT client_id FROM device_keys WHERE thumbprint = ?", (thumbprint,)).fetchone()
    return None if row is None else read_device(connection, row[0])


def _add(connection: sqlite3.Connection, device: Device) -> None:
    connection.execute(
        f"INSERT INTO devices ({DEVICE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 (constants)
        device_row(device),
    )
    _remember_key(connection, device)


def _remember_key(connection: sqlite3.Connection, device: Device) -> None:
    connection.execute(
        "INSERT INTO device_keys (thumbprint, client_id) VALUES (?, ?)", (device.thumbprint, device.client_id)
    )


def _document(device: Device) -> str:
    members = {name: getattr(device, name) for name in _IN_DOCUMENT}
    return json.dumps({**members, "jwk": dict(device.jwk), "attributes": dict(device.attributes)})


def device_row(device: Device) -> tuple[Any, ...]:
    """A device as its table has it: the columns of :data:`DEVICE`."""
    return (
        device.client_id,
        device.source,
        device.sub,
        device.owner,
        device.thumbprint,
        device.created_at,
        device.revoked_at,
        _document(device),
    )


def device_of(row: tuple[Any, ...]) -> Device:
    """The device in a row, with the columns of :data:`DEVICE`."""
    client_id, source, sub, owner, thumbprint, created_at, revoked_at, document = row
    return Device(
        client_id=client_id,
        source=source,
        sub=sub,
        owner=owner,
        thumbprint=thumbprint,
        created_at=created_at,
        revoked_at=revoked_at,
        **json.loads(document),
    )


def invitation_row(invitation: Invitation) -> tuple[Any, ...]:
    """An invitation as its table has it: the columns of :data:`INVITATION`."""
    return (
        invitation.code_hash,
        invitation.source,
        invitation.owner,
        invitation.platform,
        json.dumps(dict(invitation.attributes)),
        invitation.created_at,
        invitation.expires_at,
        invitation.used_by,
    )


def invitation_of(row: tuple[Any, ...]) -> Invitation:
    """The invitation in a row, with the columns of :data:`INVITATION`."""
    code_hash, source, owner, platform, attributes, created_at, expires_at, used_by = row
    return Invitation(code_hash, source, owner, platform, json.loads(attributes), created_at, expires_at, used_by)
