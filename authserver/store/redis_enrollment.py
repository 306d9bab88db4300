"""Enrolling a device at a Redis store, and giving it another key: steps of one slot each, which anybody can finish.

A device, its key, its code and the places of its owner may live on four servers, and no step changes more than one of
them. So what is being done, an *attempt*, is written down at the key first, and every step can be taken again without
harm. Whoever meets an attempt in its way finishes it, whether who began it is slow or dead. The design, and what is
left behind at each point where a process can die, are in docs/explanation/store.md.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from authserver.errors import Conflict, CredentialRejected, MetadataRefused, Reason, Unavailable
from authserver.model import Device
from authserver.store import redis_scripts as scripts
from authserver.store.records import key_document
from authserver.store.redis_attempt import Attempt, Root, creation, listing, read_attempt
from authserver.store.redis_devices import read_device, read_devices, read_invitation
from authserver.store.redis_keys import Keys
from authserver.store.redis_session import Call, Session

COMMITTED: Final = "committed"
_ABORTED: Final = "aborted"
_AGAIN: Final = "again"
_GONE: Final = "gone"
_CHANGED: Final = "changed"
_MOST_ROUNDS: Final = 200
"""How often what is in the way is cleared away before the store counts as unavailable."""

_DEEPEST: Final = 6
"""How many attempts can be in each other's way at most, and more: who has a place waits for nobody but itself."""

_UNLIST: Final = "unlist"
_CODE_REASONS: Final = {
    "unknown": Reason.CODE_UNKNOWN,
    "expired": Reason.CODE_EXPIRED,
    "used": Reason.CODE_USED,
}


