"""A limit on failures for each address.

What succeeds is not limited, for many workloads share one address; but what could be guessed is not even looked at.
"""

import math
import threading
from collections.abc import Callable
from typing import Final

from limits import RateLimitItem, parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from authserver.errors import Refused, TooManyFailures

OFF: Final = "off"

MAX_ADDRESSES: Final = 10_000
"""How many addresses are counted at a time. The one that has not failed for longest makes room for another."""


class FailureLimit:
    """Counts failures in this process, in windows that begin with an address's first failure.

    ``rate`` is spelled like ``60/minute``, or ``off``; ``clock`` gives seconds since the epoch.
    """

    def __init__(self, rate: str, *, clock: Callable[[], float]) -> None:
        self._rate: RateLimitItem | None = None if rate == OFF else parse(rate)
        self._limiter = FixedWindowRateLimiter(BoundedStorage(clock))
        self._clock = clock

    def count(self, address: str, refused: Refused) -> None:
        """Count one failure.

        :raises TooManyFailures: there were too many from this address, so this one is answered differently.
        """
        if self._rate is not None and not self._limiter.hit(self._rate, address):
            raise self._exceeded(self._rate, address, refused) from refused

    def check(self, address: str) -> None:
        """Check that an address may have another answer, before it gets one that could be guessed at.

        :raises TooManyFailures: there were as many failures from this address as there may be.
        """
        if self._rate is not None and not self._limiter.test(self._rate, address):
            raise self._exceeded(self._rate, address, None)

    def _exceeded(self, rate: RateLimitItem, address: str, refused: Refused | None) -> TooManyFailures:
        reset = self._limiter.get_window_stats(rate, address).reset_time
        return TooManyFailures(max(1, math.ceil(reset - self._clock())), because=refused)


class BoundedStorage(Storage):
    """Windows in memory, of a bounded number of keys.

    The library's own memory storage keeps every key until its window is over and looks at all of them in a thread of
    its own, again and again. Anybody can fail from 65,536 networks of one IPv6 allocation.
    """

    def __init__(self, clock: Callable[[], float], *, capacity: int = MAX_ADDRESSES) -> None:
        super().__init__()
        self._clock = clock
        self._capacity = capacity
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[float, int]] = {}  # when the window ends, and what was counted in it

    @property
    def base_exceptions(self) -> type[Exception]:
        """What a call may raise: nothing does."""
        return Exception

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count ``amount`` more in a window of ``expiry`` seconds; what was counted in it by now."""
        now = self._clock()
        with self._lock:
            ends, counted = self._windows.pop(key, (0.0, 0))
            if not now < ends <= now + expiry:  # it is over, or began before the clock was set back
                ends, counted = now + expiry, 0
            self._windows[key] = (ends, counted + amount)
            if len(self._windows) > self._capacity:
                del self._windows[next(iter(self._windows))]
        return counted + amount

    def get(self, key: str) -> int:
        """What was counted in the window that is open."""
        ends, counted = self._windows.get(key, (0.0, 0))
        return counted if self._clock() < ends else 0

    def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since the epoch."""
        return self._windows.get(key, (self._clock(), 0))[0]

    def check(self) -> bool:
        """Memory is always there."""
        return True

    def reset(self) -> int:
        """Forget everything; how many keys there were."""
        with self._lock:
            count = len(self._windows)
            self._windows.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget one key."""
        with self._lock:
            self._windows.pop(key, None)
