"""When keys are published, sign, retire and go: pure functions from a ring and an instant to the next ring.

The arithmetic, in true time. A node's clock is wrong by at most ``skew`` either way, so two nodes disagree by at most
``2 * skew``. A node re-reads the ring every ``reread_every`` seconds, and the same again is allowed for a slow read
and for an answer on its way.

- *A key is in every cache before it signs.* A document without a key published at ``p`` is served until
  ``p + reread_every``, and caches drop it by ``p + 2 * reread_every + jwks_max_age``. Published by a slow clock and
  activated by a fast one, a key signs up to ``2 * skew`` before its lead has passed. So :attr:`Plan.settled`, the
  least that a lead may be, is the sum of these.
- *A retired key outlives every token.* The last token says at most ``exp = retires_at + longest_lifetime``, in the
  signing node's own time. A verifier with a slow clock and a leeway of ``skew`` accepts it ``2 * skew`` longer, and
  a node with a fast clock withdraws the key ``skew`` early. So :attr:`Plan.tail` has ``3 * skew``.
- *A node that cannot reach the store signs by the plan that it knows.* So a planned rotation that ends a key early
  never withdraws its public half earlier than was once planned.
- *Times that must hold on every node at once*, for a first key and after an emergency, are set ``2 * skew`` into the
  past, or nodes with a slow clock would have no key for so long.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from authserver.errors import AuthServerError
from authserver.keys.ring import Entry, Ring
from authserver.oauth import LONGEST_LIFETIME


@dataclass(frozen=True, slots=True)
class Plan:
    """What the operator decided about keys. All times are in seconds."""

    algorithms: tuple[str, ...]
    rotate_every: float
    publish_ahead: float
    jwks_max_age: float
    skew: float
    longest_lifetime: float = LONGEST_LIFETIME
    reread_every: float = 5.0

    @property
    def disagreement(self) -> float:
        """By how much the clocks of two nodes differ at most."""
        return 2 * self.skew

    @property
    def settled(self) -> float:
        """How long after its publication a key is in every cache, by any two clocks."""
        return self.jwks_max_age + self.disagreement + 2 * self.reread_every

    @property
    def lead(self) -> float:
        """How long a key is published before it signs."""
        return max(self.publish_ahead, self.settled)

    @property
    def tail(self) -> float:
        """How long a key is still published after it signed for the last time."""
        return self.longest_lifetime + 3 * self.skew + 2 * self.reread_every


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just generated."""

    kid: str
    public_jwk: Mapping[str, str]
    wrapped_private: str = field(repr=False)


class KeyTooYoung(AuthServerError):
    """The key that would have to take over is not yet in every verifier's cache. ``wait`` is in seconds."""

    def __init__(self, kid: str, wait: int) -> None:
        super().__init__(f"the next key {kid!r} is not in every verifier's cache before {wait} s have passed")
        self.kid = kid
        self.wait = wait


def advance(ring: Ring, now: float, plan: Plan, make: Callable[[str], NewKey]) -> Ring:
    """The ring as it must be at ``now``: one active and one next key per algorithm, and nothing kept too long.

    Equal to ``ring`` when nothing is due. ``make`` generates a key for an algorithm, and is called only when one
    is needed. A ring that slept through its plan goes on with its last key until a new one has had its lead.
    """
    advanced = ring
    for algorithm in plan.algorithms:
        advanced = _with_first(advanced, algorithm, now, plan, make)
        advanced = _with_next(advanced, algorithm, now, plan, make)
    kept = (_without_what_is_over(entry, now) for entry in advanced.entries)
    advanced = replace(advanced, entries=tuple(entry for entry in kept if entry.is_published(now)))
    # A key that became active just now needs its successor, so look again until nothing is due.
    return ring if advanced == ring else advance(advanced, now, plan, make)


def rotate(ring: Ring, now: float, plan: Plan) -> Ring:
    """Let the next key of every algorithm take over as early as is safe, and in no case later than planned."""
    for algorithm in plan.algorithms:
        current = ring.active(algorithm, now)
        if current is None or now < current.activates_at:
            continue  # nothing signs, or a node whose clock is ahead is just handing over
        successor = ring.successor(algorithm, current.activates_at)
        if successor is not None:
            earliest = max(now + plan.reread_every, successor.published_at + plan.lead)
            ring = _hand_over(ring, current, successor, min(successor.activates_at, earliest), plan)
    return ring


def revoke(ring: Ring, kid: str, now: float, plan: Plan, *, force: bool) -> Ring:
    """Withdraw a key at once and for ever. If it is the active one, the next key takes over at once.

    The ring must be one that :func:`advance` made for ``now``. Verifiers drop the key within ``jwks_max_age``. Revoking
    a key again changes nothing.

    :raises KeyUnknown: the ring has no such key.
    :raises KeyTooYoung: the next key is not in every cache yet, and ``force`` is false.
    """
    if kid in ring.revoked:
        return ring
    revoked = ring.find(kid)
    successor = ring.successor(revoked.algorithm, revoked.activates_at)
    remaining = ring.withdraw(kid)
    if ring.active(revoked.algorithm, now) != revoked or successor is None:
        return remaining
    wait = successor.published_at + plan.settled - now
    if ring.served and wait > 0 and not force:
        raise KeyTooYoung(successor.kid, math.ceil(wait))
    return _begun(remaining, successor, min(successor.activates_at, now - plan.disagreement), plan)


