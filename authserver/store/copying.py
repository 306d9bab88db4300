"""Moving everything from one store to another, of whatever kinds they are.

A store is taken apart into records, which say the same in every store. A copy that was interrupted is done again: what
is there already is not written again. In the end both are read once more, and must have the same records.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final, Protocol

from authserver.errors import AuthServerError

BATCH: Final = 500
"""How many records are read, compared and written together."""


class Kind(StrEnum):
    """What is copied, in this order. The ring is last, so that no server works with a store that is half there."""

    INVITATION = "invitation"
    DEVICE = "device"
    KEY = "key"
    REVOKED = "revoked"
    USED = "used"
    RING = "ring"


_EXPIRING: Final = (Kind.INVITATION, Kind.REVOKED, Kind.USED)


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that a store remembers, as JSON whose members are in order."""

    kind: Kind
    content: str

    @classmethod
    def of(cls, kind: Kind, members: Mapping[str, Any]) -> "Record":
        """The record with these members."""
        return cls(kind, json.dumps(members, sort_keys=True))

    @property
    def members(self) -> dict[str, Any]:
        """What it says."""
        members: dict[str, Any] = json.loads(self.content)
        return members

    def is_alive(self, now: float) -> bool:
        """Whether it has not expired."""
        return self.kind not in _EXPIRING or bool(self.members["expires_at"] > now)


class Portable(Protocol):
    """A store whose records can be read and written."""

    def records(self, kind: Kind) -> Iterator[Record]:
        """Every record of a kind, once, in any order.

        :raises Unavailable: ``store_unavailable``.
        """
        ...  # a protocol has no body

    def same(self, kind: Kind, records: Sequence[Record]) -> list[Record | None]:
        """For each of these records, what is remembered of the same thing.

        :raises Unavailable: ``store_unavailable``.
        """
        ...  # a protocol has no body

    def write(self, kind: Kind, records: Sequence[Record]) -> None:
        """Remember these records, instead of what is remembered of the same things. Durable when it returns.

        :raises Unavailable: ``store_unavailable``.
        """
        ...  # a protocol has no body


@dataclass(frozen=True, slots=True)
class Tally:
    """How many records there are, and a digest of all of them that does not depend on their order.

    The digest is the sum of their SHA-256 hashes, modulo 2 to the 256th.
    """

    count: int = 0
    digest: int = 0

    def with_(self, record: Record) -> "Tally":
        """The same with one record more."""
        one = int.from_bytes(hashlib.sha256(f"{record.kind} {record.content}".encode()).digest())
        return Tally(self.count + 1, (self.digest + one) % 2**256)


@dataclass(frozen=True, slots=True)
class Copied:
    """What came of copying a kind: how many were written now, and what there is in both."""

    kind: Kind
    written: int
    source: Tally
    target: Tally

    @property
    def is_equal(self) -> bool:
        """Whether both have the same records."""
        return self.source == self.target


class TargetInUse(AuthServerError):
    """The store that is to be copied to is in use: it has another key ring, or has changed since all was copied."""


def copy(source: Portable, target: Portable, *, clock: Callable[[], float]) -> Iterator[Copied]:
    """Copy everything that has not expired, kind by kind. No server may work with either store meanwhile.

    The ring is copied only when all else is equal, and then comes last. So nothing is written to a target that has it:
    what a server has changed there since, such as a device that it revoked, is not undone.

    :raises TargetInUse: the target has another ring, or has this one and not the same records.
    :raises Unavailable: ``store_unavailable``.
    """
    theirs, ours = (list(store.records(Kind.RING)) for store in (target, source))
    if theirs and theirs != ours:
        raise TargetInUse("the target has a key ring of its own")
    for kind in Kind:
        written = 0 if theirs else _write_all_missing(source, target, kind, clock)
        now = clock()
        copied = Copied(kind, written, tally(source, kind, now), tally(target, kind, now))
        yield copied
        if theirs and not copied.is_equal:
            raise TargetInUse("everything was copied before, and one of the stores has changed since")
        if not copied.is_equal:
            return


def tally(store: Portable, kind: Kind, now: float) -> Tally:
    """What a store has of a kind that has not expired at ``now``."""
    total = Tally()
    for record in store.records(kind):
        if record.is_alive(now):
            total = total.with_(record)
    return total


def _write_all_missing(source: Portable, target: Portable, kind: Kind, clock: Callable[[], float]) -> int:
    return sum(_write_missing(target, kind, batch, clock()) for batch in _batches(source.records(kind)))


def _write_missing(target: Portable, kind: Kind, batch: Sequence[Record], now: float) -> int:
    alive = [record for record in batch if record.is_alive(now)]
    missing = [record for record, same in zip(alive, target.same(kind, alive), strict=True) if same != record]
    if missing:
        target.write(kind, missing)
    return len(missing)


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(islice(records, BATCH)):
        yield batch
