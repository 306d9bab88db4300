"""So that a store that is dead costs a request next to nothing: after a failure, nobody waits for the next one."""

import math
import threading
import time
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from authserver.errors import Reason, Unavailable

COOL_DOWN: Final = 1.0
"""Seconds in which nobody tries, after a failure. Then one caller does, and the others go on being refused."""


class CircuitBreaker:
    """Closed while all is well, open after a failure, and closed again by the next success.

    ``timer`` gives seconds since whenever.
    """

    def __init__(self, *, cool_down: float = COOL_DOWN, timer: Callable[[], float] = time.monotonic) -> None:
        self._cool_down = cool_down
        self._timer = timer
        self._lock = threading.Lock()
        self._tries_at = -math.inf

    def enter(self) -> None:
        """Return if a caller may try now.

        :raises Unavailable: ``store_unavailable``; somebody else has tried just now, in vain.
        """
        with self._lock:
            now = self._timer()
            if now < self._tries_at:
                raise Unavailable(Reason.STORE_UNAVAILABLE, cause="tried_just_now")
            if self._tries_at > -math.inf:
                self._tries_at = now + self._cool_down  # this caller tries; the others wait for what comes of it

    def require_closed(self) -> None:
        """Return if all is well. Whoever asks this is not the one who tries.

        :raises Unavailable: ``store_unavailable``; nobody has succeeded since the last failure.
        """
        if self._tries_at > -math.inf:
            raise Unavailable(Reason.STORE_UNAVAILABLE, cause="tried_just_now")

    def succeeded(self) -> None:
        """Let everybody in again."""
        self._tries_at = -math.inf

    def failed(self) -> None:
        """Let nobody in for a while."""
        with self._lock:
            self._tries_at = self._timer() + self._cool_down


class Breakers:
    """A breaker for each server, so that one that is dead takes no other one with it."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._by_server: WeakKeyDictionary[object, CircuitBreaker] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, server: object) -> CircuitBreaker:
        """The breaker of a server, or of whatever stands for one."""
        known = self._by_server.get(server)
        if known is not None:
            return known
        with self._lock:
            return self._by_server.setdefault(server, CircuitBreaker(timer=self._timer))


class Visit:
    """One use of the store, with all of its tries: it passes the breaker of each server once."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers
        self._passed: dict[object, CircuitBreaker] = {}
        self._last: CircuitBreaker | None = None

    def enter(self, server: object) -> None:
        """Go on to a server.

        :raises Unavailable: ``store_unavailable``; somebody else has tried just now, in vain.
        """
        if server not in self._passed:
            breaker = self._breakers.of(server)
            breaker.enter()
            self._passed[server] = breaker
        self._last = self._passed[server]

    def succeeded(self) -> None:
        """Every server that was visited has answered."""
        for breaker in self._passed.values():
            breaker.succeeded()

    def failed(self) -> None:
        """The server that was visited last has not."""
        if self._last is not None:
            self._last.failed()
