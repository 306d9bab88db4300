"""The ring under random times, crashes, clocks, partitions, rotations and revocations.

Real :class:`KeyRing` objects share one store. Verifiers keep a JWKS exactly as long as they were told, and fetch
again only when that is over, never because of an unknown ``kid``.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from authserver.errors import Unavailable
from authserver.keys import ring as rings
from authserver.keys.ring import Ring, State
from authserver.keys.rotate import KeyRing
from authserver.keys.schedule import KeyTooYoung, Plan
from authserver.keys.wrapping import MasterKeys
from tests.keys.memory import Line, SharedRing

DAY = 86400.0
SKEW = 30.0
MASTER = MasterKeys(bytes(range(32)))
START = 1_800_000_000.0
ALGORITHMS = ("ES256", "EdDSA")  # the two whose keys are quick to make; an algorithm means nothing to the ring

PLANS = (
    Plan(("ES256",), rotate_every=30 * DAY, publish_ahead=DAY, jwks_max_age=300, skew=SKEW),
    Plan(("ES256",), rotate_every=2000, publish_ahead=0, jwks_max_age=120, skew=SKEW),
    Plan(("ES256",), rotate_every=10, publish_ahead=0, jwks_max_age=120, skew=SKEW),
)


@lru_cache(maxsize=8)
def decode(document: str) -> Ring:
    """The tests look at the same document many times."""
    return rings.decode(document)


class World:
    """True time, in seconds."""

    def __init__(self) -> None:
        self.now = START


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

    def start(self) -> None:
        self.ring = KeyRing(self.line, self.plan, "https://issuer.test", MASTER, lambda: self.clock)
        self.last_contact = -math.inf

    @property
    def cut(self) -> bool:
        return not self.line.readable


@dataclass(frozen=True)
class Token:
    kid: str
    expires_at: float


@dataclass
class Verifier:
    """A resource server: its cached keys, and until when, in true time, it may use them."""

    error: float
    kids: frozenset[str] = frozenset()
    fresh_until: float = -math.inf
    known_at: float = -math.inf


class RingMachine(RuleBasedStateMachine):
    @initialize(
        plan=st.sampled_from(PLANS),
        errors=st.lists(st.floats(-1, 1), min_size=3, max_size=3),
        verifiers=st.lists(st.floats(-1, 1), min_size=2, max_size=2),
    )
    def begin(self, plan: Plan, errors: list[float], verifiers: list[float]) -> None:
        self.world = World()
        self.plan = plan
        self.shared = SharedRing()
        self.nodes = [Node(self.world, plan, error * plan.skew, Line(self.shared)) for error in errors]
        self.verifiers = [Verifier(error * plan.skew) for error in verifiers]
        self.tokens: list[Token] = []
        self.first_stored: dict[str, float] = {}  # true time at which each key could first be seen
        self.exempt: set[str] = set()  # first keys of a ring that was never served: nobody holds an older document
        self.hurried: set[str] = set()  # brought forward in an emergency
        self.forced: dict[str, float] = {}  # brought forward before verifiers could know, and until when that shows
        self.stripped: set[str] = set()
        self.revoked: set[str] = set()
        for node in self.nodes:
            self.refresh(node)

    # What the world does

    @rule(seconds=st.one_of(st.floats(0, 20), st.floats(0, 2000), st.floats(0, 3 * DAY), st.floats(0, 100 * DAY)))
    def time_passes(self, seconds: float) -> None:
        """Connected nodes re-read in time; so it is enough to stop soon after each planned instant."""
        end = self.world.now + min(seconds, 5 * (self.plan.lead + self.plan.rotate_every))
        while (instant := self._next_instant()) < end:
            self.world.now = instant
            self._all_refresh()
            self._everybody_signs_and_verifies()
        self.world.now = end
        self._all_refresh()

    @rule(
        seconds=st.one_of(st.floats(0, 2000), st.floats(0, 3 * DAY), st.floats(0, 200 * DAY)), waking=st.integers(0, 2)
    )
    def everything_sleeps(self, seconds: float, waking: int) -> None:
        """A laptop's lid is closed: no process runs, and each wakes with what it had in memory."""
        self.world.now += seconds
        self._use(self.nodes[waking])  # a request that comes before the first re-read
        self._all_refresh()

    @rule(which=st.integers(0, 2), delay=st.floats(0, 1))
    def re_read_at_another_moment(self, which: int, delay: float) -> None:
        self.nodes[which].delay = delay * self.plan.reread_every

    @rule(which=st.integers(0, 2))
    def crash(self, which: int) -> None:
        node = self.nodes[which]
        node.start()
        self.refresh(node)

    @rule(which=st.integers(0, 2))
    def die_between_read_and_write(self, which: int) -> None:
        node = self.nodes[which]
        node.line.writable = False
        self.refresh(node)
        node.line.writable = not node.cut
        node.start()
        self.refresh(node)

    @rule(which=st.integers(0, 2))
    def cut_off(self, which: int) -> None:
        others = [node for number, node in enumerate(self.nodes) if number != which]
        if not any(node.cut for node in others):
            self.nodes[which].line.readable = self.nodes[which].line.writable = False

    @rule()
    def come_back(self) -> None:
        for node in self.nodes:
            node.line.readable = node.line.writable = True
            self.refresh(node)

    # What operators do

    @rule(which=st.integers(0, 2))
    def rotate(self, which: int) -> None:
        self._operate(self.nodes[which].ring.rotate_now)

    @rule(which=st.integers(0, 2), key=st.integers(0, 5), force=st.booleans())
    def revoke(self, which: int, key: int, force: bool) -> None:
        node = self.nodes[which]
        if node.cut or self.shared.record is None:
            return
        entries = decode(self.shared.record.document).entries
        entry = sorted(entries, key=lambda entry: (entry.published_at, entry.activates_at))[key % len(entries)]
        before = {other.kid: other for other in entries}
        try:
            self._operate(lambda: node.ring.revoke(entry.kid, force=force))
        except KeyTooYoung:
            assert not force
            return
        self.revoked.add(entry.kid)
        for other in decode(self.shared.record.document).entries:
            if other.kid in before and other.activates_at < before[other.kid].activates_at:
                self.hurried.add(other.kid)
                settled = self.first_stored[other.kid] + self.plan.jwks_max_age + 2 * self.plan.reread_every
                if settled > self.world.now:
                    self.forced[other.kid] = settled
        self._all_refresh()

    @precondition(lambda self: "EdDSA" not in self.plan.algorithms)
    @rule()
    def an_algorithm_is_added(self) -> None:
        self.plan = Plan(
            ALGORITHMS,
            self.plan.rotate_every,
            self.plan.publish_ahead,
            self.plan.jwks_max_age,
            self.plan.skew,
        )
        for node in self.nodes:
            if not node.cut:
                node.plan = self.plan
                node.start()
                self.refresh(node)

    # What clients and verifiers do

    @rule(which=st.integers(0, 2))
    def mint(self, which: int) -> None:
        self._use(self.nodes[which])

    @rule(verifier=st.integers(0, 1), order=st.permutations([0, 1, 2]), on_its_way=st.floats(0, 1))
    def verify(self, verifier: int, order: list[int], on_its_way: float) -> None:
        checker = self.verifiers[verifier]
        if self.world.now >= checker.fresh_until:
            self._fetch(checker, order, on_its_way * self.plan.reread_every)
        self._check_tokens(checker)

    # What must hold

    def _check_tokens(self, checker: Verifier) -> None:
        if self.world.now >= checker.fresh_until:
            return  # whoever answered said that its answer must not be kept, which promises nothing
        for token in self.tokens:
            if checker.error + self.world.now < token.expires_at + self.plan.skew and self._promised(token, checker):
                assert token.kid in checker.kids, "an unexpired token is refused"

    @invariant()
    def one_active_and_one_next(self) -> None:
        for node in self.nodes:
            if node.last_contact < self.world.now:
                continue
            ring, now = node.ring.ring, node.clock
            for algorithm in node.plan.algorithms:
                states = [entry.state(now) for entry in ring.of(algorithm)]
                assert states.count(State.ACTIVE) <= 1
                assert states.count(State.NEXT) >= 1

    @invariant()
    def a_private_half_never_outlives_retirement_in_the_store(self) -> None:
        if self.shared.record is None:
            return
        advanced = [node.clock for node in self.nodes if self._is_up_to_date(node)]
        for entry in decode(self.shared.record.document).entries:
            has_private_half = entry.wrapped_private is not None
            assert not has_private_half or all(now < entry.retires_at for now in advanced)
            assert not has_private_half or entry.kid not in self.stripped
            assert entry.kid not in self.revoked
            if not has_private_half:
                self.stripped.add(entry.kid)

    # How

    def _everybody_signs_and_verifies(self) -> None:
        for node in self.nodes:
            self._use(node)
        for verifier in self.verifiers:
            self._check_tokens(verifier)
        longest = 4 * self.plan.skew
        self.tokens = [token for token in self.tokens if token.expires_at + longest > self.world.now]

    def _is_up_to_date(self, node: Node) -> bool:
        """Whether this node looked just now and nobody changed the ring since."""
        record = self.shared.record
        looked = node.last_contact == self.world.now and record is not None
        return looked and record is not None and node.ring.ring == decode(record.document)

    def refresh(self, node: Node) -> None:
        served = self.shared.record is not None and decode(self.shared.record.document).served
        try:
            node.ring.refresh()
        except Unavailable:
            return
        finally:
            self._note_new_keys(served)
        node.last_contact = self.world.now

    def _note_new_keys(self, served: bool) -> None:
        if self.shared.record is None:
            return
        for entry in decode(self.shared.record.document).entries:
            if entry.kid not in self.first_stored:
                self.first_stored[entry.kid] = self.world.now
                if not served:
                    self.exempt.add(entry.kid)

    def _all_refresh(self) -> None:
        """Each connected node has re-read at most ``reread_every`` ago, at its own moment."""
        end = self.world.now
        for node in sorted(self.nodes, key=lambda node: -node.delay):
            self.world.now = max(end - node.delay, node.last_contact)
            self.refresh(node)
        self.world.now = end
        # Somebody always re-reads just now, so that the invariants have a ring to look at.
        self.refresh(min(self.nodes, key=lambda node: node.delay))

    def _next_instant(self) -> float:
        """The first planned instant ahead, by the clock of the connected node that sees it first, and its re-read."""
        if self.shared.record is None:
            return math.inf
        entries = decode(self.shared.record.document).entries
        times = {time for e in entries for time in (e.activates_at, e.retires_at, e.removed_at)}
        return min(
            (
                time - node.error + self.plan.reread_every
                for node in self.nodes
                for time in times
                if not node.cut and time > node.clock
            ),
            default=math.inf,
        )

    def _operate(self, action: Callable[[], None]) -> None:
        served = self.shared.record is not None and decode(self.shared.record.document).served
        try:
            action()
        except Unavailable:
            return
        finally:
            self._note_new_keys(served)
        self._all_refresh()

    def _use(self, node: Node) -> None:
        for algorithm in ALGORITHMS:
            try:
                kid = node.ring.signing_key(algorithm, node.clock).kid
            except Unavailable:
                continue
            entry = node.ring.ring.find(kid)
            assert entry.retires_at > node.clock, "a retired key signs"
            if self._is_up_to_date(node):
                assert kid not in self.stripped | self.revoked, "a retired or revoked key signs again"
            seen_by_all = self.first_stored[kid] + self.plan.jwks_max_age + self.plan.reread_every
            if kid not in self.exempt | self.hurried:
                assert entry.activates_at - entry.published_at >= self.plan.lead
            if kid not in self.exempt and kid not in self.forced:
                assert self.world.now >= seen_by_all, "a key signs before every cache has it"
            self.tokens.append(Token(kid, math.floor(node.clock) + 3600))

    def _fetch(self, verifier: Verifier, order: list[int], on_its_way: float) -> None:
        """Ask one node after the other until one answers with something that may be kept."""
        for number in order:
            node = self.nodes[number]
            served = self.shared.record is not None and decode(self.shared.record.document).served
            try:
                answer = node.ring.jwks(node.clock)
            except Unavailable:
                continue
            finally:
                self._note_new_keys(served)
            kids = [key["kid"] for key in json.loads(answer.body)["keys"]]
            assert len(kids) == len(set(kids))
            assert 0 <= answer.max_age <= self.plan.jwks_max_age
            verifier.kids = frozenset(kids)
            verifier.fresh_until = self.world.now + on_its_way + answer.max_age
            verifier.known_at = node.last_contact
            if answer.max_age > 0:
                return

    def _promised(self, token: Token, verifier: Verifier) -> bool:
        """Whether the contract says that this verifier accepts this token.

        It does not for a revoked key; for one that was forced to sign before verifiers could know it, until they
        can; and for one that was hurried in an emergency where the verifier's answer is older than the key.
        """
        if token.kid in self.revoked:
            return False
        if token.kid in self.forced and self.world.now < self.forced[token.kid] + self.plan.reread_every:
            return False
        return not (token.kid in self.hurried and verifier.known_at < self.first_stored[token.kid])


TestRing = RingMachine.TestCase
TestRing.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
