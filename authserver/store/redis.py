"""The store for many hosts: Redis 7 or later, or Valkey; one server, a primary that Sentinels watch, or a cluster.

What changes together lies in one slot and is changed by one script at the server; nothing is read first and written
then. Times are judged by the clock of the server that asks, which judges tokens too; how long something is kept is up
to the store's server, which forgets by itself. See docs/explanation/store.md.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from authserver.errors import Conflict, CredentialRejected, Reason, Unavailable
from authserver.model import Device, DeviceRecord, Invitation, Use
from authserver.store import redis_devices, redis_scripts
from authserver.store.ports import RingRecord
from authserver.store.redis_client import RedisClient
from authserver.store.redis_enrollment import Enroller
from authserver.store.redis_keys import Keys
from authserver.store.redis_session import Call, Session

_CHECK_KEPT: Final = 60


class RedisStore:
    """Implements :class:`~authserver.store.ports.Store` at the servers of ``client``, below a prefix of its own.

    Nothing is connected before it is needed. ``clock`` gives seconds since the epoch, and ``randomness`` as many random
    bytes as it is asked for, in hexadecimal.
    """

    def __init__(
        self,
        client: RedisClient,
        prefix: str,
        *,
        clock: Callable[[], float] = time.time,
        randomness: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self._client = client
        self._keys = Keys(prefix)
        self._clock = clock
        self._randomness = randomness

    def read_ring(self) -> RingRecord | None:
        """The current record, or None while there has never been one."""
        read = Call("HMGET", (self._keys.ring,), ("version", "document"))
        version, document = self._client.run(lambda session: session.one(read))
        return None if version is None else RingRecord(int(version), document)

    def replace_ring(self, document: str, *, expected: int | None) -> RingRecord:
        """Replace the record whose version is ``expected``; None means that there must be none yet.

        :raises Conflict: somebody else was first.
        """
        arguments = ("" if expected is None else str(expected), document, self._attempt())
        version = self._confirmed(Call(redis_scripts.REPLACE_RING, (self._keys.ring,), arguments))
        if not version:
            raise Conflict("the key ring was changed by somebody else")
        return RingRecord(int(str(version)), document)

    def use_once(self, source: str, token_id: str, *, expires_at: float, now: float) -> None:
        """Remember that ``token_id`` of ``source`` has been used, until ``expires_at``.

        :raises CredentialRejected: ``used_twice``.
        """
        if self.use_together([Use(source, token_id, expires_at)], now) is not None:
            raise CredentialRejected(Reason.USED_TWICE)

    def use_together(self, uses: Sequence[Use], now: float) -> Use | None:
        """See :meth:`authserver.store.ports.ReplayStore.use_together`.

        Where they cannot be remembered in one step, they are one after the other, and those that were are forgotten
        again when a later one cannot be. So are those of an outage as far as can be, or what was good for nothing yet
        would be refused when it is sent again.
        """
        by = self._attempt()
        tried: list[Use] = []
        for together in self._in_one_slot(uses):
            try:
                used = self._use(together, now, by)
            except Unavailable:
                with suppress(Unavailable):
                    self._forget([*tried, *together], by)
                raise
            if used is not None:
                self._forget(tried, by)
                return used
            tried += together
        return None

    def use_while(self, record: DeviceRecord, uses: Sequence[Use], now: float) -> Use | None:
        """See :meth:`authserver.store.ports.DeviceReplayStore.use_while`.

        In a cluster a device lives apart from what it uses, so there it is looked at first.
        """
        keys = [self._keys.device(record.device.client_id), *self._used(uses)]
        if len(set(map(self._client.slot, keys))) > 1:
            if self.read_record(record.device.client_id) != record:
                raise Conflict("the device has changed")
            return self.use_together(uses, now)
        by = self._attempt()
        arguments = (repr(now), by, *record.version, *(repr(use.expires_at) for use in uses))
        call = Call(redis_scripts.USE_WHILE, keys, arguments)
        try:
            position = self._client.run(lambda session: session.one(call, replicas=True, current=True))
        except Unavailable:
            with suppress(Unavailable):
                self._forget(uses, by)
            raise
        if position < 0:
            self._forget(uses, by)  # an attempt that was interrupted may have come before the change
            raise Conflict("the device has changed")
        return uses[position - 1] if position else None

    def revoke(self, issuer: str, jti: str, *, expires_at: float) -> None:
        """Remember that the token ``jti`` of ``issuer`` was revoked, until ``expires_at``."""
        key = self._keys.revoked(issuer, jti)
        self._confirmed(Call(redis_scripts.REVOKE, (key,), (repr(expires_at), repr(self._clock()))))

    def is_revoked(self, issuer: str, jti: str, now: float) -> bool:
        """Whether that token was revoked, and this is still remembered at ``now``."""
        read = Call("GET", (self._keys.revoked(issuer, jti),))
        expires_at = self._client.run(lambda session: session.one(read, current=True))
        return expires_at is not None and float(expires_at) > now

    def invite(self, invitation: Invitation) -> None:
        """Remember an invitation until it expires."""
        self._client.run(lambda session: redis_devices.invite(session, self._keys, invitation))

    def read_invitation(self, code_hash: str) -> Invitation | None:
        """The invitation with this code, used or not; None if there is none, or none any more."""
        return self._client.run(lambda session: redis_devices.read_invitation(session, self._keys, code_hash))

    def enroll(self, device: Device, *, code_hash: str | None, max_per_owner: int | None, now: float) -> Device:
        """See :meth:`authserver.store.ports.DeviceStore.enroll`."""

        def work(session: Session) -> Device:
            enroller = Enroller(session, self._keys, self._attempt(), now)
            return enroller.enroll(device, code_hash=code_hash, max_per_owner=max_per_owner)

        return self._client.run(work)

    def read_device(self, client_id: str) -> Device | None:
        """The device, revoked or not."""
        return self._client.run(lambda session: redis_devices.read_device(session, self._keys, client_id))

    def read_record(self, client_id: str) -> DeviceRecord | None:
        """The device with what is kept of it."""
        return self._client.run(lambda session: redis_devices.read_record(session, self._keys, client_id))

    def list_devices(
        self, sources: Sequence[str], *, owner: str | None = None, after: str = "", limit: int = 100
    ) -> Sequence[Device]:
        """See :meth:`authserver.store.ports.DeviceStore.list_devices`."""
        return self._client.run(
            lambda session: redis_devices.list_devices(
                session, self._keys, sources, owner=owner, after=after, limit=limit
            )
        )

    def replace_key(
        self, client_id: str, *, expected: str, jwk: Mapping[str, str], thumbprint: str, key_id: str | None
    ) -> Device:
        """See :meth:`authserver.store.ports.DeviceStore.replace_key`."""

        def work(session: Session) -> Device:
            device = redis_devices.read_device(session, self._keys, client_id)
            if device is None:
                raise Conflict("there is no such device")
            changed = replace(device, jwk=dict(jwk), thumbprint=thumbprint, key_id=key_id)
            return Enroller(session, self._keys, self._attempt(), self._clock()).replace_key(changed, expected)

        return self._client.run(work)

    def revoke_device(self, client_id: str, now: float) -> Device | None:
        """See :meth:`authserver.store.ports.DeviceStore.revoke_device`."""
        return self._client.run(lambda session: redis_devices.revoke_device(session, self._keys, client_id, now))

    def check(self) -> None:
        """Return if a write is taken, and received by as many replicas as are wanted."""
        write = Call("SET", (self._keys.check,), (self._attempt(), "EX", _CHECK_KEPT))
        self._client.run(lambda session: session.one(write, replicas=True))

    def sweep(self, now: float) -> None:
        """Do nothing: the server forgets by itself what has expired."""

    def close(self) -> None:
        """Let go of connections. Closing twice is harmless, and a later use opens anew."""
        self._client.close()

    def _confirmed(self, call: Call) -> object:
        """Do one thing that must not be lost."""

        def work(session: Session) -> object:
            answer = session.one(call)
            session.confirm()
            return answer

        return self._client.run(work)

    def _in_one_slot(self, uses: Sequence[Use]) -> list[list[Use]]:
        groups: dict[int, list[Use]] = {}
        for use, key in zip(uses, self._used(uses), strict=True):
            groups.setdefault(self._client.slot(key), []).append(use)
        return list(groups.values())

    def _use(self, uses: Sequence[Use], now: float, by: str) -> Use | None:
        call = Call(redis_scripts.USE, self._used(uses), (repr(now), by, *(repr(use.expires_at) for use in uses)))
        position = self._client.run(lambda session: session.one(call, replicas=True))
        return uses[position - 1] if position else None

    def _used(self, uses: Sequence[Use]) -> list[str]:
        return [self._keys.used(use.source, use.token_id) for use in uses]

    def _forget(self, uses: Sequence[Use], by: str) -> None:
        calls = [Call(redis_scripts.UNUSE, (key,), (by,)) for key in self._used(uses)]
        self._client.run(lambda session: session.run(*calls))

    def _attempt(self) -> str:
        return self._randomness(12)
