"""The records of a Redis store."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from authserver.store import redis_scripts
from authserver.store.copying import BATCH, Kind, Record
from authserver.store.records import device_document, invitation_document, read_device_document
from authserver.store.records import read_invitation_document as read_invitation
from authserver.store.redis_attempt import creation, listing
from authserver.store.redis_client import RedisClient
from authserver.store.redis_devices import FIELDS, device_of, invite_call
from authserver.store.redis_enrollment import COMMITTED
from authserver.store.redis_keys import Keys
from authserver.store.redis_session import Call, Session

_COPY: Final = "copy"


class RedisRecords:
    """Implements :class:`~authserver.store.copying.Portable` for the Redis store that has these keys.

    What was begun and not finished, an enrolment whose process died, is no record. ``clock`` gives seconds since the
    epoch.
    """

    def __init__(self, client: RedisClient, prefix: str, clock: Callable[[], float]) -> None:
        self._client = client
        self._keys = Keys(prefix)
        self._clock = clock

    def records(self, kind: Kind) -> Iterator[Record]:
        """See :class:`~authserver.store.copying.Portable`."""
        names = iter([self._keys.ring]) if kind is Kind.RING else self._names(f"{self._keys.prefix}:{kind}:*")
        while batch := list(islice(names, BATCH)):
            yield from filter(None, self._read(kind, batch))

    def same(self, kind: Kind, records: Sequence[Record]) -> list[Record | None]:
        """See :class:`~authserver.store.copying.Portable`."""
        return self._read(kind, [self._name(kind, record.members) for record in records])

    def write(self, kind: Kind, records: Sequence[Record]) -> None:
        """See :class:`~authserver.store.copying.Portable`."""
        listed = [call for record in records for call in self._listing(kind, record)]
        calls = [call for record in records for call in self._calls(kind, record)]

        def work(session: Session) -> None:
            for step in (listed, calls):  # the lists first and safe: a copy that is done again asks for the device only
                session.run(*step)
                session.confirm()

        self._client.run(work)

    def _names(self, pattern: str) -> Iterator[str]:
        """The keys like this, each once, of every primary."""
        seen: set[str] = set()
        for primary in range(self._client.run(lambda session: len(session.every("PING")))):
            cursor = ""
            while cursor != "0":
                cursor, found = self._page(pattern, primary, cursor or "0")
                new = set(found) - seen
                seen |= new
                yield from new

    def _page(self, pattern: str, primary: int, cursor: str) -> tuple[str, list[str]]:
        return self._client.run(lambda session: session.scan(pattern, primary, cursor))

    def _read(self, kind: Kind, names: Sequence[str]) -> list[Record | None]:
        command, fields = _READ[kind]
        calls = [Call(command, (name,), fields) for name in names]
        found = self._client.run(lambda session: session.run(*calls))
        return [self._record(kind, name, values) for name, values in zip(names, found, strict=True)]

    def _name(self, kind: Kind, members: Mapping[str, Any]) -> str:
        """The key at which a record of these members is kept."""
        names: dict[Kind, Callable[[], str]] = {
            Kind.INVITATION: lambda: self._keys.invitation(members["code_hash"]),
            Kind.DEVICE: lambda: self._keys.device(members["client_id"]),
            Kind.KEY: lambda: self._keys.key(members["thumbprint"]),
            Kind.REVOKED: lambda: self._keys.revoked(members["issuer"], members["jti"]),
            Kind.USED: lambda: self._keys.used(members["source"], members["token_id"]),
            Kind.RING: lambda: self._keys.ring,
        }
        return names[kind]()

    def _record(self, kind: Kind, name: str, found: Any) -> Record | None:
        if found is None or (isinstance(found, list) and found[0] is None):
            return None
        if kind is Kind.DEVICE:
            device = device_of(found)
            return None if device is None else Record(kind, device_document(device))
        if kind is Kind.INVITATION:
            return Record(kind, invitation_document(read_invitation(found[0], used_by=found[1])))
        members = self._members(kind, name, found)
        return None if members is None else Record.of(kind, members)

    def _members(self, kind: Kind, name: str, found: Any) -> Mapping[str, Any] | None:
        if kind is Kind.RING:
            return {"version": int(found[0]), "document": found[1]}
        if kind is Kind.KEY:
            return {"thumbprint": self._keys.read_key(name), "client_id": found[1]} if found[0] == COMMITTED else None
        expires_at = float(found.split()[0])
        if kind is Kind.REVOKED:
            issuer, jti = self._keys.read_revoked(name)
            return {"issuer": issuer, "jti": jti, "expires_at": expires_at}
        source, token_id = self._keys.read_used(name)
        return {"source": source, "token_id": token_id, "expires_at": expires_at}

    def _calls(self, kind: Kind, record: Record) -> list[Call]:
        """What puts a record in the place of the one that is there."""
        members = record.members
        name = self._name(kind, members)
        if kind is Kind.DEVICE:
            return [Call("DEL", (name,)), creation(self._keys, read_device_document(record.content))]
        if kind is Kind.INVITATION:
            return [Call("DEL", (name,)), invite_call(self._keys, read_invitation(record.content))]
        if kind is Kind.KEY:
            return [Call("HSET", (name,), ("state", COMMITTED, "of", members["client_id"]))]
        if kind is Kind.RING:
            fields = ("version", members["version"], "document", members["document"], "by", _COPY)
            return [Call("HSET", (name,), fields)]
        expires_at, now = repr(members["expires_at"]), repr(self._clock())
        if kind is Kind.REVOKED:
            return [Call(redis_scripts.REVOKE, (name,), (expires_at, now))]
        return [Call("DEL", (name,)), Call(redis_scripts.USE, (name,), (now, _COPY, expires_at))]

    def _listing(self, kind: Kind, record: Record) -> list[Call]:
        """What puts a device into the lists that it belongs in."""
        if kind is not Kind.DEVICE:
            return []
        device = read_device_document(record.content)
        calls = listing(self._keys, device)
        if device.owner is not None:
            listed = self._keys.of_owner(device.source, device.owner)
            calls.append(Call(redis_scripts.LIST, (listed,), (device.client_id,)))
        if device.owner is not None and device.revoked_at is None:
            places = self._keys.places(device.source, device.owner)
            calls.append(Call("HSET", (places,), (device.client_id, device.thumbprint)))
        return calls


_READ: Final[Mapping[Kind, tuple[str, tuple[str, ...]]]] = {
    Kind.INVITATION: ("HMGET", ("document", "used_by")),
    Kind.DEVICE: ("HMGET", FIELDS),
    Kind.KEY: ("HMGET", ("state", "of")),
    Kind.REVOKED: ("GET", ()),
    Kind.USED: ("GET", ()),
    Kind.RING: ("HMGET", ("version", "document")),
}
"""How each kind is read."""
