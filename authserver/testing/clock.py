"""A clock that moves only when a test moves it."""

from typing import Final

_START: Final = 1_800_000_000.0


class FrozenClock:
    """A stand-in for :func:`time.time`: call it to read it, in seconds since the epoch."""

    def __init__(self, now: float = _START) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time it stands at."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move forward, or backward by a negative number of ``seconds``."""
        self.now += seconds
