"""Nodes that share one ring, in true time: their clocks, their lines to the store, and when they re-read it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from authserver.errors import Unavailable
from authserver.keys import ring as rings
from authserver.keys.ring import Ring
from authserver.keys.rotate import KeyRing
from authserver.keys.schedule import Plan
from authserver.keys.wrapping import MasterKeys
from authserver.store.ports import RingRecord
from tests.keys.fixtures import ISSUER, NOW
from tests.keys.memory import Line, SharedRing

MASTER = MasterKeys(bytes(range(32)))
INSTANT = 1e-3
"""Just before and just after a planned time, in seconds."""


@lru_cache(maxsize=8)
def decode(document: str) -> Ring:
    """The tests look at the same document many times."""
    return rings.decode(document)


class World:
    """True time, in seconds."""

    def __init__(self) -> None:
        self.now = NOW


class Chronicle(SharedRing):
    """The shared record, and what anybody who watched it would know of each key."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shown = False  # whether any verifier has ever seen a JWKS
        self.first_stored: dict[str, float] = {}  # in true time
        self.before_any_answer: set[str] = set()  # keys that no verifier's answer can lack
        super().__init__()

    @property
    def record(self) -> RingRecord | None:
        return self._record

    @record.setter
    def record(self, record: RingRecord | None) -> None:
        self._record = record
        for entry in self.ring.entries:
            if entry.kid not in self.first_stored:
                self.first_stored[entry.kid] = self.world.now
                if not self.shown:
                    self.before_any_answer.add(entry.kid)

    @property
    def ring(self) -> Ring:
        return Ring() if self._record is None else decode(self._record.document)


@dataclass
class Node:
    """A process: its clock's error, its line to the store, and what it has in memory."""

    world: World
    plan: Plan
    error: float
    line: Line
    ring: KeyRing = field(init=False)
    delay: float = 0.0
    last_contact: float = -math.inf

    def __post_init__(self) -> None:
        self.start()

    @property
    def clock(self) -> float:
        return self.world.now + self.error

    @property
    def known(self) -> Ring:
        """What it has in memory."""
        return self.ring.ring if math.isfinite(self.last_contact) else Ring()

    @property
    def cut(self) -> bool:
        return not self.line.readable

    @property
    def in_time(self) -> bool:
        """Whether it has re-read the ring as recently as every node should."""
        return self.last_contact >= self.world.now - self.plan.reread_every - INSTANT

    def start(self) -> None:
        self.ring = KeyRing(self.line, self.plan, ISSUER, MASTER, lambda: self.clock)
        self.last_contact = -math.inf

    def refresh(self) -> None:
        try:
            self.ring.refresh()
        except Unavailable:
            return
        self.last_contact = self.world.now


class Fleet:
    """All nodes. ``errors`` are those of their clocks, in seconds."""

    def __init__(self, plan: Plan, errors: Sequence[float]) -> None:
        self.world = World()
        self.store = Chronicle(self.world)
        self.nodes = [Node(self.world, plan, error, Line(self.store)) for error in errors]
        for node in self.nodes:
            node.refresh()

    def re_read(self) -> None:
        """Each connected node has re-read at most ``reread_every`` ago, at its own moment; one does so just now."""
        end = self.world.now
        connected = sorted((node for node in self.nodes if not node.cut), key=lambda node: -node.delay)
        for node in connected:
            self.world.now = max(end - node.delay, node.last_contact)
            node.refresh()
        self.world.now = end
        connected[-1].refresh()

    def next_moment(self) -> float:
        """The first instant ahead that is just before or just after a planned time, by the clock of any node.

        What signs and what is shown changes only then, so nothing is missed by who looks at these instants alone.
        """
        planned = {
            time - node.error
            for node in self.nodes
            for ring in (node.known, self.store.ring)
            for entry in ring.entries
            for time in (entry.activates_at, entry.retires_at, entry.removed_at)
        }
        moments = (time + side for time in planned for side in (-INSTANT, INSTANT))
        return min((moment for moment in moments if moment > self.world.now + INSTANT / 2), default=math.inf)

    def is_up_to_date(self, node: Node) -> bool:
        """Whether this node looked just now and nobody changed the ring since."""
        return node.last_contact == self.world.now and node.known == self.store.ring
