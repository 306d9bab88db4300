"""The keys that an issuer publishes: lock-free reads, one flight, cool-down after failures, stale-if-error to a bound.

Three rules decide everything. A token with a known key never waits for one with an unknown key. However many unknown
keys are asked for, the issuer gets at most one question per cool-down. And a key that the issuer has removed dies
within the lifetime of the answer that named it, as long as the issuer can be asked.
"""

import os
import random
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from authserver.errors import Reason, Unavailable
from authserver.jose.fetch import Cause, Fetched, unreachable
from authserver.jose.flight import Flight, Wait
from authserver.jose.jwk import VerificationKey
from authserver.jose.key_cache import CachedKeys, KeyCacheFile
from authserver.jose.key_set import KnownKeys, hash_key_id

SHORTEST_LIFETIME: Final = 30
DEFAULT_LIFETIME: Final = 300
LONGEST_LIFETIME: Final = 3600
"""Bounds on the seconds that an answer is fresh, and what holds when it does not say."""

Outcome = Literal["ok", "failed"]
KnownKeysT_co = TypeVar("KnownKeysT_co", bound=KnownKeys, covariant=True)


@dataclass(frozen=True, slots=True)
class KeySetStatus:
    """What is known of a key set. Keys are (hashed ``kid``, algorithm); ``age`` is in seconds, None without keys."""

    keys: tuple[tuple[str, str], ...]
    age: float | None
    last_error: Cause | None


@dataclass(frozen=True, slots=True)
class _Snapshot(Generic[KnownKeysT_co]):
    key_set: KnownKeysT_co
    fetched_at: float
    lifetime: float
    refresh_after: float
    usable_for: float

    def age(self, now: float) -> float:
        # A clock that was set back ages the keys too: they are asked for again, and never trusted for longer.
        return abs(now - self.fetched_at)


@dataclass(frozen=True, slots=True)
class _Landing:
    at: float
    cause: Cause | None


