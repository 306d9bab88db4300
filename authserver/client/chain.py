"""Who vouches for this program: the first link of the chain whose marker is there.

A marker is a variable or a file. The network is never asked, and no program started, to find one. A link whose marker
is there and that turns out to be broken is the answer all the same: what comes after it is somebody else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from authserver.client.failures import CallFailed, NoIdentity
from authserver.client.supplier import Link, Supplier, Surroundings
from authserver.client.suppliers import SUPPLIERS

EXPLICIT: Final = "explicit"
"""What the first link is called where links are listed: a supplier that the program itself names."""

_NOBODY: Final = (
    "nothing here vouches for this program: give it an identity token in AUTHSERVER_IDENTITY_TOKEN_FILE, or enrol this "
    "machine with authserver enroll"
)


class State(StrEnum):
    """What became of a link."""

    USED = "used"
    SKIPPED = "skipped"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Explained:
    """A link of the chain, what became of it, and why. Holds nothing that is secret."""

    name: str
    state: State
    reason: str


def find(surroundings: Surroundings) -> Supplier:
    """The supplier that vouches for this program. Whether it can do so shows when it is asked.

    :raises NoIdentity: there is none; the message says what was looked for.
    """
    absences = []
    for link in _links(surroundings):
        absence = link.absence()
        if absence is None:
            return link
        absences.append(f"{link.name}: {absence}")
    raise NoIdentity(f"{_NOBODY} ({'; '.join(absences)})")


def explain(surroundings: Surroundings, explicit: Supplier | None = None) -> Sequence[Explained]:
    """Every link in its order. ``explicit`` is the supplier that the program names, if it names one."""
    return tuple(_explained(surroundings, explicit))


def _explained(surroundings: Surroundings, explicit: Supplier | None) -> Iterator[Explained]:
    chosen: str | None = None
    if explicit is None:
        yield Explained(EXPLICIT, State.SKIPPED, "the program names no supplier of its own")
    else:
        chosen = EXPLICIT
        yield Explained(EXPLICIT, State.USED, f"the program names the supplier {explicit.name}")
    for link in _links(surroundings):
        absence = link.absence()
        if absence is not None:
            yield Explained(link.name, State.SKIPPED, absence)
        elif chosen is not None:
            yield Explained(link.name, State.SKIPPED, f"its marker is there, but {chosen} comes before it")
        else:
            chosen = link.name
            yield _judged(link, surroundings.server.clock())


def _judged(link: Link, now: float) -> Explained:
    try:
        link.check(now)
    except CallFailed as failure:
        return Explained(link.name, State.BROKEN, str(failure))
    return Explained(link.name, State.USED, link.marker)


def _links(surroundings: Surroundings) -> Iterator[Link]:
    for make in SUPPLIERS:
        yield make(surroundings)
