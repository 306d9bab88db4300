"""Whether the ring keeps its own plan: what is due next, and what was due and has not been done.

States follow from time alone, so a ring that nobody moves on still hands over to its next key. What does not happen
then is the work: making a key for the time after, forgetting a private half, withdrawing a public one.
"""

import logging
import math
from collections.abc import Callable
from typing import Final

from authserver.errors import Unavailable
from authserver.keys.ring import Ring
from authserver.keys.rotate import KeyRing
from authserver.keys.schedule import Plan

TURNS: Final = 30
"""How many times the ring may be looked at in vain before that is worth an alarm."""

_log = logging.getLogger("authserver")


def due_since(ring: Ring, algorithm: str, now: float) -> float | None:
    """Since when work on the keys of ``algorithm`` has been waiting; None when everything is done."""
    entries = ring.of(algorithm)
    if not entries:
        return -math.inf
    current = ring.active(algorithm, now)
    undone = [entry.retires_at for entry in entries if entry.wrapped_private is not None and entry.retires_at <= now]
    undone += [entry.removed_at for entry in entries if entry.removed_at <= now]
    if ring.successor(algorithm, now if current is None else current.activates_at) is None:
        undone.append(current.activates_at if current else max(entry.retires_at for entry in entries))
    return min(undone, default=None)


def next_change(ring: Ring, algorithm: str, now: float) -> float:
    """When the plan of ``algorithm`` next changes a key: in the past when that was due and is not done."""
    since = due_since(ring, algorithm, now)
    if since is not None:
        return since
    times = (at for entry in ring.of(algorithm) for at in (entry.activates_at, entry.retires_at, entry.removed_at))
    return min(at for at in times if at > now)


class RotationAlarm:
    """Tells the operator, once each time, when work on the ring has been waiting for too long."""

    def __init__(self, ring: KeyRing, plan: Plan, clock: Callable[[], float]) -> None:
        self.algorithms: Final = plan.algorithms
        self._ring = ring
        self._patience = TURNS * plan.reread_every
        self._clock = clock
        self._raised: frozenset[str] = frozenset()

    def is_overdue(self, ring: Ring, algorithm: str, now: float) -> bool:
        """Whether work on the keys of ``algorithm`` has been waiting for longer than ``TURNS`` looks at ``ring``."""
        since = due_since(ring, algorithm, now)
        return since is not None and now - since > self._patience

    def check(self) -> None:
        """Write a line in the log when an algorithm has become overdue, and another when it no longer is."""
        try:
            ring = self._ring.ring
        except Unavailable:
            return  # never read, and who tries to read it has told
        now = self._clock()
        overdue = frozenset(algorithm for algorithm in self.algorithms if self.is_overdue(ring, algorithm, now))
        for algorithm in sorted(overdue - self._raised):
            _log.error("key rotation is overdue", extra={"algorithm": algorithm})
        for algorithm in sorted(self._raised - overdue):
            _log.warning("key rotation is no longer overdue", extra={"algorithm": algorithm})
        self._raised = overdue