class Enroller:
    """Works within one session. ``attempt_id`` is this work's own; ``now`` judges the codes of unfinished attempts."""

    def __init__(self, session: Session, keys: Keys, attempt_id: str, now: float) -> None:
        self._session = session
        self._keys = keys
        self._id = attempt_id
        self._now = now
        self._depth = 0

    def enroll(self, device: Device, *, code_hash: str | None, max_per_owner: int | None) -> Device:
        """See :meth:`authserver.store.ports.DeviceStore.enroll`."""
        attempt = Attempt(self._id, device, code_hash, max_per_owner)
        known = self._answered_before(device, code_hash)
        while known is None:
            outcome = self._undertake(attempt)
            if outcome == COMMITTED:
                return device
            if outcome != _GONE:
                raise _refusal(outcome, max_per_owner)
            known = self._answered_before(device, code_hash)
        return known

    def replace_key(self, device: Device, expected: str) -> Device:
        """Give a device the key that ``device`` has; see :meth:`authserver.store.ports.DeviceStore.replace_key`."""
        attempt = Attempt(self._id, device, expected=expected)
        while True:
            before = read_device(self._session, self._keys, device.client_id)
            if before is None or not _still_has(before, expected):
                raise Conflict("the device has another key by now, or is revoked")
            self._resolve(expected)  # a key must be known to be a device's before it is one's no more
            if self._holder(device.thumbprint) is not None:
                raise MetadataRefused(Reason.KEY_ENROLLED_BEFORE)
            outcome = self._undertake(attempt)
            if outcome == COMMITTED:
                return replace(before, jwk=device.jwk, thumbprint=device.thumbprint, key_id=device.key_id)
            if outcome == _CHANGED:
                raise Conflict("the device has another key by now, or is revoked")

    def _answered_before(self, device: Device, code_hash: str | None) -> Device | None:
        """The device that the same caller was given before; None if it was given none and may have one."""
        used_by = self._used_by(code_hash)
        known = self._holder(device.thumbprint)
        if known is not None and used_by is None:
            used_by = self._used_by(code_hash)  # by a twin of this work that was finished only now
        if known is not None and _still_has(known, device.thumbprint):
            answered = _is_same_caller(known, device) if code_hash is None else used_by == known.client_id
            if answered:
                return known
        if used_by is not None:
            raise CredentialRejected(Reason.CODE_USED)
        if known is not None:
            raise MetadataRefused(Reason.KEY_ENROLLED_BEFORE)
        return None

    def _used_by(self, code_hash: str | None) -> str | None:
        if code_hash is None:
            return None
        invitation = read_invitation(self._session, self._keys, code_hash)
        if invitation is None:
            raise CredentialRejected(Reason.CODE_UNKNOWN)
        if invitation.expires_at <= self._now:
            raise CredentialRejected(Reason.CODE_EXPIRED)
        return invitation.used_by

    def _holder(self, thumbprint: str) -> Device | None:
        """The device that has this key, or ever had it, once everything that is being done with the key is done."""
        client_id = self._resolve(thumbprint)
        return None if client_id is None else read_device(self._session, self._keys, client_id)

    def _resolve(self, thumbprint: str) -> str | None:
        """Finish what is being done with a key. The ``client_id`` of the device that it belongs to, if to any."""
        fields = ("state", "id", "of", "attempt", "reason")
        found = self._session.one(Call("HMGET", (self._keys.key(thumbprint),), fields))
        root = Root(found[0], *(value or "" for value in found[1:]))
        if root.attempt and self._finish(read_attempt(root.attempt)) == COMMITTED:
            return root.of
        return root.of if root.state == COMMITTED else None

    def _undertake(self, attempt: Attempt) -> str:
        """Write an attempt down at its key and finish it. "gone" if there is something else at the key."""
        arguments = (attempt.id, attempt.device.client_id, attempt.document())
        found = Root(*self._session.one(self._at_key(attempt, scripts.BEGIN, *arguments)))
        if found.id != attempt.id:
            return _GONE
        return found.reason if found.state == _ABORTED else self._finish(attempt)

    def _finish(self, attempt: Attempt) -> str:
        """Take every step that an attempt still needs. "committed", or why nothing came of it."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Unavailable(Reason.STORE_UNAVAILABLE, cause="entangled")
        try:
            return self._finish_enrollment(attempt) if attempt.expected is None else self._finish_rekeying(attempt)
        finally:
            self._depth -= 1

    def _finish_enrollment(self, attempt: Attempt) -> str:
        who = (attempt.id, attempt.device.client_id)
        reason = self._cleared(self._reserve_code, attempt) or self._cleared(self._reserve_place, attempt)
        if reason is None:
            self._session.confirm()  # nothing is decided on the strength of what may still be lost
            outcome = self._session.one(self._at_key(attempt, scripts.COMMIT, *who))
        else:
            outcome = self._session.one(self._at_key(attempt, scripts.ABORT, *who, reason))
        if outcome != COMMITTED:
            self._session.run(*self._releases(attempt))
            return str(outcome)
        self._session.run(*listing(self._keys, attempt.device), *self._uses_code(attempt))
        self._session.one(creation(self._keys, attempt.device))  # last, so that what is seen is complete
        self._session.confirm()
        self._session.one(self._at_key(attempt, scripts.SETTLE, attempt.device.client_id))
        return COMMITTED

    def _finish_rekeying(self, attempt: Attempt) -> str:
        device, who = attempt.device, (attempt.id, attempt.device.client_id)
        self._session.confirm()  # or the key could be forgotten, and become another device's too
        arguments = (attempt.expected or "", device.thumbprint, key_document(device.jwk, device.key_id))
        if not self._session.one(Call(scripts.REPLACE_KEY, (self._keys.device(device.client_id),), arguments)):
            return str(self._session.one(self._at_key(attempt, scripts.ABORT, *who, _CHANGED)))
        outcome = self._session.one(self._at_key(attempt, scripts.COMMIT, *who))
        self._session.confirm()
        self._session.one(self._at_key(attempt, scripts.SETTLE, device.client_id))
        return str(outcome)

    def _cleared(self, reserve: Callable[[Attempt], str | None], attempt: Attempt) -> str | None:
        """Reserve something once nothing unfinished is in the way. None if that is done; else why it cannot be."""
        for _ in range(_MOST_ROUNDS):
            reason = reserve(attempt)
            if reason != _AGAIN:
                return reason
        raise Unavailable(Reason.STORE_UNAVAILABLE, cause="entangled")

    def _reserve_code(self, attempt: Attempt) -> str | None:
        if attempt.code_hash is None:
            return None
        key = self._keys.invitation(attempt.code_hash)
        arguments = (attempt.holder, attempt.device.client_id, repr(self._now))
        answer = self._session.one(Call(scripts.RESERVE_CODE, (key,), arguments))
        if answer[0] == "reserved":
            self._resolve_reservation(key, answer[1])
            return _AGAIN
        return _CODE_REASONS.get(answer[0])

    def _resolve_reservation(self, code: str, holder: str) -> None:
        """Finish the attempt that has reserved a code. One that came to nothing has it no more."""
        attempt_id, _, thumbprint = holder.partition(" ")
        self._resolve(thumbprint)
        state, current = self._session.one(Call("HMGET", (self._keys.key(thumbprint),), ("state", "id")))
        if current != attempt_id or state == _ABORTED:
            self._session.one(Call(scripts.RELEASE_CODE, (code,), (holder,)))

    def _reserve_place(self, attempt: Attempt) -> str | None:
        device = attempt.device
        if device.owner is None:
            return None
        limit = "" if attempt.max_per_owner is None else attempt.max_per_owner
        arguments = (device.client_id, device.thumbprint, limit)
        taken = self._session.one(Call(scripts.RESERVE_PLACE, self._places(device), arguments))
        if not taken:
            return None
        vacant = self._vacant(dict(zip(taken[::2], taken[1::2], strict=True)))
        self._session.run(*(Call(scripts.RELEASE_PLACE, self._places(device), place) for place in vacant))
        return _AGAIN if vacant else Reason.TOO_MANY_DEVICES

    def _vacant(self, taken: dict[str, str]) -> list[tuple[str, str, str]]:
        """The places that nobody has a right to: those of revoked devices, and of attempts that came to nothing."""
        found = read_devices(self._session, self._keys, list(taken))
        vacant = []
        for (client_id, thumbprint), device in zip(taken.items(), found, strict=True):
            if device is None and self._resolve(thumbprint) != client_id:
                vacant.append((client_id, thumbprint, _UNLIST))
            elif device is not None and device.revoked_at is not None:
                vacant.append((client_id, thumbprint, ""))
        return vacant

    def _releases(self, attempt: Attempt) -> list[Call]:
        device = attempt.device
        calls = []
        if attempt.code_hash is not None:
            calls.append(Call(scripts.RELEASE_CODE, (self._keys.invitation(attempt.code_hash),), (attempt.holder,)))
        if device.owner is not None:
            arguments = (device.client_id, device.thumbprint, _UNLIST)
            calls.append(Call(scripts.RELEASE_PLACE, self._places(device), arguments))
        return calls

    def _uses_code(self, attempt: Attempt) -> list[Call]:
        if attempt.code_hash is None:
            return []
        return [Call(scripts.USE_CODE, (self._keys.invitation(attempt.code_hash),), (attempt.device.client_id,))]

    def _places(self, device: Device) -> tuple[str, str]:
        owner = device.owner or ""
        return self._keys.places(device.source, owner), self._keys.of_owner(device.source, owner)

    def _at_key(self, attempt: Attempt, script: scripts.Script, *arguments: str) -> Call:
        return Call(script, (self._keys.key(attempt.device.thumbprint),), arguments)


def _still_has(device: Device, thumbprint: str) -> bool:
    return device.thumbprint == thumbprint and device.revoked_at is None


def _is_same_caller(known: Device, device: Device) -> bool:
    return (known.source, known.owner, known.sub) == (device.source, device.owner, device.sub)


def _refusal(reason: str, max_per_owner: int | None) -> CredentialRejected | MetadataRefused:
    """Why an attempt came to nothing, as it is told."""
    if reason == Reason.TOO_MANY_DEVICES:
        return MetadataRefused(Reason.TOO_MANY_DEVICES, max_per_owner=max_per_owner)
    return CredentialRejected(Reason(reason))
