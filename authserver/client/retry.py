"""How long to leave a server alone that has failed, and how often to try again all in all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LONGEST_RETRY_AFTER: Final = 300
"""Seconds beyond which ``Retry-After`` is not believed: a slip of the server's must not stop a program for a day."""

BUDGET: Final = 10
"""How many attempts may be repeated at once."""

REGAINED: Final = 30.0
"""Seconds after which one more may be."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double from ``shortest`` to ``longest`` seconds. Each is cut by up to half, at random."""

    shortest: float
    longest: float

    def pause(self, failures: int, jitter: float, retry_after: int | None = None) -> float:
        """The seconds to wait after so many failures in a row; never less than the server asks for.

        ``jitter`` is a random number from 0 to 1, and ``retry_after`` what the server said, in seconds.
        """
        doubled = min(self.longest, self.shortest * 2.0 ** min(failures - 1, 16))
        return max(doubled * (1 - jitter / 2), min(retry_after or 0, LONGEST_RETRY_AFTER))


class RetryBudget:
    """How many repetitions are left, so that many failures do not become many times as many requests.

    For one thread at a time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` must never be set back."""
        self._clock = clock
        self._left = float(BUDGET)
        self._counted_at = clock()

    def take(self) -> bool:
        """Use up one repetition; False if there is none left."""
        now = self._clock()
        self._left = min(BUDGET, self._left + (now - self._counted_at) / REGAINED)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
