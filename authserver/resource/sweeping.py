"""Seeing to it that a replay store which has to be swept is, so that a file does not grow for ever."""

import contextlib
import threading
from typing import Final, Protocol, runtime_checkable

from authserver.errors import Unavailable
from authserver.resource.replay import Replay

EVERY: Final = 60.0
"""Seconds between two sweeps by one process."""


@runtime_checkable
class Sweepable(Replay, Protocol):
    """A replay store that forgets what has expired only when it is told to, as those of :mod:`authserver.store`."""

    def sweep(self, now: float) -> None:
        """Forget what has expired at ``now``, in seconds since the epoch.

        :raises Unavailable: the store is away.
        """
        ...  # a protocol has no body


class SweptReplay:
    """``store``, which is told to forget once a minute, beside the requests and only while there are any.

    Each sweep is a thread of its own that ends, so there is nothing that a fork could leave behind.
    """

    def __init__(self, store: Sweepable) -> None:
        self._store = store
        self._due = 0.0

    def use_once(self, source: str, token_id: str, *, expires_at: float, now: float) -> None:
        """See :class:`~authserver.resource.replay.Replay`."""
        self._store.use_once(source, token_id, expires_at=expires_at, now=now)
        if now >= self._due:
            self._due = now + EVERY
            with contextlib.suppress(RuntimeError):  # no more threads: the next minute will do
                threading.Thread(target=self._sweep, args=(now,), name="replay-sweep", daemon=True).start()

    def _sweep(self, now: float) -> None:
        with contextlib.suppress(Unavailable):  # whoever uses it next is told
            self._store.sweep(now)


def swept(replay: Replay) -> Replay:
    """``replay``, which is swept from now on if it has to be."""
    return SweptReplay(replay) if isinstance(replay, Sweepable) else replay