class RemoteKeys(ABC, Generic[KnownKeysT_co]):
    """The keys of one issuer, fetched in a thread of their own and read without a lock.

    In what form an issuer publishes them is for the classes made from this one.
    """

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
        cache: KeyCacheFile | None = None,
    ) -> None:
        """All durations are in seconds, and ``clock`` gives seconds since the epoch.

        No answer counts as fresh for less than ``shortest_lifetime``, so that an issuer that forbids caching is not
        asked all the time. ``wait`` is the longest that a caller waits for a flight, and ``wait_with_keys``
        while there are keys, though not the one it needs; ``stale_bound`` is how old keys may become while the issuer
        cannot be asked, if that is more than their lifetime; ``jitter`` gives numbers from 0 to 1. What ``cache`` holds
        counts as an answer of the time when it was fetched.
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
        self._cache = cache
        self._snapshot: _Snapshot[KnownKeysT_co] | None = self._recalled()
        self._landing: _Landing | None = None
        self._flight: Flight | None = None
        self._lock = threading.Lock()
        _REMOTE.add(self)

    @abstractmethod
    def _read(self, document: Mapping[str, Any]) -> KnownKeysT_co:
        """The keys in what was fetched.

        :raises ValueError: it is not what an issuer publishes, and must not take the place of what is known.
        """

    def _lifetime(self, fetched: Fetched) -> float:
        """For how many seconds an answer says that it is fresh."""
        return DEFAULT_LIFETIME if fetched.max_age is None else fetched.max_age

    def find(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        """See :class:`authserver.jose.verify.Keys`. Waits in this thread where there is something to wait for."""
        wait = self.awaited(kid, now)
        if wait is not None:
            wait.block()
        return self.find_now(kid, algorithm, now)

    def latest(self, now: float) -> KnownKeysT_co:
        """All keys. Waits in this thread while there are none, or only some that have expired unnoticed.

        :raises Unavailable: ``issuer_unreachable``, there are none, or they are too old.
        """
        wait = self.awaited(None, now)
        if wait is not None:
            wait.block()
        return self._usable(now)

    def awaited(self, kid: str | None, now: float) -> Wait | None:
        """What who needs ``kid`` should wait for before :meth:`find_now`; None when waiting would not help.

        Starts a fetch if one is due, or if the key is unknown and the cool-down allows it. Without a ``kid`` whatever
        keys there are will do.
        """
        snapshot = self._snapshot
        if snapshot is None or (kid is not None and kid not in snapshot.key_set.by_id):
            # Who has no key at all can only wait. Once there are keys, an unknown one is a new key of the issuer's or
            # a stranger's invention, and while it waits it keeps a place from those whose key is known.
            longest = self._wait if snapshot is None else self._wait_with_keys
            return self._wait_for(self._take_off(now, asked=True), longest)
        age = snapshot.age(now)
        if age < snapshot.refresh_after:
            return None
        flight = self._take_off(now)
        if flight is None or not (age >= snapshot.usable_for or self._slept(snapshot, flight, now)):
            return None
        return self._wait_for(flight, self._wait)

    def at_hand(self, kid: str, now: float) -> VerificationKey | None:
        """The key if it is there and no fetch is due, which is nearly always. None says nothing: ask the long way."""
        if (snapshot := self._snapshot) is None or abs(now - snapshot.fetched_at) >= snapshot.refresh_after:
            return None
        return snapshot.key_set.by_id.get(kid)

    def find_now(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        """The key by what is known at this moment; never waits.

        :raises CredentialRejected: ``key_unknown`` or ``algorithm_not_allowed``.
        :raises Unavailable: ``issuer_unreachable``, there are no keys, or they are too old.
        """
        return self._usable(now).find(kid, algorithm, now)

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

    def _usable(self, now: float) -> KnownKeysT_co:
        snapshot = self._snapshot
        if snapshot is None or snapshot.age(now) >= snapshot.usable_for:
            raise self._unreachable()
        return snapshot.key_set

    def _unreachable(self) -> Unavailable:
        landing = self._landing
        cause = landing.cause if landing and landing.cause else Cause.TIMED_OUT
        return Unavailable(Reason.ISSUER_UNREACHABLE, retry_after=round(self._failure_cooldown), cause=cause.value)

    def _failed_within(self, seconds: float, now: float) -> bool:
        landing = self._landing
        return landing is not None and landing.cause is not None and abs(now - landing.at) < seconds

    def _slept(self, snapshot: _Snapshot[KnownKeysT_co], flight: Flight, now: float) -> bool:
        """Whether keys have expired and nobody tried to renew them: one that was removed must not slip through.

        An issuer that was asked in good time and has failed, or has not answered yet, holds nobody.
        """
        asked_in_time = snapshot.age(flight.started_at) < snapshot.lifetime
        expired = snapshot.age(now) >= snapshot.lifetime
        # Not to ask during a cool-down is no sleep, and a lifetime may be shorter than that.
        lately = max(snapshot.lifetime, 2 * self._failure_cooldown)
        return expired and not asked_in_time and not self._failed_within(lately, now)

    def _wait_for(self, flight: Flight | None, longest: float) -> Wait | None:
        """A wait, but not for a flight that has been in the air for longer than anybody should wait."""
        if flight is None:
            return None
        left = longest - abs(self._clock() - flight.started_at)
        return Wait(flight.landed, left) if left > 0 else None

    def _take_off(self, now: float, *, asked: bool = False) -> Flight | None:
        """The flight that is in the air, or a new one if the cool-down allows it and it is due or ``asked`` for."""
        with self._lock:
            if self._flight is None and self._may_fetch(now, asked):
                self._flight = flight = Flight(self._clock())
                self._start(flight)
            return self._flight

    def _may_fetch(self, now: float, asked: bool) -> bool:
        snapshot = self._snapshot
        if self._failed_within(self._failure_cooldown, now):
            return False
        if snapshot is None or snapshot.age(now) >= snapshot.refresh_after:
            return True
        return asked and (self._landing is None or abs(now - self._landing.at) >= self._cooldown)

    def _start(self, flight: Flight) -> None:
        try:
            threading.Thread(target=self._fly, args=(flight,), name="key-set", daemon=True).start()
        except RuntimeError:  # no more threads, or the interpreter is shutting down
            self._land(flight, Cause.INTERNAL_ERROR)

    def _fly(self, flight: Flight) -> None:
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

    def _take_snapshot(self, now: float) -> _Snapshot[KnownKeysT_co]:
        fetched = self._fetch()
        try:
            snapshot = self._snapshot_of(CachedKeys(fetched.document, now, self._lifetime(fetched)))
        except ValueError:  # an answer without keys is a mistake of the issuer's, and must not wipe what is known
            raise unreachable(Cause.NO_USABLE_KEY) from None
        if self._cache is not None:
            self._cache.save(CachedKeys(fetched.document, now, snapshot.lifetime))
        return snapshot

    def _recalled(self) -> _Snapshot[KnownKeysT_co] | None:
        cached = self._cache.load() if self._cache is not None else None
        try:
            return self._snapshot_of(cached) if cached is not None else None
        except ValueError:  # none of them can be used with the algorithms of today
            return None

    def _snapshot_of(self, keys: CachedKeys) -> _Snapshot[KnownKeysT_co]:
        """:raises ValueError: there is no usable key among them."""
        lifetime = min(max(keys.lifetime, self._shortest_lifetime), LONGEST_LIFETIME)
        return _Snapshot(
            self._read(keys.document),
            keys.fetched_at,
            lifetime,
            refresh_after=lifetime * (0.75 + 0.1 * self._jitter()),
            usable_for=max(lifetime, self._stale_bound),
        )

    def _land(self, flight: Flight, cause: Cause | None) -> None:
        """Called with the lock held. The new keys are in place before anybody who waits is woken."""
        self._landing = _Landing(self._clock(), cause)
        self._flight = None
        flight.landed.set_result(None)

    def _forget_flight(self) -> None:
        """A fork leaves the thread behind in the parent, and perhaps a lock that nobody will open."""
        self._flight = None
        self._lock = threading.Lock()


_REMOTE: Final["weakref.WeakSet[RemoteKeys[KnownKeys]]"] = weakref.WeakSet()


def _forget_flights() -> None:
    for keys in list(_REMOTE):
        keys._forget_flight()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_flights)
