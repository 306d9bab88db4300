"""The host of a node fails, or the node itself: its clock, its disk, its processes, and all of it."""

import os
import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from authserver.client import TokenClient
from authserver.client.failures import CallFailed
from authserver.client.supplier import Offer
from authserver.oauth import Grant
from authserver.testing import FakeIssuer
from tests.faults.audit import lost
from tests.faults.callers import Verification, Workload
from tests.faults.crowd import begin, everybody
from tests.faults.nodes import Clock, Node, configure, running_nodes
from tests.faults.page import Record
from tests.faults.site import Site
from tests.faults.traffic import ALL_IS_WELL, NEED_TO_WRITE, Kind, Outcome, Traffic, phase
from tests.served import IMAGES, JWT_TYPE

pytestmark = pytest.mark.slow

WITHIN, BEYOND = 20.0, 700.0
"""Seconds by which a clock is wrong, of the 30 that are allowed, and of the 600 that an identity token lives."""

MINUTE = 60.0
"""Seconds after which everybody who was told to wait asks again."""

JUDGED_BY_TIME = [Kind.WORKLOAD, Kind.SINGLE_USE, Kind.DEVICE, Kind.ENROLMENT, Kind.REVOCATION]
WRITES_NOTHING = phase([Kind.INTROSPECTION], Outcome.DONE, Outcome.PUT_OFF, among=phase(NEED_TO_WRITE, Outcome.PUT_OFF))
RECORDS_NOTHING = phase([Kind.WORKLOAD], Outcome.PUT_OFF, among=WRITES_NOTHING)
GONE: Final = phase(list(Kind), Outcome.DONE, Outcome.UNANSWERED)


@pytest.fixture
def clocks(tmp_path: Path) -> list[Clock]:
    """One that is right, and one that will be wrong."""
    return [Clock(tmp_path / f"clock-{number}") for number in range(2)]


@pytest.fixture
def nodes(tmp_path: Path, clocks: Sequence[Clock]) -> Iterator[tuple[list[Node], FakeIssuer]]:
    """Two nodes with clocks of their own that share a store, and an issuer whose clock is right."""
    places = [(f'url = "sqlite:{tmp_path}/authserver.db"', clock) for clock in clocks]
    with FakeIssuer() as cluster, running_nodes(tmp_path, cluster.issuer, places) as nodes:
        yield nodes, cluster


def test_clock_wrong(nodes: tuple[list[Node], FakeIssuer], clocks: Sequence[Clock], record: Record) -> None:
    (right, wrong), cluster = nodes
    both = Site(right.url, [right.url, wrong.url], cluster, clocks[0])
    begin(both)
    here, there = (Site(both.issuer, [node.url], cluster, clocks[0], both.told) for node in (right, wrong))
    with Traffic(everybody(here)) as well, Traffic(everybody(there)) as off:
        for offset in (-WITHIN, WITHIN):
            with off.paused():
                clocks[1].set(offset)
            off.expect(ALL_IS_WELL)
            off.wait_for_more()
        for offset in (BEYOND, -BEYOND):
            with off.paused():
                clocks[1].set(offset)
                off.expect(phase(JUDGED_BY_TIME, Outcome.REFUSED, among=phase([Kind.INTROSPECTION], *Outcome)))
            off.wait_for(Outcome.REFUSED, JUDGED_BY_TIME)
        with off.paused():
            clocks[1].set(0.0)
            off.expect(ALL_IS_WELL)
        off.wait_for_more()
        well.wait_for_more()
    counts = well.counts + off.counts
    counts.lost = lost(both)
    assert counts.wrong == {}
    reasons = {event.get("reason") for event in wrong.events()}
    assert {"expired", "issued_in_future"} <= reasons
    record(counts)


def test_disk_of_the_store_full(alone: Node, site: Site, record: Record) -> None:
    with Traffic(everybody(site)) as traffic:
        traffic.suffer(WRITES_NOTHING, lambda: alone.limit_files(1), alone.limit_files)
    traffic.counts.lost = lost(site)
    assert traffic.counts.wrong == {}
    record(traffic.counts)


