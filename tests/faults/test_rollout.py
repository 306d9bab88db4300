"""Half of a deployment is new: what one half does the other understands."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from authserver.testing import FakeIssuer
from tests import oracle
from tests.faults.audit import lost
from tests.faults.crowd import begin, everybody
from tests.faults.nodes import Clock, Node, configure
from tests.faults.page import Record
from tests.faults.site import Site
from tests.faults.traffic import ALL_IS_WELL, Traffic
from tests.served import REPORTS, Answer, ask, exchange_form, free_port

pytestmark = pytest.mark.slow

PUBLISH_AHEAD = 600.0


def test_deployment_half_old_half_new(tmp_path: Path, cluster: FakeIssuer, clock: Clock, record: Record) -> None:
    """The new half signs for one resource with an algorithm that the old half has never heard of."""
    ports = [free_port(), free_port()]
    nodes = [Node(write(tmp_path, cluster, ports, at, is_new=False), clock) for at in range(2)]
    with nodes[0] as first, nodes[1] as second:
        site = Site(first.url, [first.url, second.url], cluster, clock)
        begin(site)
        with Traffic(everybody(site)) as traffic:
            traffic.wait_for_more()
            for at, node in enumerate(nodes):
                with drained(traffic, site, node):
                    node.stop()
                    write(tmp_path, cluster, ports, at, is_new=True)
                    node.start()
                assert signed_anew(site, at).status == 503, "its key was not shown for long enough"
                traffic.expect(ALL_IS_WELL)
                traffic.wait_for_more()
            with traffic.paused():
                clock.advance(PUBLISH_AHEAD + 60)
            traffic.expect(ALL_IS_WELL)
            traffic.wait_for_more()
            for at, other in enumerate(reversed(nodes)):
                token = signed_anew(site, at).json["access_token"]
                header, _ = oracle.read(token, ask("GET", f"{other.url}/.well-known/jwks.json").json)
                assert header["alg"] == "RS256"
        traffic.counts.lost = lost(site)
    assert traffic.counts.wrong == {}
    record(traffic.counts)


def write(folder: Path, cluster: FakeIssuer, ports: list[int], at: int, *, is_new: bool) -> Path:
    """The old or the new configuration of a node."""
    algorithms, reports = ('["ES256", "RS256"]', 'algorithm = "RS256"') if is_new else ('["ES256"]', "")
    file = configure(
        folder / f"node-{at}",
        cluster=cluster.issuer,
        issuer=f"http://127.0.0.1:{ports[0]}",
        port=ports[at],
        store=f'url = "sqlite:{folder}/authserver.db"',
        keys=f'algorithms = {algorithms}\npublish_ahead = "{PUBLISH_AHEAD:.0f}s"',
        reports=reports,
    )
    text = file.read_text("utf-8").replace('file = "master.key"', f'file = "{folder}/master.key"')
    file.write_text(text, "utf-8")
    return file


@contextmanager
def drained(traffic: Traffic, site: Site, node: Node) -> Iterator[None]:
    """Send nobody to a node meanwhile, as who stands before it would."""
    everywhere = site.nodes
    with traffic.paused():
        site.nodes = [each for each in everywhere if each != node.url]
    yield
    site.nodes = everywhere


def signed_anew(site: Site, at: int) -> Answer:
    """A token for the resource whose algorithm is new, from one node."""
    return site.post("/token", of=site.nodes[at], form=exchange_form(site.workload(), resource=REPORTS, scope=None))
