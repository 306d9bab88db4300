"""The key ring at work: one object per process that reads it, moves it on, and hands out what signs and what is shown.

Every node does all of this at the same time without a leader. A change is worked out from what the store holds and
put back by compare-and-swap; whoever was slower starts again from the winner's ring.
"""

import hashlib
import json
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from authserver.errors import ConfigurationError, Conflict, Reason, Unavailable
from authserver.jose import jwk
from authserver.jose.jwk import SigningKey
from authserver.keys import schedule
from authserver.keys.ring import Entry, Ring, decode, encode
from authserver.keys.schedule import NewKey, Plan
from authserver.keys.wrapping import MasterKeys
from authserver.store.ports import RingRecord, RingStore

ATTEMPTS: Final = 20
"""How often a change is tried against others that change the ring at the same moment."""

LONGEST_WAIT: Final = 60
"""The most seconds that a caller is told to wait for a key."""

Change = Callable[[Ring, float], Ring]


class KeySetDocument(NamedTuple):
    """What the JWKS endpoint answers (RFC 7517 section 5): its body, a strong ETag, and ``max-age`` in seconds."""

    body: bytes
    etag: str
    max_age: int


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The ring as this process knows it. Replaced whole, so that a reader needs no lock."""

    ring: Ring
    record: RingRecord | None
    known_at: float
    keys: Mapping[str, SigningKey] = field(repr=False)


class KeyRing:
    """Keeps the ring of ``issuer`` in ``store``, and moves it on by ``plan``.

    :meth:`refresh` must be called at least every ``plan.reread_every`` seconds. Signing and serving keys read memory
    only, and go on by the planned times while the store is away.
    """

    def __init__(
        self,
        store: RingStore,
        plan: Plan,
        issuer: str,
        master_keys: MasterKeys,
        clock: Callable[[], float],
        *,
        begin: bool = True,
    ) -> None:
        """With ``begin`` a store without a ring is given one. Without, it is an outage: who only works with a ring must
        not begin another, whose first key would sign at once, beside the one that verifiers know.
        """
        self._store = store
        self._plan = plan
        self._issuer = issuer
        self._master_keys = master_keys
        self._clock = clock
        self._begin = begin
        self._snapshot: _Snapshot | None = None
        # Orders what this process reads and writes, so that an older reading never replaces a newer one. Keys are
        # generated, and tokens signed, outside of it.
        self._exchange = threading.Lock()
        self._rendered: tuple[Mapping[str, object], bytes, str] | None = None

    @property
    def ring(self) -> Ring:
        """The ring as it was last read or written here.

        :raises Unavailable: ``store_unavailable``, when it was never read.
        """
        return self._known().ring

    def refresh(self) -> None:
        """Read the ring anew and do whatever is due.

        :raises Unavailable: the store is away; what is in memory stays in use.
        :raises MasterKeyWrong: a private key does not unwrap.
        :raises RingUnreadable: the stored ring cannot be read.
        """
        self._change(lambda ring, _now: ring)

    def reread(self) -> None:
        """Read the ring anew, and do nothing that is due.

        :raises Unavailable: the store is away, or what it holds cannot be read; what is in memory stays in use.
        """
        try:
            self._read()
        except ConfigurationError as error:
            raise Unavailable(Reason.STORE_UNAVAILABLE, cause=type(error).__name__) from error

    def rotate_now(self) -> None:
        """Let the next keys take over as early as is safe; :attr:`ring` then has the times.

        :raises Unavailable: the store is away; nothing was changed.
        """
        self._change(lambda ring, now: schedule.rotate(ring, now, self._plan))

    def revoke(self, kid: str, *, force: bool = False) -> None:
        """Withdraw a key at once and for ever; nodes follow within ``plan.reread_every``.

        :raises KeyUnknown: the ring has no such key.
        :raises KeyTooYoung: its successor is not in every cache yet, and ``force`` is false.
        :raises Unavailable: the store is away; nothing was changed.
        """
        self._change(lambda ring, now: schedule.revoke(ring, kid, now, self._plan, force=force))

    def rewrap(self) -> int:
        """Wrap every private key anew that a previous master key wrapped; how many there were.

        When it returns, no previous master key is needed any more.

        :raises MasterKeyWrong: a private key opens with no master key that is configured; nothing was changed.
        :raises Unavailable: the store is away; nothing was changed.
        """
        stale: list[Entry] = []

        def change(ring: Ring, _now: float) -> Ring:
            stale[:] = (entry for entry in ring.entries if not self._is_current(entry))
            return ring.put(*map(self._rewrapped, stale))

        self._change(change)
        return len(stale)

    @property
    def wrapped_by_previous(self) -> int:
        """How many private keys are wrapped by a previous master key, so that it is still needed."""
        return sum(not self._is_current(entry) for entry in self.ring.entries)

    def signing_key(self, algorithm: str, now: float) -> SigningKey:
        """The key that signs at ``now``.

        :raises Unavailable: ``no_active_key``, with the time until there is one.
        """
        snapshot = self._known()
        entry = snapshot.ring.active(algorithm, now)
        if entry is None:
            due = snapshot.ring.successor(algorithm, now)
            wait = self._plan.reread_every if due is None else due.activates_at - now
            raise Unavailable(
                Reason.NO_ACTIVE_KEY, retry_after=max(1, min(math.ceil(wait), LONGEST_WAIT)), algorithm=algorithm
            )
        return snapshot.keys[entry.kid]

    def ready(self, now: float) -> tuple[str, ...]:
        """The configured algorithms that can sign at ``now``; none while the ring was never read."""
        snapshot = self._snapshot
        if snapshot is None:
            return ()
        return tuple(name for name in self._plan.algorithms if snapshot.ring.active(name, now) is not None)

    def jwks(self, now: float) -> KeySetDocument:
        """The public keys to show at ``now``.

        The first time ever, that keys were shown is written to the store before they are: from then on no key may
        sign at once.

        :raises Unavailable: that could not be written, or the ring was never read.
        """
        snapshot = self._known()
        if not snapshot.ring.served:
            snapshot = self._change(lambda ring, _now: replace(ring, served=True))
        body, etag = self._render({entry.kid: entry.public_jwk for entry in snapshot.ring.published(now)})
        return KeySetDocument(body, etag, schedule.max_age(snapshot.ring, now, snapshot.known_at, self._plan))

    def _render(self, members: Mapping[str, Mapping[str, str]]) -> tuple[bytes, str]:
        rendered = self._rendered
        if rendered is None or rendered[0] != members:
            body = json.dumps({"keys": list(members.values())}, separators=(",", ":")).encode("ascii")
            rendered = self._rendered = (members, body, f'"{hashlib.sha256(body).hexdigest()}"')
        return rendered[1], rendered[2]

    def _known(self) -> _Snapshot:
        snapshot = self._snapshot
        if snapshot is None:
            raise Unavailable(Reason.STORE_UNAVAILABLE, cause="the key ring was never read")
        return snapshot

    def _change(self, change: Change) -> _Snapshot:
        for _ in range(ATTEMPTS):
            seen = self._read()
            now = self._clock()
            advanced = schedule.advance(seen.ring, now, self._plan, self._new_key)
            changed = schedule.advance(change(advanced, now), now, self._plan, self._new_key)
            if changed == seen.ring and seen.record is not None:
                return seen
            try:
                return self._write(changed, seen.record)
            except Conflict:
                continue
        raise Unavailable(Reason.STORE_UNAVAILABLE, cause="others keep changing the key ring")

    def _read(self) -> _Snapshot:
        with self._exchange:
            known_at = self._clock()
            record = self._store.read_ring()
            if record is None and self._snapshot is None and not self._begin:
                raise Unavailable(Reason.STORE_UNAVAILABLE, cause="the store has no key ring")
            if record is None:
                # A store that lost the ring gets back what this process knows, or verifiers would lose every key.
                ring = Ring() if self._snapshot is None else self._snapshot.ring
                return _Snapshot(ring, None, known_at, {})
            if self._snapshot is not None and self._snapshot.record == record:
                self._snapshot = replace(self._snapshot, known_at=known_at)
                return self._snapshot
            return self._adopt(decode(record.document), record, known_at)

    def _write(self, ring: Ring, seen: RingRecord | None) -> _Snapshot:
        with self._exchange:
            known_at = self._clock()
            record = self._store.replace_ring(encode(ring), expected=None if seen is None else seen.version)
            return self._adopt(ring, record, known_at)

    def _adopt(self, ring: Ring, record: RingRecord, known_at: float) -> _Snapshot:
        self._snapshot = _Snapshot(ring, record, known_at, self._unwrapped(ring))
        return self._snapshot

    def _unwrapped(self, ring: Ring) -> Mapping[str, SigningKey]:
        known = {} if self._snapshot is None else self._snapshot.keys
        return {
            entry.kid: known.get(entry.kid) or self._unwrap(entry.kid, entry.algorithm, entry.wrapped_private)
            for entry in ring.entries
            if entry.wrapped_private is not None
        }

    def _unwrap(self, kid: str, algorithm: str, wrapped: str) -> SigningKey:
        private = self._master_keys.unwrap(wrapped, issuer=self._issuer, kid=kid, algorithm=algorithm)
        return SigningKey(kid, algorithm, private)

    def _is_current(self, entry: Entry) -> bool:
        return entry.wrapped_private is None or self._master_keys.is_current(entry.wrapped_private)

    def _rewrapped(self, entry: Entry) -> Entry:
        key = self._unwrap(entry.kid, entry.algorithm, entry.wrapped_private or "")
        wrapped = self._master_keys.wrap(key.private, issuer=self._issuer, kid=entry.kid, algorithm=entry.algorithm)
        return replace(entry, wrapped_private=wrapped)

    def _new_key(self, algorithm: str) -> NewKey:
        kid = "-"
        while kid.startswith("-"):  # or every command line would take this name for an option
            private = jwk.generate(algorithm)
            kid = jwk.thumbprint(jwk.export_public(private.public_key()))
        public = jwk.export_public(private.public_key(), kid=kid, algorithm=algorithm)
        return NewKey(kid, public, self._master_keys.wrap(private, issuer=self._issuer, kid=kid, algorithm=algorithm))