def max_age(ring: Ring, now: float, known_at: float, plan: Plan) -> int:
    """How many seconds a verifier may keep the JWKS served at ``now`` by a node that read the ring at ``known_at``.

    What a verifier must see in time is

    - a removal: a document is not kept beyond the removal of a key that it shows;
    - a key that it does not show, before that key signs. One published after ``known_at`` may sign, by the fastest
      clock, from ``known_at + lead - 2 * skew``, and the answer may be ``reread_every`` on its way. A node that
      re-reads in time never gets beyond this. For one that was cut off the bound shrinks to zero, because the others
      may have gone on without it.

    An activation of a key that the document shows is no change for a verifier. Emergencies cannot be foreseen: a
    revocation reaches those who ask a connected node within ``jwks_max_age``, and those who ask one that is cut off
    when it is back.
    """
    removals = (entry.removed_at for entry in ring.published(now) if entry.removed_at > now)
    unknown_key = known_at + plan.lead - plan.disagreement - plan.reread_every
    return max(0, math.floor(min(plan.jwks_max_age, unknown_key - now, *(removal - now for removal in removals))))


def _with_first(ring: Ring, algorithm: str, now: float, plan: Plan, make: Callable[[str], NewKey]) -> Ring:
    """The ring of an algorithm that cannot sign, with a key that begins as soon as verifiers allow.

    There is such a key already where a revocation took the one before it, or took from nodes whose clocks are behind
    the entry that told them of a hand-over.
    """
    if _current(ring, algorithm, now) is not None:
        return ring
    first = ring.successor(algorithm, now)
    published_at = now if first is None else first.published_at
    at = max(now - plan.disagreement, published_at + plan.lead) if ring.served else now - plan.disagreement
    if first is None:
        return ring.put(_planned(make(algorithm), algorithm, now, at, plan))
    return _begun(ring, first, at, plan) if at < first.activates_at else ring


def _with_next(ring: Ring, algorithm: str, now: float, plan: Plan, make: Callable[[str], NewKey]) -> Ring:
    current = _current(ring, algorithm, now)
    if current is None:
        return ring
    if ring.successor(algorithm, current.activates_at) is None:
        ring = ring.put(_planned(make(algorithm), algorithm, now, now + plan.lead, plan))
    return _linked(ring, current, now, plan)


def _linked(ring: Ring, current: Entry, now: float, plan: Plan) -> Ring:
    """The ring with each key beginning where the one before it ends, and none before it had its lead.

    There are more than two only where a node whose clock is ahead has already made the key after the next. Their order
    is settled before any is moved, or one that moves could pass another or meet it.
    """
    able = _able(ring, current.algorithm)
    for successor in able[able.index(current) + 1 :]:
        if successor.activates_at != current.retires_at:
            at = max(now, current.retires_at, successor.published_at + plan.lead)
            ring = _hand_over(ring, current, successor, at, plan)
        current = ring.find(successor.kid)
    return ring


def _able(ring: Ring, algorithm: str) -> list[Entry]:
    return [entry for entry in ring.of(algorithm) if entry.wrapped_private is not None]


def _current(ring: Ring, algorithm: str, now: float) -> Entry | None:
    """The key that signs or, where the ring slept through its plan, the last that did."""
    begun = (entry for entry in reversed(_able(ring, algorithm)) if entry.activates_at <= now)
    return ring.active(algorithm, now) or next(begun, None)


def _planned(key: NewKey, algorithm: str, published_at: float, activates_at: float, plan: Plan) -> Entry:
    retires_at = activates_at + plan.rotate_every
    return Entry(
        key.kid,
        algorithm,
        key.public_jwk,
        key.wrapped_private,
        published_at=published_at,
        activates_at=activates_at,
        retires_at=retires_at,
        removed_at=retires_at + plan.tail,
    )


def _hand_over(ring: Ring, current: Entry, successor: Entry, at: float, plan: Plan) -> Ring:
    """One instant ends one key and begins the other, so that there is neither a gap nor an overlap."""
    ended = replace(current, retires_at=at, removed_at=max(current.removed_at, at + plan.tail))
    return ring.put(ended, _beginning(successor, at, plan))


def _begun(ring: Ring, successor: Entry, at: float, plan: Plan) -> Ring:
    """The ring whose key takes over at ``at``. None that signed before may seem active to a clock that is behind."""
    earlier = (entry for entry in ring.of(successor.algorithm) if entry.activates_at < successor.activates_at)
    ended = (replace(e, activates_at=min(e.activates_at, at), retires_at=min(e.retires_at, at)) for e in earlier)
    return ring.put(*ended, _beginning(successor, at, plan))


def _beginning(entry: Entry, at: float, plan: Plan) -> Entry:
    """The entry with another beginning and so another end. It is never withdrawn earlier than once planned."""
    retires_at = at + plan.rotate_every
    removed_at = max(entry.removed_at, retires_at + plan.tail)
    return replace(entry, activates_at=at, retires_at=retires_at, removed_at=removed_at)


def _without_what_is_over(entry: Entry, now: float) -> Entry:
    if entry.wrapped_private is not None and entry.retires_at <= now:
        return replace(entry, wrapped_private=None)
    return entry
