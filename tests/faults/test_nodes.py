"""Several hosts, some of which are cut off and come back, while keys rotate, and devices enrol and are revoked."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from tests import leaks
from tests.absent import absent
from tests.devices import DeviceKey
from tests.faults.audit import lost
from tests.faults.callers import LEGITIMATE, KeySet, SiteCaller
from tests.faults.crowd import begin
from tests.faults.hosts import SERVERS, Hosts, addresses, running_hosts
from tests.faults.network import why_not
from tests.faults.page import Record
from tests.faults.site import Enrolled, Site
from tests.faults.thieves import HOSTILE
from tests.faults.traffic import ALL_IS_WELL, NEED_THE_STORE, Caller, Kind, Outcome, Traffic, phase
from tests.live.test_rotation import CachingVerifier
from tests.served import AUDIENCE, ask
from tests.store.redis.servers import wait_until

pytestmark = [pytest.mark.namespaces, pytest.mark.slow]

AWAY = phase(NEED_THE_STORE, Outcome.PUT_OFF)
FAILING_OVER = phase(NEED_THE_STORE, Outcome.PUT_OFF, Outcome.DONE)


class Verifier(SiteCaller):
    """A resource server of somebody else's making, which keeps keys as long as it is told to."""

    kind = Kind.VERIFICATION

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._verifier = CachingVerifier(site.nodes[0])

    def call(self) -> Outcome:
        """Verify a token of any node with the keys of one; joserfc raises what is wrong with it."""
        self._verifier.verify(self.told.tokens[-1])
        return Outcome.DONE


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """All of them, and we are on their network."""
    reason = why_not()
    if reason is not None:
        absent(reason)
    with running_hosts(tmp_path_factory.mktemp("hosts")) as hosts:
        yield hosts


@pytest.fixture
def site(hosts: Hosts) -> Site:
    """The three servers, as callers see them."""
    site = Site(AUDIENCE, addresses(hosts.nodes), hosts.platform, hosts.nodes[0].clock)
    begin(site)
    return site


def of(site: Site, nodes: Sequence[str]) -> tuple[Site, list[Caller]]:
    """Some nodes of a site, and everybody who calls at them."""
    part = Site(site.issuer, nodes, site.identities, site.clock, site.told)
    return part, [caller(part) for caller in (*LEGITIMATE, KeySet, Verifier, *HOSTILE)]


def rotate(hosts: Hosts, server: str) -> set[str]:
    """Rotate the keys at a server; those that the ring has then."""
    configuration = hosts.folder / server / "authserver.toml"
    command = [*hosts.network.at(server), sys.executable, "-m", "authserver", "keys", "rotate", "--json"]
    done = subprocess.run([*command, "--config", str(configuration)], capture_output=True, text=True, check=True)
    return {entry["kid"] for entry in json.loads(done.stdout)["keys"]}


def revoked_device(site: Site) -> Enrolled:
    """A device that was enrolled and revoked, and must get no token any more."""
    key, code = DeviceKey(), leaks.handled(site.invite().json["code"])
    enrolled = site.register(key, code)
    assert enrolled.status == 201
    device = Enrolled(code, key, enrolled.json["client_id"])
    headers = {"Authorization": f"Bearer {site.managing()}"}
    assert ask("DELETE", f"{site.node()}/devices/{device.client_id}", headers=headers).status == 204
    return device


def test_server_cut_off(hosts: Hosts, site: Site, record: Record) -> None:
    cut_off, *others = site.nodes
    there, calls_there = of(site, [cut_off])
    here, calls_here = of(site, others)
    with Traffic(calls_there) as alone, Traffic(calls_here) as rest:
        alone.wait_for_more()
        alone.expect(ALL_IS_WELL, AWAY)
        hosts.network.part(SERVERS[0])
        alone.wait_for_streak(Outcome.PUT_OFF, NEED_THE_STORE)
        alone.expect(AWAY)
        rotated, revoked = rotate(hosts, SERVERS[1]), revoked_device(here)
        alone.wait_for_more()
        rest.wait_for_more()
        alone.expect(ALL_IS_WELL, AWAY)
        hosts.network.join(SERVERS[0])
        alone.wait_for_streak(Outcome.DONE)
        alone.expect(ALL_IS_WELL)
        assert there.device_token(revoked)[0].status == 401, "it has forgotten who was revoked meanwhile"
        alone.wait_for_more()
    wait_until(lambda: rotated <= shown_by(cut_off))
    counts = alone.counts + rest.counts
    counts.lost = lost(site)
    assert counts.wrong == {}
    record(counts)


def test_primary_cut_off(hosts: Hosts, site: Site, record: Record) -> None:
    _, callers = of(site, site.nodes)
    primary = hosts.primary()
    with Traffic(callers) as traffic:
        traffic.wait_for_more()
        traffic.expect(FAILING_OVER)
        hosts.network.part(primary)
        traffic.wait_for(Outcome.PUT_OFF, [Kind.ENROLMENT], times=1)
        wait_until(lambda: hosts.primary() != primary)
        traffic.wait_for_streak(Outcome.DONE)
        traffic.expect(ALL_IS_WELL)
        rotated, revoked = rotate(hosts, SERVERS[0]), revoked_device(site)
        traffic.wait_for_more()
        hosts.network.join(primary)
        wait_until(lambda: hosts.role(primary).get("master_link_status") == "up")
        traffic.wait_for_more()
    assert site.device_token(revoked)[0].status == 401
    for node in site.nodes:
        wait_until(lambda node=node: rotated <= shown_by(node))  # type: ignore[misc]
    traffic.counts.lost = lost(site)
    assert traffic.counts.wrong == {}
    record(traffic.counts)


def test_server_and_primary_cut_off_together(hosts: Hosts, site: Site, record: Record) -> None:
    """The server goes on with a primary that no other server has any more: it must be told nothing that lasts."""
    cut_off, *others = site.nodes
    _, calls_there = of(site, [cut_off])
    here, calls_here = of(site, others)
    primary = hosts.primary()
    with Traffic(calls_there) as alone, Traffic(calls_here) as rest:
        alone.wait_for_more()
        alone.expect(ALL_IS_WELL, AWAY)
        rest.expect(FAILING_OVER)
        hosts.network.part(SERVERS[0], primary)
        alone.wait_for_streak(Outcome.PUT_OFF, NEED_THE_STORE)
        alone.expect(AWAY)
        wait_until(lambda: hosts.primary() != primary)
        rest.wait_for_streak(Outcome.DONE)
        rest.expect(ALL_IS_WELL)
        revoked = revoked_device(here)
        alone.wait_for_more()
        rest.wait_for_more()
        alone.expect(ALL_IS_WELL, AWAY)
        hosts.network.join(SERVERS[0], primary)
        alone.wait_for_streak(Outcome.DONE)
        alone.expect(ALL_IS_WELL)
        alone.wait_for_more()
    assert site.device_token(revoked)[0].status == 401
    counts = alone.counts + rest.counts
    counts.lost = lost(site)
    assert counts.wrong == {}
    record(counts)


def shown_by(node: str) -> set[str]:
    """The keys that a node shows."""
    return {key["kid"] for key in ask("GET", f"{node}/.well-known/jwks.json").json["keys"]}
