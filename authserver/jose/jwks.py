"""An issuer's key set: lock-free reads, one flight, cool-down after failures too, stale-if-error within a bound.

Three rules decide everything here. A token with a known key never waits for one with an unknown key. However
many unknown keys are asked for, the issuer gets at most one question per cool-down. And a key that the issuer
has removed dies within the lifetime of the answer that named it, as long as the issuer can be asked.
"""

import hashlib
import os
import random
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.jose.fetch import Cause, Fetched, unreachable
from authserver.jose.jwk import MAX_KEY_ID, VerificationKey, import_public

MAX_KEYS: Final = 100
"""A set with more keys than this is refused as a whole."""

SHORTEST_LIFETIME: Final = 30
DEFAULT_LIFETIME: Final = 300
LONGEST_LIFETIME: Final = 3600
"""Bounds on the seconds that an answer is fresh, and what holds when it does not say."""

Outcome = Literal["ok", "failed"]


def hash_key_id(kid: str) -> str:
    """A ``kid`` for logs: short, and nothing that anybody could have written into it."""
    return hashlib.sha256(kid.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class StaticKeySet:
    """A key set that never changes: from a file, or one answer of an issuer."""

    def __init__(self, document: Mapping[str, Any], algorithms: Sequence[str]) -> None:
        """Keep the keys that are usable with one of ``algorithms``; others are ignored (RFC 7517 section 5).

        :raises ValueError: it is not a JWK set, has too many keys, or none that is usable.
        """
        self.by_id: Final[Mapping[str, VerificationKey]] = _usable_keys(document, algorithms)

    def find(self, kid: str, algorithm: str, _now: float) -> VerificationKey:
        """See :class:`authserver.jose.verify.Keys`."""
        key = self.by_id.get(kid)
        if key is None:
            raise CredentialRejected(Reason.KEY_UNKNOWN, unverified_kid_sha256=hash_key_id(kid))
        if key.algorithm != algorithm:
            raise CredentialRejected(Reason.ALGORITHM_NOT_ALLOWED, bound_to=key.algorithm)
        return key


@dataclass(frozen=True, slots=True)
class KeySetStatus:
    """What is known of a key set. Keys are (hashed ``kid``, algorithm); ``age`` is in seconds, None without keys."""

    keys: tuple[tuple[str, str], ...]
    age: float | None
    last_error: Cause | None


@dataclass(frozen=True, slots=True)
class _Snapshot:
    key_set: StaticKeySet
    fetched_at: float
    lifetime: float
    refresh_after: float

    def age(self, now: float) -> float:
        # A clock that was set back ages the keys too: they are asked for again, and never trusted for longer.
        return abs(now - self.fetched_at)


@dataclass(frozen=True, slots=True)
class _Landing:
    at: float
    cause: Cause | None


@dataclass(frozen=True, slots=True)
class _Flight:
    started_at: float
    landed: threading.Event = field(default_factory=threading.Event)


class RemoteKeySet:
    """The keys of one issuer, fetched in a thread of their own and read without a lock."""

    def __init__(
        self,
        fetch: Callable[[], Fetched],
        algorithms: Sequence[str],
        *,
        clock: Callable[[], float],
        shortest_lifetime: float = SHORTEST_LIFETIME,
        wait: float = 3.0,
        wait_with_keys: float = 1.0,
        cooldown: float = 30.0,
        failure_cooldown: float = 10.0,
        stale_bound: float = 86400.0,
        jitter: Callable[[], float] = random.random,
        on_fetch: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        """All durations are in seconds, and ``clock`` gives seconds since the epoch.

        No answer counts as fresh for less than ``shortest_lifetime``, so that an issuer that forbids caching is not
        asked all the time. ``wait`` is the longest that a caller waits for a flight, and ``wait_with_keys``
        while there are keys, though not the one it needs; ``stale_bound`` is how old keys may become while the issuer
        cannot be asked; ``jitter`` gives numbers from 0 to 1.
        """
        self._fetch = fetch
        self._algorithms = tuple(algorithms)
        self._clock = clock
        self._shortest_lifetime = shortest_lifetime
        self._wait = wait
        self._wait_with_keys = min(wait, wait_with_keys)
        self._cooldown = cooldown
        self._failure_cooldown = failure_cooldown
        self._stale_bound = stale_bound
        self._jitter = jitter
        self._on_fetch = on_fetch
        self._snapshot: _Snapshot | None = None
        self._landing: _Landing | None = None
        self._flight: _Flight | None = None
        self._lock = threading.Lock()
        _REMOTE_KEY_SETS.add(self)

    def find(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        """See :class:`authserver.jose.verify.Keys`."""
        snapshot = self._snapshot
        if snapshot is None or kid not in snapshot.key_set.by_id:
            # Who has no key at all can only wait. Once there are keys, an unknown one is a new key of the issuer's or
            # a stranger's invention, and while it waits it keeps a thread from those whose key is known.
            self._await(self._take_off(now, asked=True), self._wait if snapshot is None else self._wait_with_keys)
            snapshot = self._current(now)
        elif snapshot.age(now) >= snapshot.refresh_after:
            flight = self._take_off(now)
            if snapshot.age(now) >= snapshot.lifetime and not self._failed_within(snapshot.lifetime, now):
                self._await(
                    flight, self._wait
                )  # the process slept: a key that was removed meanwhile must not slip through
            snapshot = self._current(now)
        return snapshot.key_set.find(kid, algorithm, now)

    def refresh_if_due(self, now: float) -> None:
        """Start a fetch if one is due, without waiting for it."""
        self._take_off(now)

    def status(self, now: float) -> KeySetStatus:
        """What is known at the moment, for readiness and ``check --online``."""
        snapshot, landing = self._snapshot, self._landing
        last_error = landing.cause if landing else None
        if snapshot is None:
            return KeySetStatus((), None, last_error)
        keys = tuple((hash_key_id(kid), key.algorithm) for kid, key in snapshot.key_set.by_id.items())
        return KeySetStatus(keys, snapshot.age(now), last_error)

    def _current(self, now: float) -> _Snapshot:
        """The newest keys, if they may still be used."""
        snapshot, landing = self._snapshot, self._landing
        if snapshot is None or snapshot.age(now) >= self._stale_bound:
            cause = landing.cause if landing and landing.cause else Cause.TIMED_OUT
            raise Unavailable(Reason.ISSUER_UNREACHABLE, retry_after=round(self._failure_cooldown), cause=cause.value)
        return snapshot

    def _failed_within(self, seconds: float, now: float) -> bool:
        landing = self._landing
        return landing is not None and landing.cause is not None and abs(now - landing.at) < seconds

    def _await(self, flight: _Flight | None, longest: float) -> None:
        """Wait for a flight, but not for one that has been in the air for longer than anybody should wait."""
        if flight is not None:
            flight.landed.wait(max(0.0, longest - abs(self._clock() - flight.started_at)))

    def _take_off(self, now: float, *, asked: bool = False) -> _Flight | None:
        """The flight that is in the air, or a new one if the cool-down allows it and it is due or ``asked`` for."""
        with self._lock:
            if self._flight is None and self._may_fetch(now, asked):
                self._flight = flight = _Flight(self._clock())
                self._start(flight)
            return self._flight

    def _may_fetch(self, now: float, asked: bool) -> bool:
        snapshot = self._snapshot
        if self._failed_within(self._failure_cooldown, now):
            return False
        if snapshot is None or snapshot.age(now) >= snapshot.refresh_after:
            return True
        return asked and (self._landing is None or abs(now - self._landing.at) >= self._cooldown)

    def _start(self, flight: _Flight) -> None:
        try:
            threading.Thread(target=self._fly, args=(flight,), name="key-set", daemon=True).start()
        except RuntimeError:  # no more threads, or the interpreter is shutting down
            self._land(flight, Cause.INTERNAL_ERROR)

    def _fly(self, flight: _Flight) -> None:
        cause: Cause | None = Cause.INTERNAL_ERROR
        try:
            self._snapshot = self._take_snapshot(flight.started_at)
            cause = None
        except Unavailable as unavailable:
            cause = Cause(str(unavailable.facts["cause"]))
        finally:
            with self._lock:
                self._land(flight, cause)
            self._on_fetch("ok" if cause is None else "failed")

    def _take_snapshot(self, now: float) -> _Snapshot:
        fetched = self._fetch()
        try:
            keys = StaticKeySet(fetched.document, self._algorithms)
        except ValueError:  # an answer without keys is a mistake of the issuer's, and must not wipe what is known
            raise unreachable(Cause.NO_USABLE_KEY) from None
        said = DEFAULT_LIFETIME if fetched.max_age is None else fetched.max_age
        lifetime = min(max(said, self._shortest_lifetime), LONGEST_LIFETIME)
        return _Snapshot(keys, now, lifetime, lifetime * (0.75 + 0.1 * self._jitter()))

    def _land(self, flight: _Flight, cause: Cause | None) -> None:
        """Called with the lock held. The new keys are in place before anybody who waits is woken."""
        self._landing = _Landing(self._clock(), cause)
        self._flight = None
        flight.landed.set()

    def _forget_flight(self) -> None:
        """A fork leaves the thread behind in the parent, and perhaps a lock that nobody will open."""
        self._flight = None
        self._lock = threading.Lock()


def _usable_keys(document: Mapping[str, Any], algorithms: Sequence[str]) -> dict[str, VerificationKey]:
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError("not a JWK set of a reasonable size")
    named = [(entry["kid"], entry) for entry in entries if isinstance(entry, dict) and _is_key_id(entry.get("kid"))]
    times = Counter(kid for kid, _ in named)
    keys = {}
    for kid, entry in named:
        key = _import(entry, algorithms)
        if key is not None and times[kid] == 1:  # a name that two keys share says which of them for neither
            keys[kid] = key
    if not keys:
        raise ValueError("no usable key")
    return keys


def _is_key_id(kid: object) -> bool:
    return isinstance(kid, str) and 0 < len(kid) <= MAX_KEY_ID


def _import(jwk: Mapping[str, Any], algorithms: Sequence[str]) -> VerificationKey | None:
    try:
        return import_public(jwk, algorithms)
    except ValueError:
        return None


_REMOTE_KEY_SETS: Final["weakref.WeakSet[RemoteKeySet]"] = weakref.WeakSet()


def _forget_flights() -> None:
    for keys in list(_REMOTE_KEY_SETS):
        keys._forget_flight()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_flights)
