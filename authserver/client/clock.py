"""What time it is for the server, and how long ago something was, on a machine that sleeps and has its clock set."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

TOLERANCE: Final = 5
"""Seconds that two clocks may seem to differ because an answer takes its time, and ``Date`` has whole seconds."""

# On Linux the monotonic clock stands still while the machine sleeps; on macOS the one that is called so does not.
_UPTIME: Final = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC


class ServerClock:
    """The server's time in seconds since the epoch: this machine's, corrected by what the server says it is."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._offset = 0.0

    def __call__(self) -> float:
        """The time of the server, as well as it is known."""
        return self._clock() + self._offset

    def learn(self, date: float | None) -> bool:
        """Take note of the ``Date`` of an answer that has just come; whether what was known before was wrong."""
        if date is None or abs(date - self()) <= TOLERANCE:
            return False
        self._offset = date - self._clock()
        return True


def uptime() -> float:
    """The seconds since this machine was started, those that it slept included. Nobody can set this clock."""
    return time.clock_gettime(_UPTIME)


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment on this machine, by the clock that nobody sets and by the one on the wall, both in seconds."""

    uptime: float
    wall: float


class Stopwatch:
    """Tells how long ago something was, and rather too much than too little.

    The clock that nobody sets stands still in a virtual machine that is paused, and the one on the wall can be set
    back. What either of them has seen pass has passed.
    """

    def __init__(self, uptime: Callable[[], float] = uptime, wall: Callable[[], float] = time.time) -> None:
        self._uptime = uptime
        self._wall = wall

    def now(self) -> Instant:
        """This moment."""
        return Instant(self._uptime(), self._wall())

    def since(self, instant: Instant) -> float:
        """How many seconds ago that was."""
        return max(self._uptime() - instant.uptime, self._wall() - instant.wall)
