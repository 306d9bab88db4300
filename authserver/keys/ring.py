"""The key ring as a value: which keys there are, and what each may do at a given instant.

Every entry carries its planned times, and its state follows from them alone, so that a node that is cut off from
the store follows the same plan as all others. Nothing here depends on the order in which entries are listed.
Times are seconds since the epoch.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final, Self

from authserver.errors import AuthServerError, ConfigurationError, Problem
from authserver.jose import compact, jwk

FORMAT: Final = 1
"""The format of the stored document that this release reads and writes."""


class State(StrEnum):
    """What an entry is at an instant."""

    NEXT = "next"
    ACTIVE = "active"
    RETIRED = "retired"
    GONE = "gone"


class KeyUnknown(AuthServerError):
    """The ring has no key with this identifier."""


class RingUnreadable(ConfigurationError):
    """The stored ring is not one that this release wrote: damaged, or of a newer release."""

    def __init__(self, what: str) -> None:
        remedy = "Run the release that wrote it or a newer one, or restore the store from its backup"
        super().__init__([Problem("store", "key ring", what, remedy)])


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of the ring: published at one instant, signing from a second to a third, withdrawn at a fourth.

    ``public_jwk`` is what the JWKS shows. ``wrapped_private`` is None once the private half was forgotten.
    """

    kid: str
    algorithm: str
    public_jwk: Mapping[str, str]
    wrapped_private: str | None = field(repr=False)
    published_at: float
    activates_at: float
    retires_at: float
    removed_at: float

    def state(self, now: float) -> State:
        """What this key is at ``now``, by its planned times."""
        if now < self.activates_at:
            return State.NEXT
        if now < self.retires_at:
            return State.ACTIVE
        return State.RETIRED if now < self.removed_at else State.GONE

    def is_published(self, now: float) -> bool:
        """Whether the JWKS shows this key. What still has its private half may yet sign, so it is always shown."""
        return self.wrapped_private is not None or now < self.removed_at


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys of an issuer.

    ``served`` is whether any verifier may have seen a JWKS of this ring; ``revoked`` holds the identifiers of keys
    that were withdrawn in an emergency and never come back.
    """

    entries: tuple[Entry, ...] = ()
    served: bool = False
    revoked: frozenset[str] = frozenset()
    _by_algorithm: Mapping[str, tuple[Entry, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Sorted once: each token asks twice for the key that signs.
        found: dict[str, tuple[Entry, ...]] = {}
        for entry in sorted(self.entries, key=_first_use):
            found[entry.algorithm] = (*found.get(entry.algorithm, ()), entry)
        object.__setattr__(self, "_by_algorithm", found)

    def find(self, kid: str) -> Entry:
        """:raises KeyUnknown: no entry has this ``kid``."""
        for entry in self.entries:
            if entry.kid == kid:
                return entry
        raise KeyUnknown(f"the key ring has no key {kid!r}")

    def of(self, algorithm: str) -> tuple[Entry, ...]:
        """The algorithm's keys in the order in which they sign."""
        return self._by_algorithm.get(algorithm, ())

    def active(self, algorithm: str, now: float) -> Entry | None:
        """The one key that signs for ``algorithm`` at ``now``, or None.

        A key whose private half is gone before its time was retired by a node whose clock is ahead of ours. Its
        successor takes over at once then: that node already signs with it, and the lead of a new key allows for
        clocks that disagree.
        """
        handed_over_at = None
        for entry in self.of(algorithm):
            if entry.retires_at <= now:
                continue
            if entry.activates_at > now and entry.activates_at != handed_over_at:
                return None
            if entry.wrapped_private is not None:
                return entry
            handed_over_at = entry.retires_at
        return None

    def successor(self, algorithm: str, after: float) -> Entry | None:
        """The first key able to sign that becomes active later than ``after``, or None."""
        able = (entry for entry in self.of(algorithm) if entry.wrapped_private is not None)
        return next((entry for entry in able if entry.activates_at > after), None)

    def published(self, now: float) -> list[Entry]:
        """The keys that the JWKS shows, in an order that means nothing and stays the same."""
        return sorted((entry for entry in self.entries if entry.is_published(now)), key=_identifier)

    def put(self, *entries: Entry) -> Self:
        """This ring with entries added, or put in the place of those with the same ``kid``."""
        by_kid = {entry.kid: entry for entry in (*self.entries, *entries)}
        return replace(self, entries=tuple(sorted(by_kid.values(), key=_identifier)))

    def withdraw(self, kid: str) -> Self:
        """This ring without a key, remembering that it must never return."""
        remaining = tuple(entry for entry in self.entries if entry.kid != kid)
        return replace(self, entries=remaining, revoked=self.revoked | {kid})


def encode(ring: Ring) -> str:
    """The document that the store keeps."""
    members = {
        "format": FORMAT,
        "served": ring.served,
        "revoked": sorted(ring.revoked),
        "entries": [asdict(entry) for entry in ring.entries],
    }
    return json.dumps(members, separators=(",", ":"), sort_keys=True, allow_nan=False)


def decode(document: str) -> Ring:
    """Read a document that :func:`encode` made, strictly.

    :raises RingUnreadable: it is anything else.
    """
    try:
        members = compact.json_object(document.encode("utf-8"))
        if members.get("format") != FORMAT:
            raise RingUnreadable("its format is not known to this release")
        return _ring(members)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RingUnreadable("it is damaged") from error


def _ring(members: Mapping[str, Any]) -> Ring:
    entries = tuple(_entry(entry) for entry in _of_type(members["entries"], list))
    revoked = frozenset(_of_type(kid, str) for kid in _of_type(members["revoked"], list))
    kids = {entry.kid for entry in entries}
    if len(members) != 4 or len(kids) != len(entries) or kids & revoked:
        raise ValueError("unknown members, or a key twice, or a revoked one")
    return Ring(entries, _of_type(members["served"], bool), revoked)


def _entry(members: Mapping[str, Any]) -> Entry:
    if members.keys() != _MEMBERS:
        raise ValueError("unknown or missing members")
    entry = Entry(**members)
    _of_type(entry.wrapped_private, str | None)
    times = (entry.published_at, entry.activates_at, entry.retires_at, entry.removed_at)
    if not all(math.isfinite(_of_type(time, int | float)) for time in times):
        raise ValueError("a time is not one")
    if not entry.activates_at <= entry.retires_at <= entry.removed_at:
        raise ValueError("times out of order")
    key = jwk.import_public(entry.public_jwk, (entry.algorithm,))
    if not key.kid == entry.kid == jwk.thumbprint(entry.public_jwk):
        raise ValueError("the identifier is not the key's thumbprint")
    return entry


def _of_type(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError("wrong type")
    return value


def _first_use(entry: Entry) -> tuple[float, float, str]:
    return entry.activates_at, entry.published_at, entry.kid


def _identifier(entry: Entry) -> str:
    return entry.kid


_MEMBERS: Final = {member.name for member in fields(Entry)}
