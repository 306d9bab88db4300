"""A server of the store dies and another takes over: what was told as done is there, or the settings were too weak."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from authserver.testing import FakeIssuer
from tests.faults.audit import lost
from tests.faults.crowd import begin, everybody
from tests.faults.nodes import Clock, running_nodes
from tests.faults.page import Record
from tests.faults.site import Site
from tests.faults.traffic import ALL_IS_WELL, NEED_THE_STORE, Kind, Outcome, Traffic, phase
from tests.store.redis.servers import Server, wait_until
from tests.store.redis.test_debian import World, clustered, watched

pytestmark = [pytest.mark.redis, pytest.mark.slow]

FAILING_OVER = phase(NEED_THE_STORE, Outcome.PUT_OFF, Outcome.DONE)
WEAK = "confirm_on_disk = false\nconfirm_replicas = 0"


@pytest.fixture
def fail_over(
    tmp_path: Path, cluster: FakeIssuer, clock: Clock, record: Record
) -> Callable[[AbstractContextManager[World]], None]:
    """Let a primary die and come back under the traffic of two nodes."""

    def run(make: AbstractContextManager[World]) -> None:
        with make as world:
            places = [(f'url = "{world.url}"', clock)] * 2
            with running_nodes(tmp_path, cluster.issuer, places) as nodes:
                site = Site(nodes[0].url, [node.url for node in nodes], cluster, clock)
                begin(site)
                with Traffic(everybody(site)) as traffic:
                    traffic.wait_for_more()
                    primary, count = world.primary(), primaries(world)
                    traffic.expect(FAILING_OVER)
                    primary.kill()
                    traffic.wait_for(Outcome.PUT_OFF, [Kind.ENROLMENT], times=1)
                    wait_until(lambda: primaries(world) == count)
                    traffic.wait_for_more()
                    primary.start()
                    traffic.wait_for_streak(Outcome.DONE)
                    traffic.expect(ALL_IS_WELL)
                    traffic.wait_for_more()
                traffic.counts.lost = lost(site)
        assert traffic.counts.wrong == {}
        record(traffic.counts)

    return run


def primaries(world: World) -> int:
    """How many servers say that they are one."""
    return sum(is_primary(server) for server in world.servers)


def is_primary(server: Server) -> bool:
    """Whether a server is there and says so."""
    with contextlib.suppress(RedisError), server.client() as client:
        return bool(client.info("replication")["role"] == "master")
    return False


def test_store_failing_over(fail_over: Callable[[AbstractContextManager[World]], None]) -> None:
    """R37"""
    fail_over(watched())


def test_store_cluster_node_dead(fail_over: Callable[[AbstractContextManager[World]], None]) -> None:
    """R37"""
    fail_over(clustered())


def test_with_settings_weakened_on_purpose_the_loss_is_found(tmp_path: Path, cluster: FakeIssuer, clock: Clock) -> None:
    """So the tests above can fail: what no replica has is told as done, and is gone with the primary."""
    with watched() as world:
        places = [(f'url = "{world.url}"\n{WEAK}', clock)]
        with running_nodes(tmp_path, cluster.issuer, places) as (node,):
            site = Site(node.url, [node.url], cluster, clock)
            begin(site)
            primary = world.primary()
            replicas = [server for server in world.servers if server is not primary]
            for replica in replicas:
                replica.kill()
            with Traffic(everybody(site)) as traffic:
                traffic.wait_for_more()
            assert traffic.counts.wrong == {}
            primary.kill()
            for replica in replicas:
                replica.start()
            wait_until(lambda: world.primary() is not primary)
            found = " ".join(lost(site))
    for words in ("gets no token", "was used can be used again", "taken back is active"):
        assert words in found
