"""A limit on failures for each address. What succeeds is never limited: many workloads share one address."""

import math
from collections.abc import Callable
from typing import Final

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from authserver.errors import Refused, TooManyFailures

OFF: Final = "off"


class FailureLimit:
    """Counts failures in this process. ``rate`` is spelled like ``60/minute``, or ``off``."""

    def __init__(self, rate: str, *, clock: Callable[[], float]) -> None:
        self._rate = None if rate == OFF else parse(rate)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._clock = clock

    def count(self, address: str, refused: Refused) -> None:
        """Count one failure.

        :raises TooManyFailures: there were too many from this address, so this one is answered differently.
        """
        if self._rate is None or self._limiter.hit(self._rate, address):
            return
        reset = self._limiter.get_window_stats(self._rate, address).reset_time
        raise TooManyFailures(max(1, math.ceil(reset - self._clock())), because=refused) from refused