def test_disk_of_the_store_and_of_the_log_full(
    tmp_path: Path, cluster: FakeIssuer, clock: Clock, record: Record
) -> None:
    """An audit line that cannot be written refuses the decision."""
    configuration = configure(tmp_path / "node", cluster=cluster.issuer)
    with Node(configuration, clock, logging_to_disk=True) as node:
        site = Site(node.url, [node.url], cluster, clock)
        begin(site)
        with Traffic(everybody(site)) as traffic:
            traffic.suffer(RECORDS_NOTHING, lambda: node.limit_files(1), node.limit_files)
        traffic.counts.lost = lost(site)
    assert traffic.counts.wrong == {}
    record(traffic.counts)


def test_process_killed(alone: Node, site: Site, record: Record) -> None:
    dice = random.Random(20261122)
    with Traffic(everybody(site)) as traffic:
        traffic.wait_for_more()
        traffic.expect(GONE)
        for _ in range(3):
            os.kill(dice.choice(alone.workers()), signal.SIGKILL)
            traffic.wait_for_more(3)
            alone.wait_until_live()
        for _ in range(2):
            alone.kill()
            traffic.wait_for(Outcome.UNANSWERED, [Kind.WORKLOAD], times=1)
            alone.start()
            traffic.wait_for_streak(Outcome.DONE)
            traffic.expect(GONE)
        traffic.expect(ALL_IS_WELL)
        traffic.wait_for_more()
    traffic.counts.lost = lost(site)
    assert traffic.counts.wrong == {}
    record(traffic.counts)


class Client(Workload):
    """A workload with our own client, which keeps its token."""

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._client = TokenClient(
            issuer=site.issuer,
            resource=IMAGES,
            scope="images:read",
            identity=self,
            clock=site.clock,
            uptime=site.clock,
            deadline=1.0,
        )
        self._client.get_token()

    name = "cluster"

    def present(self) -> bool:
        """See :class:`~authserver.client.supplier.Supplier`."""
        return True

    def offer(self, now: float) -> Offer:
        """See :class:`~authserver.client.supplier.Supplier`."""
        del now
        parameters = {"subject_token": self.site.workload(), "subject_token_type": JWT_TYPE}
        return Offer(Grant.TOKEN_EXCHANGE, parameters)

    def call(self) -> Outcome:
        """Ask for the token that a request would carry now."""
        try:
            self.told.tokens.append(self._client.get_token())
        except CallFailed:
            return Outcome.PUT_OFF
        return Outcome.DONE


def test_authorization_server_down(alone: Node, site: Site, clock: Clock, record: Record) -> None:
    """Who has a token keeps it while it lives, and who has keys uses them while they are not too old."""
    stale_bound, too_old, expired = 1800.0, 2000.0, 2000.0
    with Traffic([Client(site), Verification(site, stale_bound=stale_bound)]) as traffic:
        traffic.wait_for_more()
        alone.kill()
        traffic.wait_for_more()
        with traffic.paused():
            clock.advance(too_old)
            traffic.expect(phase([Kind.VERIFICATION], Outcome.PUT_OFF))
        traffic.wait_for_more()
        with traffic.paused():
            clock.advance(expired)
            late = phase([Kind.VERIFICATION], Outcome.PUT_OFF, Outcome.REFUSED)
            traffic.expect(phase([Kind.WORKLOAD], Outcome.PUT_OFF, among=late))
        traffic.wait_for(Outcome.PUT_OFF, [Kind.WORKLOAD], times=2)
        with traffic.paused():
            alone.start()
            clock.advance(MINUTE)
            site.told.tokens.clear()
            assert Workload(site).act() is Outcome.DONE
            traffic.expect(phase([Kind.WORKLOAD, Kind.VERIFICATION], Outcome.DONE, Outcome.PUT_OFF))
        traffic.wait_for_streak(Outcome.DONE)
        traffic.expect(ALL_IS_WELL)
        traffic.wait_for_more()
    assert traffic.counts.wrong == {}
    record(traffic.counts)
