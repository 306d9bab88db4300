"""Devices and invitations at a Redis store: reading, inviting and revoking. Enrolment has a module of its own."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from authserver.model import Device, DeviceRecord, Invitation
from authserver.store import redis_scripts
from authserver.store.records import (
    invitation_document,
    read_device_document,
    read_invitation_document,
    read_key_document,
)
from authserver.store.redis_keys import SHARDS, Keys
from authserver.store.redis_session import Call, Session

FIELDS: Final = ("document", "thumbprint", "key", "revoked_at")
"""Of what a device consists at the server."""

_SHARDS_AT_ONCE: Final = 8


def invite(session: Session, keys: Keys, invitation: Invitation) -> None:
    """See :meth:`authserver.store.ports.DeviceStore.invite`."""
    session.one(invite_call(keys, invitation))
    session.confirm()


def invite_call(keys: Keys, invitation: Invitation) -> Call:
    """What keeps an invitation."""
    return Call(
        redis_scripts.INVITE,
        (keys.invitation(invitation.code_hash),),
        (
            invitation_document(invitation),
            repr(invitation.expires_at),
            repr(invitation.created_at),
            invitation.used_by or "",
        ),
    )


def read_invitation(session: Session, keys: Keys, code_hash: str) -> Invitation | None:
    """See :meth:`authserver.store.ports.DeviceStore.read_invitation`."""
    return read_invitations(session, keys, [code_hash])[0]


def read_invitations(session: Session, keys: Keys, code_hashes: Sequence[str]) -> list[Invitation | None]:
    """The invitation with each of these codes, None where there is none."""
    calls = (Call("HMGET", (keys.invitation(code_hash),), ("document", "used_by")) for code_hash in code_hashes)
    return [
        None if document is None else read_invitation_document(document, used_by=used_by)
        for document, used_by in session.run(*calls)
    ]


def read_device(session: Session, keys: Keys, client_id: str) -> Device | None:
    """See :meth:`authserver.store.ports.DeviceReader.read_device`."""
    record = read_record(session, keys, client_id)
    return None if record is None else record.device


def read_record(session: Session, keys: Keys, client_id: str) -> DeviceRecord | None:
    """See :meth:`authserver.store.ports.DeviceReader.read_record`."""
    values = session.one(Call("HMGET", (keys.device(client_id),), FIELDS), current=True)
    device = device_of(values)
    return None if device is None else DeviceRecord(device, tuple(value or "" for value in values))


def read_devices(session: Session, keys: Keys, client_ids: Sequence[str]) -> list[Device | None]:
    """The device with each of these identifiers, None where there is none."""
    calls = (Call("HMGET", (keys.device(client_id),), FIELDS) for client_id in client_ids)
    return [device_of(values) for values in session.run(*calls)]


def list_devices(
    session: Session, keys: Keys, sources: Sequence[str], *, owner: str | None, after: str, limit: int
) -> list[Device]:
    """See :meth:`authserver.store.ports.DeviceStore.list_devices`."""
    found: list[Device] = []
    listed = _listed(session, keys, sorted(set(sources)), owner, after, limit)
    # What is listed may be of an enrolment that came to nothing, or will only come to something.
    while len(found) < limit and (client_ids := list(islice(listed, limit - len(found)))):
        found += filter(None, read_devices(session, keys, client_ids))
    return found


def revoke_device(session: Session, keys: Keys, client_id: str, now: float) -> Device | None:
    """See :meth:`authserver.store.ports.DeviceStore.revoke_device`."""
    revoke = Call(redis_scripts.REVOKE_DEVICE, (keys.device(client_id),), (repr(now),))
    device = read_device(session, keys, client_id) if session.one(revoke) else None
    if device is not None and device.owner is not None:
        # If this is not reached any more, the place is found to be free when the owner needs it.
        session.one(Call("HDEL", (keys.places(device.source, device.owner),), (client_id,)))
    session.confirm()
    return device


def _listed(
    session: Session, keys: Keys, sources: Sequence[str], owner: str | None, after: str, limit: int
) -> Iterator[str]:
    """Identifiers in order, a few more at a time."""
    if owner is not None:
        lists = [keys.of_owner(source, owner) for source in sources]
        yield from _paged(session, lists, after, limit)
        return
    for start in range(0, len(SHARDS), _SHARDS_AT_ONCE):
        shards = SHARDS[start : start + _SHARDS_AT_ONCE]
        yield from _paged(
            session, [keys.of_source(source, each) for source in sources for each in shards], after, limit
        )


def _paged(session: Session, lists: Sequence[str], after: str, limit: int) -> Iterator[str]:
    page = _page(session, lists, after, limit)
    while page:
        yield from page
        page = _page(session, lists, page[-1], limit) if len(page) == limit else []


def _page(session: Session, lists: Sequence[str], after: str, limit: int) -> list[str]:
    start = f"({after}" if after else "-"
    calls = (Call("ZRANGEBYLEX", (each,), (start, "+", "LIMIT", 0, limit)) for each in lists)
    parts: Iterable[list[str]] = session.run(*calls)
    return list(islice(heapq.merge(*parts), limit))


def device_of(values: Sequence[Any]) -> Device | None:
    """The device with these values of :data:`FIELDS`; None if there is none."""
    document, thumbprint, key, revoked_at = values
    if document is None:
        return None
    return read_device_document(
        document,
        thumbprint=thumbprint,
        revoked_at=None if revoked_at is None else float(revoked_at),
        **read_key_document(key),
    )
