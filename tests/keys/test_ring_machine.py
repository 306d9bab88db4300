"""The ring under random times, crashes, clocks, partitions, rotations and revocations.

Real :class:`KeyRing` objects share one store. One node's clock is as slow as it may be and another's as fast. At each
observed instant every node signs, and a verifier asks each.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from authserver.errors import Unavailable
from authserver.keys.ring import Entry, KeyUnknown, State
from authserver.keys.schedule import KeyTooYoung, Plan
from tests.keys.fixtures import DAY
from tests.keys.fleet import Fleet, Node
from tests.keys.verifiers import Verifiers

SKEW = 30.0
ALGORITHMS = ("ES256", "EdDSA")  # the two whose keys are quick to make; an algorithm means nothing to the ring

PLANS = (
    Plan(("ES256",), rotate_every=30 * DAY, publish_ahead=DAY, jwks_max_age=300, skew=SKEW),
    Plan(("ES256",), rotate_every=2000, publish_ahead=0, jwks_max_age=120, skew=SKEW, longest_lifetime=900),
    Plan(("ES256",), rotate_every=10, publish_ahead=0, jwks_max_age=120, skew=SKEW, longest_lifetime=300),
)

NODES = st.integers(0, 2)


class RingMachine(RuleBasedStateMachine):
    @initialize(plan=st.sampled_from(PLANS), errors=st.permutations([-1, 1, 0]), third=st.floats(-1, 1))
    def begin(self, plan: Plan, errors: list[int], third: float) -> None:
        self.plan = plan
        self.fleet = Fleet(plan, [(error or third) * plan.skew for error in errors])
        self.world, self.store, self.nodes = self.fleet.world, self.fleet.store, self.fleet.nodes
        self.verifiers = Verifiers(self.fleet, plan)
        self.can_sign_since = dict.fromkeys(plan.algorithms, -math.inf)  # when the first node could, by algorithm
        self.stripped: set[str] = set()

    # What the world does

    @rule(moments=st.integers(1, 12))
    def time_passes(self, moments: int) -> None:
        """From one planned instant to the next. Connected nodes re-read in time."""
        for _ in range(moments):
            self.world.now = self.fleet.next_moment()
            self.fleet.re_read()
            self._sign_ask_and_check()

    @rule(seconds=st.one_of(st.floats(0, 20), st.floats(0, 500), st.floats(0, 40 * DAY)))
    def time_passes_between_planned_instants(self, seconds: float) -> None:
        self.world.now = min(self.world.now + seconds, self.fleet.next_moment())
        self.fleet.re_read()

    @rule(
        seconds=st.one_of(st.floats(0, 2000), st.floats(0, 3 * DAY), st.floats(0, 200 * DAY)),
        waking=st.permutations([0, 1, 2]),
    )
    def everything_sleeps(self, seconds: float, waking: list[int]) -> None:
        """A laptop's lid is closed: no process runs, and each wakes with what it had in memory."""
        self.world.now += seconds
        self._sign_ask_and_check()  # requests that come before the first re-read
        for which in waking:
            self.nodes[which].refresh()
            self._sign_ask_and_check()

    @rule(which=NODES, delay=st.sampled_from([0.0, 0.5, 1.0]))
    def re_read_at_another_moment(self, which: int, delay: float) -> None:
        self.nodes[which].delay = delay * self.plan.reread_every

    @rule(which=NODES)
    def crash(self, which: int) -> None:
        self.nodes[which].start()
        self.nodes[which].refresh()

    @rule(which=NODES)
    def die_between_read_and_write(self, which: int) -> None:
        node = self.nodes[which]
        node.line.writable = False
        node.refresh()
        node.line.writable = not node.cut
        node.start()
        node.refresh()

    @rule(which=NODES)
    def cut_off(self, which: int) -> None:
        if not any(node.cut for node in self.nodes):
            self.nodes[which].line.readable = self.nodes[which].line.writable = False

    @precondition(lambda self: any(node.cut for node in self.nodes))
    @rule()
    def come_back(self) -> None:
        for node in self.nodes:
            node.line.readable = node.line.writable = True
            if node.plan != self.plan:  # it missed a change of the configuration
                node.plan = self.plan
                node.start()
            node.refresh()

    # What operators do

    @rule(which=NODES)
    def rotate(self, which: int) -> None:
        self._operate(self.nodes[which], self.nodes[which].ring.rotate_now)

    @rule(operator=NODES, cut_off=NODES, moments=st.integers(4, 10))
    def rotate_again_and_again_while_a_node_is_cut_off(self, operator: int, cut_off: int, moments: int) -> None:
        self.cut_off(cut_off)
        for _ in range(3):
            self.rotate(operator)
            self.time_passes(moments)

    @rule(which=NODES, key=st.integers(0, 5), force=st.booleans())
    def revoke(self, which: int, key: int, force: bool) -> None:
        node = self.nodes[which]
        if node.cut:
            return
        newest_first = sorted(self.store.ring.entries, key=lambda entry: (-entry.activates_at, entry.algorithm))
        entry = newest_first[key % len(newest_first)]
        wait = self._try_to_revoke(node, entry, force=force)
        if wait is not None:
            assert not force
            self._wait(wait)
            self._try_to_revoke(node, entry, force=False)

    @precondition(lambda self: self.store.shown)
    @rule(first=NODES, second=NODES)
    def revoke_by_force_and_then_the_key_that_took_over(self, first: int, second: int) -> None:
        self.revoke(first, key=1, force=True)
        self._wait(self.plan.reread_every)
        self.revoke(second, key=1, force=False)

    @rule(operator=NODES, cut_off=NODES, moments=st.integers(4, 10))
    def the_next_key_is_replaced_as_soon_as_a_node_is_cut_off(self, operator: int, cut_off: int, moments: int) -> None:
        self.cut_off(cut_off)
        self.revoke(operator, key=0, force=False)
        self.time_passes(moments)

    @precondition(lambda self: "EdDSA" not in self.plan.algorithms)
    @rule()
    def an_algorithm_is_added(self) -> None:
        self.plan = replace(self.plan, algorithms=ALGORITHMS)
        if not self.store.shown:
            self.can_sign_since["EdDSA"] = -math.inf  # nobody holds an answer that lacks its first key
        for node in self.nodes:
            if not node.cut:
                node.plan = self.plan
                node.start()
                node.refresh()

    # What verifiers do

    @precondition(lambda self: not self.store.shown)
    @rule(which=NODES)
    def the_first_verifier_asks(self, which: int) -> None:
        self.verifiers.ask(self.nodes[which])

    @precondition(lambda self: not self.store.shown and "EdDSA" not in self.plan.algorithms)
    @rule(which=NODES)
    def the_first_verifier_asks_and_an_algorithm_is_added(self, which: int) -> None:
        self.verifiers.ask(self.nodes[which])
        self.an_algorithm_is_added()

    # What must hold

    @invariant()
    def an_unexpired_token_is_accepted_by_whoever_may_check_it(self) -> None:
        self._sign_ask_and_check()

    @invariant()
    def a_node_that_looks_can_sign(self) -> None:
        """An algorithm that was added after verifiers came begins on the slowest node when both clocks allow it."""
        for node in self.nodes:
            for algorithm in node.plan.algorithms if self.fleet.is_up_to_date(node) else ():
                if self.world.now > self.can_sign_since.get(algorithm, math.inf) + self.plan.disagreement:
                    assert algorithm in node.ring.ready(node.clock), "a node that looked cannot sign"

    @invariant()
    def one_active_and_one_next(self) -> None:
        for node in self.nodes:
            for algorithm in node.plan.algorithms if node.last_contact == self.world.now else ():
                states = [entry.state(node.clock) for entry in node.known.of(algorithm)]
                assert states.count(State.ACTIVE) <= 1
                assert states.count(State.NEXT) >= 1

    @invariant()
    def a_private_half_never_outlives_retirement_in_the_store(self) -> None:
        looked = [node.clock for node in self.nodes if self.fleet.is_up_to_date(node)]
        for entry in self.store.ring.entries:
            has_private_half = entry.wrapped_private is not None
            assert not has_private_half or all(now < entry.retires_at for now in looked)
            assert not has_private_half or entry.kid not in self.stripped
            assert entry.kid not in self.verifiers.revoked
            if not has_private_half:
                self.stripped.add(entry.kid)

    # How

    def _operate(self, node: Node, action: Callable[[], None]) -> None:
        try:
            action()
        except Unavailable:
            return
        node.last_contact = self.world.now
        self.fleet.re_read()

    def _wait(self, seconds: float) -> None:
        end = self.world.now + seconds
        while (moment := self.fleet.next_moment()) < end:
            self.world.now = moment
            self.fleet.re_read()
            self._sign_ask_and_check()
        self.world.now = end
        self.fleet.re_read()

    def _try_to_revoke(self, node: Node, entry: Entry, *, force: bool) -> float | None:
        """How many seconds the operator is told to wait, if he is."""
        before = self.store.ring
        signing = before.active(entry.algorithm, node.clock)
        try:
            self._operate(node, lambda: node.ring.revoke(entry.kid, force=force))
        except KeyTooYoung as too_young:
            return too_young.wait
        except KeyUnknown:
            return None  # it was withdrawn by plan meanwhile
        self.verifiers.note_a_revocation(entry.kid, before, by_force=force)
        if signing is None or signing.kid != entry.kid:
            # Only where it signs is it promised that signing goes on; elsewhere it may have been all that there was.
            due = self.world.now + self.plan.lead
            self.can_sign_since[entry.algorithm] = max(due, self.can_sign_since.get(entry.algorithm, -math.inf))
        return None

    def _sign_ask_and_check(self) -> None:
        for node in self.nodes:
            self._sign(node)
        if self.store.shown:
            for node in self.nodes:
                self.verifiers.ask(node)
        self.verifiers.check_every_token()

    def _sign(self, node: Node) -> None:
        for algorithm in ALGORITHMS:
            try:
                kid = node.ring.signing_key(algorithm, node.clock).kid
            except Unavailable:
                continue
            if self.fleet.is_up_to_date(node):
                assert kid not in self.stripped | self.verifiers.revoked, "a retired or revoked key signs again"
            self.can_sign_since.setdefault(algorithm, self.world.now)
            self.verifiers.hold_a_token(kid, node)


TestRing = pytest.mark.slow(RingMachine.TestCase)
TestRing.settings = settings(
    max_examples=200,
    derandomize=True,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
