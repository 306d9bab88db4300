"""What time it is for the server, so that a machine whose own clock is wrong can be served."""

from collections.abc import Callable
from typing import Final

TOLERANCE: Final = 5
"""Seconds that two clocks may seem to differ because an answer takes its time, and ``Date`` has whole seconds."""


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
