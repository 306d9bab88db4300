"""A fetch in the air, and waiting for it: in a thread, or in a task of an event loop."""

import concurrent.futures
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple


def _started() -> "Future[None]":
    landed: Future[None] = Future()
    # From here on it cannot be cancelled, or one task that is cancelled while it waits would end the wait of all.
    landed.set_running_or_notify_cancel()
    return landed


@dataclass(frozen=True, slots=True)
class Flight:
    """One fetch. ``landed`` is done when it came to an end, well or badly; ``started_at`` is in seconds."""

    started_at: float
    landed: "Future[None]" = field(default_factory=_started)


class Wait(NamedTuple):
    """What a caller should wait for before it looks again, and how many seconds at most.

    However many wait, each costs an entry in a list and no thread. A task awaits ``asyncio.wrap_future(landed)``.
    """

    landed: "Future[None]"
    seconds: float

    def block(self) -> None:
        """Hold this thread until the flight has landed, or until the time is up."""
        concurrent.futures.wait((self.landed,), self.seconds)
