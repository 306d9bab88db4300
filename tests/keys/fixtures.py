"""Plans, instants and keys that the tests of this room share."""

import itertools
from collections.abc import Callable

from authserver.keys.ring import Ring, State
from authserver.keys.schedule import NewKey, Plan, advance

DAY = 86400.0
NOW = 1_800_000_000.0
ISSUER = "https://issuer.test"
PLAN = Plan(("ES256",), rotate_every=30 * DAY, publish_ahead=DAY, jwks_max_age=300, skew=30)


def key_maker() -> Callable[[str], NewKey]:
    """Makes names instead of keys: for the pure functions, which never look inside."""
    numbers = itertools.count(1)

    def make(algorithm: str) -> NewKey:
        kid = f"{algorithm}-{next(numbers)}"
        return NewKey(kid, {"kid": kid, "alg": algorithm}, f"wrapped {kid}")

    return make


def new_ring(plan: Plan = PLAN, now: float = NOW, *, served: bool = True) -> Ring:
    """A ring that was just begun, and whose JWKS verifiers have seen since."""
    ring = advance(Ring(), now, plan, key_maker())
    return Ring(ring.entries, served, ring.revoked)


def never(algorithm: str) -> NewKey:
    raise AssertionError(f"no key of {algorithm} is due")


def active(ring: Ring, now: float, algorithm: str = "ES256") -> str | None:
    entry = ring.active(algorithm, now)
    return None if entry is None else entry.kid


def states(ring: Ring, now: float) -> dict[str, State]:
    return {entry.kid: entry.state(now) for entry in ring.entries}


class Clock:
    """Stands still until it is told."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
